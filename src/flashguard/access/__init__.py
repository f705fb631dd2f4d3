"""API keys, signed tokens and rate limits: which callers are admitted, and how often."""
