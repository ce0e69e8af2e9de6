"""Predictions for pictures that are in no data set: files, videos, arrays, and a page for a browser."""
