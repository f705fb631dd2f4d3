"""The engine: a click becomes one batch, one decision, one answer."""
