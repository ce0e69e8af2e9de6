"""Shared helpers: types and files."""
