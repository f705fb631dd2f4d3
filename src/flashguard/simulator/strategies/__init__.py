"""One file per strategy."""

from typing import Final

from flashguard.simulator.strategies.base import Strategy
from flashguard.simulator.strategies.conditional_update import ConditionalUpdate
from flashguard.simulator.strategies.naive import Naive
from flashguard.simulator.strategies.optimistic import Optimistic
from flashguard.simulator.strategies.redis_lock import RedisLock
from flashguard.simulator.strategies.redis_lua import RedisLua
from flashguard.simulator.strategies.row_lock import RowLock
from flashguard.simulator.strategies.skip_locked import SkipLocked
from flashguard.simulator.strategies.sql_batched import SqlBatched

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
