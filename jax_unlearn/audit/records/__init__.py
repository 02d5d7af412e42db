"""Audits on disk: where models are found, what is written, and checking it again."""
