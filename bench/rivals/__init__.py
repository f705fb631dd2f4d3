"""Rivals that are not strategies of the simulator, each a separate service."""
