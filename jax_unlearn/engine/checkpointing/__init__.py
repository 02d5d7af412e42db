"""Saving runs and going on with them."""
