"""One file per strategy."""

from typing import Final

from .base import Strategy
from .conditional_update import ConditionalUpdate
from .naive import Naive
from .optimistic import Optimistic
from .redis_lock import RedisLock
from .redis_lua import RedisLua
from .row_lock import RowLock
from .skip_locked import SkipLocked
from .sql_batched import SqlBatched

BASELINES: Final[dict[str, type[Strategy]]] = {
    strategy.name: strategy
    for strategy in (
        Naive,
        RowLock,
        Optimistic,
        ConditionalUpdate,
        SkipLocked,
        RedisLock,
        RedisLua,
        SqlBatched,
    )
}
"""Every rival, by name."""
