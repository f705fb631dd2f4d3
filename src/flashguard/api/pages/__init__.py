"""Serves the pages, which are built ahead of time."""
