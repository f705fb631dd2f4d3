"""Spread sales: buyers are routed to their home shards, and units are moved to the shards that need them."""

from .batch import BasketRequest, BatchSelling
from .routing import ShardRouter
from .whole import NO_IDENTITIES, NO_LOCATIONS, Whole, shard_drafts, unfit, with_memory_state

__all__ = [
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
