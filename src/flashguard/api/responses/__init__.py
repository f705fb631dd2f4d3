"""Responses as bytes: problems, encoded bodies, event streams."""
