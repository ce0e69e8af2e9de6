"""A network of a method, written as plain files that need nothing of this package."""
