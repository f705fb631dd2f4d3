"""The feed of facts: everything that webhooks tell, for programs that fetch it."""

from .feed import NOW, FactFeed

__all__ = ["NOW", "FactFeed"]
