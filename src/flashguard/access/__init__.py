"""Who may call, and how often: API keys, signed tokens, rate limits."""
