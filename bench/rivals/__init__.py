"""Rivals that are not strategies of the simulator, each a service of its own."""
