"""What goes wrong in a run: which faults, when and for how long, all from the seed."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from tests.campaign.checker import Violation
from tests.simulation.departures import lost_departure
from tests.simulation.handovers import ask_for_rebuild, recorder_joins, recorder_leaves, stop_builder
from tests.simulation.intruder import edited_stock
from tests.simulation.lost_keys import delete_key, evicted_keys
from tests.simulation.promotions import promoted_in_rebuild, stale_replica
from tests.simulation.standstill import blocked_log, hold_position, locked_rows
from tests.simulation.valkey import FULL, READ_ONLY

if TYPE_CHECKING:
    from tests.simulation.processes import Process
    from tests.simulation.shop import Shop

Fault = Callable[["Shop", random.Random], Awaitable[None]]


async def kill_api(shop: "Shop", rng: random.Random) -> None:
    await _kill(shop, rng.choice(shop.apis), rng)


async def kill_recorder(shop: "Shop", rng: random.Random) -> None:
    await _kill(shop, rng.choice(shop.recorders), rng)


async def kill_recorders(shop: "Shop", rng: random.Random) -> None:
    await asyncio.gather(*(_kill(shop, each, rng) for each in shop.recorders))


async def _kill(shop: "Shop", process: "Process", rng: random.Random) -> None:
    process.kill()
    await asyncio.sleep(rng.uniform(0.05, 2.0))
    if not process.is_alive:
        process.start()


async def stop_process(shop: "Shop", rng: random.Random) -> None:
    """A process gets no processor for a while."""
    rng.choice(shop.processes).pause(rng.choice([0.1, 1.0, 3.0, 6.0]) * rng.random())


async def cut_valkey(shop: "Shop", rng: random.Random) -> None:
    """Some connections to Valkey are cut."""
    for link in list(shop.primary.links):
        if rng.random() < 0.5:
            link.cut("cut")


async def cut_postgres(shop: "Shop", rng: random.Random) -> None:
    for link in list(shop.postgres.links):
        if rng.random() < 0.5:
            link.cut("cut")


async def stall_links(shop: "Shop", rng: random.Random) -> None:
    """Packets of some connections are lost for a while."""
    for link in [*shop.primary.links, *shop.postgres.links]:
        if rng.random() < 0.4:
            link.stall(rng.uniform(0.05, 4.0), up=rng.random() < 0.5)


async def hang_valkey(shop: "Shop", rng: random.Random) -> None:
    shop.primary.hangs_until = shop.world.now + rng.uniform(0.1, 4.0)


async def hang_postgres(shop: "Shop", rng: random.Random) -> None:
    shop.postgres.hangs_until = shop.world.now + rng.uniform(0.1, 8.0)


async def restart_valkey(shop: "Shop", rng: random.Random) -> None:
    """Valkey ends and comes back with all that it answered."""
    server = shop.primary
    server.is_down = True
    server.cut_all("valkey ends")
    await asyncio.sleep(rng.uniform(0.05, 2.0))
    server.restart()
    server.is_down = False


async def restart_postgres(shop: "Shop", rng: random.Random) -> None:
    server = shop.postgres
    server.is_down = True
    server.cut_all("postgres ends")
    await asyncio.sleep(rng.uniform(0.05, 2.0))
    server.is_down = False


async def slow_postgres(shop: "Shop", rng: random.Random) -> None:
    shop.postgres.slow_seconds = rng.choice([0.02, 0.2, 2.0]) * rng.random()
    await asyncio.sleep(rng.uniform(0.2, 2.0))
    shop.postgres.slow_seconds = 0.0


async def refused_writes(shop: "Shop", rng: random.Random) -> None:
    """Valkey is full, or has become a replica, for a while."""
    server = shop.primary
    server.refuses = rng.choice([READ_ONLY, FULL])
    await asyncio.sleep(rng.uniform(0.05, 1.5))
    server.refuses = b""


async def deaf(shop: "Shop", rng: random.Random) -> None:
    """Announcements get lost for a while."""
    shop.primary.deaf = rng.choice([0.3, 1.0])
    await asyncio.sleep(rng.uniform(0.2, 2.0))
    shop.primary.deaf = 0.0


async def flush_memory(shop: "Shop", rng: random.Random) -> None:
    """Valkey loses everything."""
    server = shop.primary
    if rng.random() < 0.5:
        server.is_down = True
        server.cut_all("valkey ends without its data")
    server.restore([])
    await asyncio.sleep(rng.uniform(0.0, 0.5))
    server.is_down = False


async def older_memory(shop: "Shop", rng: random.Random) -> None:
    """Valkey falls back to an older copy of itself."""
    server = shop.primary
    copy = server.snapshot()
    await asyncio.sleep(rng.choice([0.01, 0.1, 1.0]) * rng.random())
    server.cut_all("valkey falls back")
    server.restore(copy)


async def older_memory_unseen(shop: "Shop", rng: random.Random) -> None:
    """A machine with Valkey and the recorders fails: memory comes back older, and decides before a recorder
    sees it."""
    copy = shop.primary.snapshot()
    await asyncio.sleep(rng.choice([0.02, 1.0, 3.0, 3.0]) * rng.random())
    for process in shop.recorders:
        process.kill()
    shop.primary.cut_all("valkey falls back")
    shop.primary.restore(copy)
    await asyncio.sleep(rng.choice([0.05, 4.0, 4.0]) * rng.random())
    for process in shop.recorders:
        if not process.is_alive:
            process.start()


async def ledger_falls_back(shop: "Shop", rng: random.Random) -> None:
    """An asynchronous standby of the ledger is promoted."""
    shop.postgres.world.note("postgres", "the standby has come as far as this")
    shop.servers.copies.save("older")
    await asyncio.sleep(rng.choice([0.01, 0.1, 1.0]) * rng.random())
    shop.postgres.is_down = True
    shop.postgres.cut_all("failover")
    await asyncio.sleep(rng.uniform(0.0, 0.5))
    restore_ledger(shop)
    shop.postgres.is_down = False


def restore_ledger(shop: "Shop") -> None:
    """Put the older copy in the ledger's place. Another fault may have let clients in: they lose their
    transactions."""
    shop.postgres.cut_all("an older copy takes its place")
    shop.invariants.ledger_went_back = True
    shop.servers.copies.restore("older")


async def fall_back_quietly(shop: "Shop") -> None:
    """The same once nothing is sold: only a comparison with the ledger notices it. The copy is there."""
    await asyncio.sleep(4.0)
    shop.world.note("postgres", "the standby is promoted, and nothing is sold")
    restore_ledger(shop)
    await asyncio.sleep(8.0)


def is_of_a_missing_key(found: Violation, faults: list[Fault]) -> bool:
    """Return whether memory may break this promise until it misses a key: it has forgotten who waits."""
    return bool({delete_key, evicted_keys} & {*faults}) and found.promise in ("waits twice", "out of turn")


async def older_partition(shop: "Shop", rng: random.Random) -> None:
    """The server of one partition falls back or starts empty, as one of a cluster does alone: sometimes while
    some recorders get no processor, or while the ledger can't take what the partition decides."""
    partition = rng.randrange(shop.partitions)
    server, keys = shop.primary, f"fg:{{{partition}}}:*"
    copy = server.snapshot(keys) if rng.random() < 0.8 else []
    for process in rng.sample(shop.recorders, rng.randint(0, len(shop.recorders))):
        process.pause(rng.choice([0.1, 1.0, 3.0]) * rng.random())
    locked = hold_position(shop, partition) if rng.random() < 0.5 else None
    await asyncio.sleep(rng.choice([0.01, 0.1, 1.0, 3.0]) * rng.random())
    server.cut_all("a partition falls back")
    server.restore(copy, keys)
    if locked is not None:
        locked()


