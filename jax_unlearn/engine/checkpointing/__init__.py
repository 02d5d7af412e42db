"""Saving runs and resuming them."""
