"""The admin log: what operators did. Lines are added, and never changed."""

import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

import asyncpg
import msgspec
from msgspec import Struct

from flashguard.errors import FlashGuardError

from .connections import Connection, Connections
from .sql import query

MAX_TEXT: Final = 200
"""Characters that are kept of a text."""
MAX_AGENT: Final = 120
MAX_LIST: Final = 50
"""Entries that are kept of a list in a detail."""
KEPT_DAYS_LEAST: Final = 90
"""The ledger refuses to delete younger lines."""
SECRETS: Final = re.compile(r"fg_live_\S+|fg_admin_\S+|whsec_\S+|eyJ[\w-]+\.[\w.-]*")
"""API keys, admin keys, webhooks' secrets and tokens: someone may put one where an id belongs."""
FORGET_AT_ONCE: Final = 5_000
"""Lines that one statement deletes."""


class ActionOutcome(StrEnum):
    """What became of an operator's call."""

    DONE = "done"
    REPLAYED = "replayed"
    """The same idempotency key had done it before."""
    REFUSED = "refused"
    FAILED = "failed"
    """Answered with 5xx: it may have taken effect."""


class AdminAction(Struct, kw_only=True):
    """What an operator asks for: a line of the admin log.

    Parameters:
        actor: an API key's id, `bootstrap` for FLASHGUARD_ADMIN_KEY, or `cli:` and the user of a command.
        operation: the call, such as `POST /v1/keys`, or the command.
        target: the id of what it is about.
        detail: what else the call names; never a secret.
        agent: what the client says it is.
    """

    id: str
    at: datetime
    actor: str
    operation: str
    target: str = ""
    outcome: ActionOutcome = ActionOutcome.DONE
    code: str | None = None
    detail: dict[str, Any] = {}
    address: str | None = None
    agent: str | None = None
    request_id: str | None = None

    def about(self, target: str, **detail: object) -> None:
        """Set the target, and add to the detail."""
        self.target = plain(target)
        self.detail = self.detail | {name: _kept(value) for name, value in detail.items()}


class LoggedAction(AdminAction, kw_only=True):
    """A line of the admin log as it is read.

    Parameters:
        actor_name: the API key's name; None where the actor has none.
    """

    actor_name: str | None = None


class LogFilter(Struct, frozen=True, kw_only=True):
    """Which lines to read: those that have each of these values; None: any."""

    actor: str | None = None
    operation: str | None = None
    target: str | None = None
    outcome: str | None = None
    since: datetime | None = None
    until: datetime | None = None


ALL: Final = LogFilter()


class MayNotForget(FlashGuardError):
    """This role may not delete lines of the admin log: run the command as the role that owns the schema."""


def new_action(actor: str, operation: str, **more: Any) -> AdminAction:
    """Return what an operator asks for now."""
    return AdminAction(
        id=f"act_{secrets.token_hex(12)}", at=datetime.now(UTC), actor=actor, operation=operation, **more
    )


def plain(text: str, most: int = MAX_TEXT) -> str:
    """Return a text as the log keeps it: printable, short, and without what looks like a secret."""
    shown = SECRETS.sub("…", text)[:most]
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in shown)


def _kept(value: object) -> object:
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, Mapping):
        return {plain(str(name)): _kept(each) for name, each in value.items()}
    if isinstance(value, Sequence):
        return [_kept(each) for each in value[:MAX_LIST]]
    return value


async def note(connection: Connection, action: AdminAction | None) -> None:
    """Write a line in the transaction of the change that it tells of."""
    if action is not None:
        await connection.execute(query("note_admin_actions"), msgspec.json.encode([action]).decode())


class AdminLogBook:
    """Reads and writes the admin log. Every method raises `LedgerAway` when PostgreSQL does not answer."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def note(self, actions: Sequence[AdminAction]) -> None:
        """Write these lines; one that is there already stays as it is."""
        await self._connections.run("note_admin_actions", msgspec.json.encode(actions).decode())

    async def page(
        self, before: tuple[datetime, str] | None, limit: int, which: LogFilter = ALL
    ) -> list[LoggedAction]:
        """Return a page of lines, newest first."""
        at, id_ = before or (None, "")
        rows = await self._connections.rows(
            "admin_log_page", at, id_, which.actor, which.operation, which.target, which.outcome,
            which.since, which.until, limit,
        )  # fmt: skip
        return [LoggedAction(**{**row, "detail": msgspec.json.decode(row["detail"])}) for row in rows]

    async def forget(self, before: datetime) -> int:
        """Delete the lines before this time, in bounded steps; return how many.

        Raises:
            ValueError: lines would go that the ledger keeps.
            MayNotForget: only the owner of the schema may.
        """
        if before > datetime.now(UTC) - timedelta(days=KEPT_DAYS_LEAST):
            raise ValueError(f"lines of the last {KEPT_DAYS_LEAST} days stay")
        gone = 0
        try:
            while True:
                count = await self._connections.run("forget_admin_log", before, FORGET_AT_ONCE)
                gone += count
                if count < FORGET_AT_ONCE:
                    return gone
        except asyncpg.InsufficientPrivilegeError as error:
            raise MayNotForget(
                f"This role may not shorten the admin log ({error}): use the role that owns the schema."
            ) from error
