"""Spread sales: buyers are routed to their home shards, and units are moved to the shards that need them."""

from .batch import BasketRequest, BatchSelling
from .routing import ShardRouter
from .whole import NO_IDENTITIES, NO_LOCATIONS, NOT_ALL, Whole, shard_drafts, unfit, with_memory_state

__all__ = [
    "NOT_ALL",
    "NO_IDENTITIES",
    "NO_LOCATIONS",
    "BasketRequest",
    "BatchSelling",
    "ShardRouter",
    "Whole",
    "shard_drafts",
    "unfit",
    "with_memory_state",
]
