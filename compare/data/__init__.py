"""Data sets by name and from files."""