async def older_than_rebuild(shop: "Shop", rng: random.Random) -> None:
    """Memory is lost and rebuilt, then it falls back to a copy from before."""
    server = shop.primary
    copy = server.snapshot()
    server.restore([])
    await asyncio.sleep(rng.uniform(1.0, 3.0))
    unseen = [each for each in shop.recorders if each.is_alive] if rng.random() < 0.7 else []
    for process in unseen:
        process.kill()
    server.cut_all("valkey falls back behind the rebuild")
    server.restore(copy)
    await asyncio.sleep(rng.choice([0.05, 2.0, 4.0]) * rng.random())
    for process in unseen:
        if not process.is_alive:
            process.start()


async def rebuild_stops(shop: "Shop", rng: random.Random) -> None:
    """Memory is lost, and a recorder gets no processor while it rebuilds it; another one takes over."""
    await flush_memory(shop, rng)
    await stop_builder(shop, rng)


async def rebuild_asked(shop: "Shop", rng: random.Random) -> None:
    """An operator, or a recorder that died, asks for a rebuild: memory is there, and nothing may be lost."""
    await ask_for_rebuild(shop, rng.choice([0, 0, rng.randrange(shop.partitions)]))
    if rng.random() < 0.8:  # who compares memory and ledger sees it at once
        await rng.choice([kill_recorders, cut_valkey])(shop, rng)


