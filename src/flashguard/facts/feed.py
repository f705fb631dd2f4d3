"""The feed: pages of facts, each with the cursor of the next."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import asyncpg

from flashguard.errors import Code
from flashguard.ledger import Ledger
from flashguard.ledger.facts import FactBook
from flashguard.ledger.unreadable import CANT_BE_READ, TIMES_UNREADABLE, UNREADABLE
from flashguard.model import Fact, FactPage, Refused
from flashguard.webhooks.messages import data_of, id_of

from .cursor import Cursor, decode, encode, run_of
from .waiting import NewFacts, TooManyReaders

if TYPE_CHECKING:
    import asyncio

NOW: Final = "now"
"""In place of a cursor: only what happens from now on."""
FULL_RETRY_SECONDS: Final = 2.0
INVALID: Final = Refused(code=Code.INVALID_REQUEST, detail="after: is not a cursor of this feed")
EXPIRED: Final = Refused(
    code=Code.CURSOR_EXPIRED,
    detail="Facts after this cursor were deleted, because they were too old, or because the feed was not "
    "read for as long as facts are kept. Read what you need from the orders, then read the feed without a "
    "cursor.",
)
RESTORED: Final = Refused(
    code=Code.CURSOR_EXPIRED,
    detail="The ledger does not have the fact at this cursor: it was restored from a backup. Read what you "
    "need from the orders, then read the feed without a cursor.",
)


class FactFeed:
    """Reads the feed. Every method raises `LedgerAway` when PostgreSQL does not answer.

    Parameters:
        next_commit: returns a future that is done when the next commit is announced.
    """

    def __init__(
        self, ledger: Ledger, partitions: int, next_commit: "Callable[[], asyncio.Future[None]]"
    ) -> None:
        self._book = FactBook(ledger)
        self._partitions = partitions
        self.new_facts = NewFacts(self._book, next_commit)

    async def read(self, after: str | None, limit: int, *, wait_seconds: float = 0.0) -> FactPage | Refused:
        """Return the next facts; where there are none, wait this long for the first. The first read of all
        starts the feed.

        Parameters:
            after: the cursor of a page; NOW; or None: from the oldest fact that is kept.
        """
        cursor = await self._cursor_of(after)
        page = cursor if isinstance(cursor, Refused) else await self._page(cursor, limit)
        if isinstance(page, Refused) or page[0].data or not wait_seconds:
            return page if isinstance(page, Refused) else page[0]
        try:
            await self.new_facts.beyond(page[1].ids, wait_seconds)
        except TooManyReaders:
            return Refused(
                code=Code.OVERLOADED, detail="This process has its maximum number of readers that wait.",
                retry_after_seconds=FULL_RETRY_SECONDS,
            )  # fmt: skip
        page = await self._page(page[1], limit)
        return page if isinstance(page, Refused) else page[0]

    async def _cursor_of(self, after: str | None) -> Cursor | Refused:
        if after is not None and after != NOW:
            return decode(after, self._partitions) or INVALID
        state = await self._book.state(0, 0)
        if state is None:
            await self._book.start()
            state = await self._book.state(0, 0)
            if state is None:
                raise AssertionError("a feed that was started has a state")
        ids = state.forgotten if after is None else await self._book.newest()
        return Cursor(run_of(state.since), ids)

    async def _page(self, cursor: Cursor, limit: int) -> tuple[FactPage, Cursor] | Refused:
        """Return the page after the cursor, and the cursor after the page."""
        rows = await self._book.after(cursor.ids, limit)
        # What was deleted before these rows were read is noted now: nothing is missed silently.
        state = await self._book.state(cursor.newest, cursor.ids[cursor.newest])
        if state is None or run_of(state.since) != cursor.since_us:
            return EXPIRED
        if any(gone > seen for gone, seen in zip(state.forgotten, cursor.ids, strict=True)):
            return EXPIRED
        forgotten = state.forgotten[cursor.newest] == cursor.ids[cursor.newest]
        if cursor.written_us is not None and state.written_us != cursor.written_us and not forgotten:
            return RESTORED
        after = cursor
        if rows:
            ids = list(cursor.ids)
            for row in rows:
                ids[row["partition"]] = row["id"]
            after = Cursor(cursor.since_us, tuple(ids), rows[-1]["partition"], rows[-1]["written_us"])
        return FactPage(data=tuple(_facts(rows)), next_cursor=encode(after), since=state.since), after


def _facts(rows: list[asyncpg.Record]) -> list[Fact]:
    """Return the facts of these rows; a row that can't be read is left out and logged, and stops no other."""
    facts: list[Fact] = []
    for row in rows:
        try:
            if not row["readable"]:
                raise ValueError(TIMES_UNREADABLE)
            facts.append(Fact(id=id_of(row), type=row["type"], timestamp=row["at"], data=data_of(row)))
        except CANT_BE_READ as error:
            UNREADABLE.note("fact", str(row["id"]), error)
    return facts
