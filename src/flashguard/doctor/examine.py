"""Runs every check; what it could not check is a finding too."""

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

import asyncpg

from flashguard.errors import ConfigurationError
from flashguard.kernel.errors import MemoryAway
from flashguard.kernel.kernel import Kernel
from flashguard.ledger import Ledger, LedgerAway, checks
from flashguard.recorder.status import recorder_state
from flashguard.settings import Mode, Settings

from .access import examine_access
from .finding import Finding, State, check
from .ledger import examine_commits, examine_ledger
from .memory import Wanted, examine_policy
from .permissions import examine_permissions
from .secrets import examine_secrets
from .topology import examine_topology
from .versions import examine_versions

CLOCKS_APART_MS_MOST: Final = 500
LAG_ENTRIES_MOST: Final = 1_000


async def examine(settings: Settings, kernel: Kernel, ledger: Ledger) -> list[Finding]:
    """Return every finding about this deployment. A server that does not answer is a finding too."""
    prepared, connections = settings.keeps_prepared, settings.ledger_connections
    wanted = await _wanted(ledger, settings.hold_replicas)
    return [
        *await _try("memory", lambda: examine_topology(kernel, wanted)),
        *await _try("ledger", lambda: examine_ledger(ledger, prepared=prepared, connections=connections)),
        *await _try("ledger", lambda: examine_access(ledger, production=settings.mode is Mode.PRODUCTION)),
        *await _try("ledger", lambda: examine_secrets(settings, ledger)),
        *await _try("servers", lambda: _versions(kernel, ledger, settings)),
        *await _try("clocks", lambda: _clocks(kernel, ledger)),
        *await _try("recorder", lambda: _recorder(kernel, ledger)),
    ]


async def examine_at_start(
    settings: Settings, kernel: Kernel, ledger: Ledger, part: str = ""
) -> list[Finding]:
    """Run the cheap checks of what would break a promise, such as a command that our user may not run: a
    script that is refused one has done its first half.

    Parameters:
        part: api or recorder, which need not be allowed the same.

    Returns:
        the findings that an operator should see.

    Raises:
        ConfigurationError: in production, a promise can't be kept on this deployment.
    """
    found = [
        *await _try("memory", lambda: examine_policy(kernel), away=State.WARNING),
        *await _try("memory", lambda: examine_permissions(kernel, part), away=State.WARNING),
        *await _try("ledger", lambda: examine_commits(ledger), away=State.WARNING),
    ]
    failed = [each for each in found if each.state is State.FAILED]
    if failed and settings.mode is Mode.PRODUCTION:
        lines = "".join(f"\n  {each.name}: {each.found}. {each.todo}" for each in failed)
        raise ConfigurationError(f"FlashGuard can't keep its promises on this deployment:{lines}")
    return [each for each in found if each.state is not State.OK]


async def _wanted(ledger: Ledger, replicas: int) -> Wanted:
    """Return what the sales promise; as for no sales when the ledger does not answer."""
    try:
        return Wanted.of(await checks.durabilities(ledger), replicas)
    except (LedgerAway, asyncpg.PostgresError):
        return Wanted.of({}, replicas)


async def _try(
    what: str, run: Callable[[], Awaitable[list[Finding]]], *, away: State = State.FAILED
) -> list[Finding]:
    try:
        return await run()
    except (MemoryAway, LedgerAway) as error:
        return [Finding(what, away, str(error), "Is the server up, and the address right?")]
    except (asyncpg.InsufficientPrivilegeError, ConfigurationError) as error:
        return [Finding(what, away, str(error), "May this account see the tables? `ledger: rights` says so.")]


async def _versions(kernel: Kernel, ledger: Ledger, settings: Settings) -> list[Finding]:
    today = datetime.now(UTC).date()
    return await examine_versions(kernel, ledger, embedded=settings.embedded, today=today)


async def _clocks(kernel: Kernel, ledger: Ledger) -> list[Finding]:
    memory_ms, here_ms = await kernel.now_ms(), time.time() * 1000
    ledger_ms = await checks.now_ms(ledger)
    apart = max(abs(memory_ms - here_ms), abs(ledger_ms - here_ms))
    return [
        check(
            "clocks", apart <= CLOCKS_APART_MS_MOST,
            f"memory {memory_ms - here_ms:+.0f} ms, ledger {ledger_ms - here_ms:+.0f} ms beside this machine",
            "Run NTP everywhere: holds end by memory's clock, pages count down by the visitor's.",
            otherwise=State.WARNING,
        )
    ]  # fmt: skip


async def _recorder(kernel: Kernel, ledger: Ledger) -> list[Finding]:
    partitions = (await ledger.installation()).partitions
    state = await recorder_state(kernel, ledger, partitions)
    each_has = "".join(
        f"; {name} has {', '.join(map(str, has)) or 'none'}" for name, has in sorted(state.shares.items())
    )
    return [
        check(
            "recorder: running", state.recorders > 0, f"{state.recorders} running{each_has}",
            "Start `flashguard recorder`: without it no order is confirmed and no hold ends.",
        ),
        check(
            "recorder: lag", state.lag_entries <= LAG_ENTRIES_MOST, f"{state.lag_entries} entries",
            "Is PostgreSQL slow? Beyond FLASHGUARD_MAX_BACKLOG_ENTRIES holds are refused.",
            otherwise=State.WARNING,
        ),
        check(
            "partitions", not state.fenced,
            "all open" if not state.fenced else "; ".join(f"{n}: {why}" for n, why in state.fenced.items()),
            "A recorder rebuilds them; where the reason asks for it, run `flashguard recover`.",
        ),
    ]  # fmt: skip