async def asked_rebuild_stops(shop: "Shop", rng: random.Random) -> None:
    """The same where memory is there: every promise must hold."""
    await rebuild_asked(shop, rng)
    await stop_builder(shop, rng)


FORGETTING: Final = frozenset(
    (
        flush_memory,
        older_memory,
        older_memory_unseen,
        stale_replica,
        promoted_in_rebuild,
        delete_key,
        evicted_keys,
        older_partition,
        older_than_rebuild,
        rebuild_stops,
        edited_stock,
        lost_departure,
    )
)
"""Memory may lose its newest entries, or has granted what the ledger refuses."""
LEDGER_KIND: Final = "the ledger falls back"
KINDS: Final[dict[str, list[Fault]]] = {
    "nothing is forgotten": [
        kill_api, kill_api, kill_recorder, kill_recorder, kill_recorders, stop_process, stop_process,
        recorder_leaves, recorder_joins, recorder_joins, cut_valkey, cut_postgres, stall_links, hang_valkey,
        hang_postgres, restart_valkey, restart_postgres, slow_postgres, refused_writes, deaf, rebuild_asked,
        asked_rebuild_stops, locked_rows, locked_rows, blocked_log,
    ],
    "memory forgets": [
        flush_memory, older_memory, stale_replica, older_memory_unseen, older_memory, stale_replica,
        older_memory_unseen, delete_key, evicted_keys, evicted_keys, older_partition,
        edited_stock, edited_stock, edited_stock, edited_stock, lost_departure, lost_departure,
        promoted_in_rebuild, promoted_in_rebuild, promoted_in_rebuild, promoted_in_rebuild,
        older_memory_unseen, older_memory_unseen, stale_replica, stale_replica,
        recorder_joins, older_partition, older_than_rebuild, older_than_rebuild, older_than_rebuild,
        rebuild_stops, rebuild_stops, kill_api, kill_recorder, kill_recorders, stop_process, cut_postgres,
        stall_links, hang_postgres, slow_postgres, deaf, restart_postgres, cut_valkey, rebuild_asked,
        recorder_joins, locked_rows, blocked_log,
    ],
    LEDGER_KIND: [
        ledger_falls_back, ledger_falls_back, kill_api, kill_recorder, stop_process, cut_valkey,
        restart_valkey, deaf, stall_links, cut_postgres, kill_recorders, recorder_joins,
        locked_rows, blocked_log,
    ],
}  # fmt: skip
"""Memory and the ledger do not both go back in one run: what only both had is then lost, as documented."""
STRIKING: Final = frozenset((*FORGETTING, ledger_falls_back, rebuild_asked, asked_rebuild_stops))
COMPANY: Final[list[Fault]] = [
    deaf, deaf, slow_postgres, hang_postgres, cut_valkey, stall_links, stop_process, kill_recorders,
    locked_rows, locked_rows, blocked_log,
]  # fmt: skip
"""What comes together with one that strikes, in half of the runs."""
COMPANY_SECONDS: Final = 0.05


async def strike(fault: Fault, shop: "Shop", rng: random.Random) -> None:
    """Have a fault, and sometimes another one at about the same time."""
    if fault not in STRIKING or rng.random() < 0.5:
        await fault(shop, rng)
        return
    other = rng.choice(COMPANY)
    first, second = rng.sample([fault, other], 2)
    shop.world.note("fault", f"{other.__name__} at the same time")

    async def follow() -> None:
        await asyncio.sleep(COMPANY_SECONDS * rng.random())
        await second(shop, rng)

    await asyncio.gather(first(shop, rng), follow())


def faults_of(kind: str, rng: random.Random) -> list[Fault]:
    """Return the faults of a run: few sorts, so that one comes often; mostly a server forgets."""
    most = rng.choice([0, 1, 2, 2, 3, 4, 5])
    deck = KINDS[kind]
    strikes = [fault for fault in deck if fault in STRIKING]
    sorts = [rng.choice(deck) for _ in range(rng.choice([1, 2, 3]))]
    sorts += [rng.choice(strikes)] if strikes and rng.random() < 0.8 else []
    return [*sorts[-1:], *(rng.choice(sorts) for _ in range(most - 1))] if most else []
