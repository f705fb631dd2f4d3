"""Valkey/Redis: whether it keeps what is written to it."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from flashguard.kernel.errors import MemoryAway
from flashguard.kernel.kernel import Kernel
from flashguard.model import Durability

from .finding import Finding, State, check, ok

OLDEST: Final = 7
REPLICA_LAG_SECONDS_MOST: Final = 2
CONFIG: Final = ("appendonly", "appendfsync", "maxmemory-policy", "min-replicas-to-write")
POLICY: Final = "memory: eviction"


class Wanted(Struct, frozen=True):
    """What the sales that are not closed promise about their holds.

    Parameters:
        disk: which of them have hold_durability `disk`, in words; empty: none. Without any sale, the next
            one will have it.
        replicated: the same for `replicated`.
        replicas: the replicas that a replicated hold waits for.
    """

    disk: str = "A new sale promises disk"
    replicated: str = ""
    replicas: int = 1

    @classmethod
    def of(cls, sales: Mapping[str, int], replicas: int) -> "Wanted":
        """Return what these sales promise, counted by their hold_durability."""
        if not sales:
            return cls(replicas=replicas)
        disk, replicated = sales.get(Durability.DISK, 0), sales.get(Durability.REPLICATED, 0)
        return cls(
            f"{disk} of the sales promise disk" if disk else "",
            f"{replicated} of the sales promise replicated" if replicated else "",
            replicas,
        )


async def examine_policy(kernel: Kernel) -> list[Finding]:
    """Check what must be right before a sale: an evicted key is forgotten stock."""
    policy = (await _config(kernel)).get("maxmemory-policy") or (await kernel.info("memory")).get(
        "maxmemory_policy"
    )
    if policy is None:
        return [
            Finding(POLICY, State.WARNING, "can't be read", "Make sure that maxmemory-policy is noeviction.")
        ]
    return [
        check(
            POLICY,
            policy == "noeviction",
            f"maxmemory-policy {policy}",
            "CONFIG SET maxmemory-policy noeviction, and in the server's configuration: any other policy may "
            "evict stock, holds or limits.",
        )
    ]


async def examine_memory(kernel: Kernel, wanted: Wanted, *, replica: bool = False) -> list[Finding]:
    """Check everything about one Valkey/Redis server.

    Parameters:
        wanted: what the sales promise of their holds.
        replica: it is meant to be a replica of a cluster.

    Raises:
        MemoryAway: it does not answer.
    """
    server = await kernel.info("server")
    if _mode(server) == "sentinel":
        todo = "Point FLASHGUARD_REDIS_URL at what it watches: redis+sentinel://host:port,host:port/service"
        return [Finding("memory: role", State.FAILED, "a Sentinel, which keeps no data", todo)]
    stats = await kernel.info("stats")
    replication, persistence = await kernel.info("replication"), await kernel.info("persistence")
    config = await _config(kernel)
    role = replication.get("role", "unknown")
    version = server.get("valkey_version") or server.get("redis_version", "0")
    evicted = int(stats.get("evicted_keys", 0))
    return [
        check(
            "memory: version", int(version.split(".")[0]) >= OLDEST, version,
            f"Use Valkey or Redis {OLDEST} or newer: the scripts need it.",
        ),
        *await examine_policy(kernel),
        check(
            "memory: evictions", evicted == 0, f"{evicted} keys evicted since the server started",
            "Set maxmemory-policy noeviction, and give it more memory; the recorder rebuilds what was lost.",
        ),
        check(
            "memory: role", role == ("slave" if replica else "master"), role,
            "Point FLASHGUARD_REDIS_URL at the primary: a replica takes no writes.",
        ),
        *([] if replica else [await _writes(kernel)]),
        *_durability(config, persistence, Wanted(disk="") if replica else wanted),
        *([] if replica else _replicas(config, replication, wanted)),
        *await _cluster(kernel, server),
    ]  # fmt: skip


async def _writes(kernel: Kernel) -> Finding:
    name = "memory: writes"
    try:
        await kernel.check_writes()
    except MemoryAway as error:
        return Finding(
            name, State.FAILED, str(error),
            "Until it takes writes, every hold and order is answered 503: give it more memory (maxmemory), "
            "room on its disk, or the replicas that it asks for.",
        )  # fmt: skip
    return ok(name, "taken")


def _durability(config: Mapping[str, str], persistence: Mapping[str, str], wanted: Wanted) -> list[Finding]:
    name = "memory: disk"
    broken = State.FAILED if wanted.disk else State.WARNING
    promised = f" {wanted.disk}, and their holds are answered from memory." if wanted.disk else ""
    if not config:
        on = persistence.get("aof_enabled") == "1"
        return [
            check(
                name, on, f"append-only file {'on' if on else 'off'}; CONFIG is not allowed here",
                "A crash of the server forgets holds that were not recorded yet: switch appendonly on, or "
                f"give the sales another hold_durability.{promised}",
                otherwise=broken,
            )
        ]  # fmt: skip
    appendonly, fsync = config.get("appendonly"), config.get("appendfsync")
    if appendonly != "yes":
        todo = (
            "appendonly yes: a crash of the server forgets holds that were not recorded yet. Or give the "
            f"sales another hold_durability.{promised}"
        )
        return [Finding(name, broken, "appendonly no", todo)]
    found = [
        check(
            name, fsync == "always", f"appendonly yes, appendfsync {fsync}",
            "appendfsync always: else a crash of the host forgets up to a second (everysec) or more (no) of "
            f"holds. Orders are safe either way.{promised if fsync == 'no' else ''}",
            otherwise=broken if fsync == "no" else State.WARNING,
        )
    ]  # fmt: skip
    if persistence.get("aof_last_write_status", "ok") != "ok":
        todo = "The append-only file can't be written; is the disk full? Every write is refused until it can."
        found.append(Finding("memory: disk", State.FAILED, "the last write failed", todo))
    return found


def _replicas(config: Mapping[str, str], replication: Mapping[str, str], wanted: Wanted) -> list[Finding]:
    count = int(replication.get("connected_slaves", 0))
    if wanted.replicated and count < wanted.replicas:
        todo = (
            f"{wanted.replicated}: every hold is refused until {wanted.replicas} replicas are connected. "
            "Start them, or give the sales another hold_durability."
        )
        return [Finding("memory: replicas", State.FAILED, str(count or "none"), todo)]
    if count == 0:
        todo = "With a replica a sale goes on when this host is lost; without, it waits for a new one."
        return [Finding("memory: replicas", State.WARNING, "none", todo)]
    states = [
        dict(part.split("=", 1) for part in replication.get(f"slave{number}", "").split(",") if "=" in part)
        for number in range(count)
    ]
    lag = max(int(state.get("lag", 0)) for state in states)
    online = all(state.get("state") == "online" for state in states)
    found = [
        check(
            "memory: replicas", online and lag <= REPLICA_LAG_SECONDS_MOST,
            f"{count}, the slowest {lag} s behind{'' if online else ', not all online'}",
            "A failover to a lagging replica loses holds; their receipts confirm them while units are left.",
            otherwise=State.WARNING,
        )
    ]  # fmt: skip
    least = config.get("min-replicas-to-write")
    if least is not None:
        found.append(
            check(
                "memory: split brain", int(least) > 0, f"min-replicas-to-write {least}",
                "min-replicas-to-write 1, min-replicas-max-lag 2: else a primary that is cut off goes on "
                "granting holds that will be lost. Orders are safe: the ledger takes one history.",
                otherwise=State.WARNING,
            )
        )  # fmt: skip
    return found


async def _cluster(kernel: Kernel, server: Mapping[str, str]) -> list[Finding]:
    if _mode(server) != "cluster":
        return []
    try:
        info = await kernel.cluster_info()
    except MemoryAway as error:
        return [Finding("memory: cluster", State.WARNING, str(error), "CLUSTER INFO must be allowed.")]
    covered = info.get("cluster_slots_ok", "0")
    return [
        check(
            "memory: cluster", info.get("cluster_state") == "ok" and covered == "16384",
            f"state {info.get('cluster_state')}, {covered} of 16384 slots served",
            "Cover every slot: the partitions on the missing ones answer 503.",
        )
    ]  # fmt: skip


def _mode(server: Mapping[str, str]) -> str:
    return server.get("redis_mode") or server.get("server_mode", "")


async def _config(kernel: Kernel) -> dict[str, str]:
    """Return the server's configuration; empty where CONFIG is not allowed, as on managed servers."""
    try:
        return await kernel.config(*CONFIG)
    except MemoryAway:
        return {}
