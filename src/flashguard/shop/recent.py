"""Sales as readers see them: one read for all readers of a sale, at most 100 ms old."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context
from time import monotonic as _clock
from typing import Final

from flashguard.model import Sale, SaleId

MAX_AGE_SECONDS: Final = 0.1
"""Age at which a sale is read again, when the next reader comes. A crowd of any size costs ten reads a
second."""
MAX_LINES: Final = 20_000
"""Sales and items that are kept at most: about 20 MB with their encoding."""


class Reading:
    """A sale as one read found it; None where there was none.

    Attributes:
        began: when the read began, by the clock of this process.
        answer: what the first reader made of the sale, for those after it; None: nothing yet. The next
            reading of the same, unchanged sale takes it over.
    """

    __slots__ = ("answer", "began", "sale")

    def __init__(self, sale: Sale | None, began: float) -> None:
        self.sale = sale
        self.began = began
        self.answer: object | None = None

    @property
    def lines(self) -> int:
        return 1 if self.sale is None else 1 + len(self.sale.items)


class _Read:
    """A read in progress, which every reader that came before it began may share."""

    __slots__ = ("began", "task")

    def __init__(self, began: float) -> None:
        self.began = began
        self.task: asyncio.Task[Reading]


class RecentSales:
    """The newest reading of each sale that is read. Without readers nothing is read.

    Parameters:
        read: returns a sale as it is now; None where there is none.
    """

    def __init__(self, read: Callable[[SaleId], Awaitable[Sale | None]]) -> None:
        self._read = read
        self._readings: dict[SaleId, Reading] = {}
        """The oldest first."""
        self._reads: dict[SaleId, _Read] = {}
        self._lines = 0

    def get(self, sale: SaleId) -> Reading | None:
        """Return the newest reading; None where it is too old, or there is none."""
        reading = self._readings.get(sale)
        return None if reading is None or reading.began <= _clock() - MAX_AGE_SECONDS else reading

    async def sale(self, sale: SaleId) -> Sale | None:
        """Return a sale as it was at most 100 ms ago; None where there is none."""
        return (await self.read(sale)).sale

    async def read(self, sale: SaleId, *, newest: bool = False) -> Reading:
        """Return a reading that began at most 100 ms ago.

        Parameters:
            newest: demand one that begins from now on.

        Raises:
            LedgerAway: PostgreSQL does not answer.
        """
        since = _clock() - (0.0 if newest else MAX_AGE_SECONDS)
        while True:
            reading = self._readings.get(sale)
            if reading is not None and reading.began > since:
                return reading
            read = self._reads.get(sale)
            if read is None or read.began > since:
                return await asyncio.shield((read or self._begin(sale)).task)
            await asyncio.wait([read.task])  # it began too early for this reader, who shares the next

    def forget(self, sale: SaleId) -> None:
        """Make the next reader read again, because this process changed the sale."""
        self._reads.pop(sale, None)
        self._drop(sale)

    def clear(self) -> None:
        """Forget all sales: the process was frozen, and its clock perhaps too."""
        for sale in {*self._readings, *self._reads}:
            self.forget(sale)

    def _begin(self, sale: SaleId) -> _Read:
        read = self._reads[sale] = _Read(_clock())
        # In a context of its own: the log must not name the first reader's request in what is done for all.
        read.task = asyncio.get_running_loop().create_task(self._finish(sale, read), context=Context())
        read.task.add_done_callback(_notice)
        return read

    async def _finish(self, sale: SaleId, read: _Read) -> Reading:
        try:
            reading = Reading(await self._read(sale), read.began)
            if self._reads.get(sale) is read:  # else the sale was changed meanwhile
                self._keep(sale, reading)
            return reading
        finally:
            if self._reads.get(sale) is read:
                del self._reads[sale]

    def _keep(self, sale: SaleId, reading: Reading) -> None:
        before = self._drop(sale)
        if before is not None and before.sale == reading.sale:
            reading.answer = before.answer
        self._readings[sale] = reading
        self._lines += reading.lines
        while self._lines > MAX_LINES and len(self._readings) > 1:
            self._drop(next(iter(self._readings)))

    def _drop(self, sale: SaleId) -> Reading | None:
        reading = self._readings.pop(sale, None)
        if reading is not None:
            self._lines -= reading.lines
        return reading


def _notice(task: "asyncio.Task[Reading]") -> None:
    """Take note of a failed read whose readers have all left."""
    if not task.cancelled():
        task.exception()
