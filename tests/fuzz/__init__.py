"""Bytes that no honest client sends: every reader of them refuses, and none raises."""
