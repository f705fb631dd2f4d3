"""Adapters for shops: each connects one web framework to a running FlashGuard."""
