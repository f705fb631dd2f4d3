"""FlashGuard for use inside any asyncio program: reserve, buy, confirm, release, extend.

The HTTP API is built on this class and on nothing else. Selling outcomes are values (`Granted` or
`Refused`); the shop's own side (sales, stock, orders, audit) is `shop`.
"""

import asyncio
import contextlib
import functools
import logging
from collections import Counter
from collections.abc import Sequence
from math import inf
from secrets import token_hex
from typing import Any, Final, Self

from flashguard.access.rate_limits import Rates
from flashguard.access.tokens import KeyRing
from flashguard.engine.announcements import Announcements
from flashguard.engine.customers import WHAT_IT_IS, one_customer
from flashguard.engine.decisions import Decision, Decisions, Fate
from flashguard.engine.durability import Copies
from flashguard.engine.late_confirm import grant_of, lines_of, read_receipt, too_late
from flashguard.engine.listening import Listening, check
from flashguard.engine.outcomes import (
    IN_FLIGHT_RETRY_SECONDS,
    first_outcome,
    has_been,
    is_confirmed,
    is_of_that,
    is_released,
    newly_confirmed,
    newly_held_for_good,
    refusal,
    refused_by_fate,
)
from flashguard.engine.receipts import IdKind, Receipt, Signer
from flashguard.errors import Code, ConfigurationError
from flashguard.journal import Watermark
from flashguard.kernel import keys
from flashguard.kernel.kernel import Kernel, MemoryAway, Verb
from flashguard.ledger import Installation, Ledger, LedgerAway, UnreadableRow, lines_from_flat
from flashguard.model import (
    CustomerId,
    Durability,
    Granted,
    Key,
    Line,
    Outcome,
    Refused,
    Reservation,
    ReservationId,
    ReservationStatus,
    SaleId,
    SaleStatus,
    from_millis,
    invalid_basket,
    is_str,
    merge_lines,
    public_sale,
    split_reservation_id,
    unknown,
    unknown_sale,
)
from flashguard.model.arguments import KEY, MAX_MILLIS, is_key, must
from flashguard.model.fingerprints import fingerprint, request_fingerprint
from flashguard.settings import Settings
from flashguard.shop.orders import Orders
from flashguard.shop.sales import Shop
from flashguard.spread import At, Spread
from flashguard.valkey.client import MemoryClient
from flashguard.valkey.connect import connect_kernel
from flashguard.valkey.errors import RedisError
from flashguard.waiting.room import WaitingRooms
from flashguard.waiting.waiting_list import WaitingList

log = logging.getLogger("flashguard")

LEDGER_POLL_SECONDS: Final = 0.02


class FlashGuard:
    """The engine, connected to its memory and its ledger. A recorder must run somewhere: see `Recorder`.

    Use it as `async with await FlashGuard.connect(settings) as guard: …`.

    An argument of a wrong type, or out of bounds, is refused as `invalid-request`; methods whose answer has
    no refusals raise ValueError, or answer that there is no such thing.
    """

    def __init__(
        self,
        settings: Settings,
        client: MemoryClient,
        ledger: Ledger,
        installation: Installation,
        *,
        lone: bool = False,
    ) -> None:
        self.settings = settings
        self.ledger = ledger
        self.kernel = Kernel(client, max_backlog=settings.max_backlog_entries)
        self.partitions = installation.partitions
        self.signer = Signer(installation.secret)
        self.watermark = Watermark()
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.decisions = Decisions(self.kernel, ledger, self.watermark, settings, installation.partitions)
        circuits = self.decisions.circuits
        self.rates = Rates(self.kernel, circuits.limits, settings, alone=circuits.apart)
        self.spread = Spread(self.kernel, ledger, self.decisions, settings)
        self.copies = Copies(client, settings.hold_replicas, settings.memory_timeout_seconds)
        self.shop = Shop(self.kernel, ledger, self.decisions, settings, self.spread, self.copies)
        self.orders = Orders(ledger, self.decisions, settings)
        self._fold_case = settings.customer_case == "fold"
        self.waiting = WaitingList(self.decisions, ledger, self.signer, self.customer_of)
        self.rooms = WaitingRooms(self.decisions, ledger, self.signer, KeyRing(), self.customer_of)
        self._client = client
        channels = [keys.recorded(number) for number in range(installation.partitions)]
        if lone:
            self.decisions.listening = Listening(client, self.watermark.announced)
        self._announcements = Announcements(client, channels, self.watermark.announced)
        self._listener = None if lone else asyncio.create_task(self._announcements.run())

    @classmethod
    async def connect(cls, settings: Settings | None = None, *, lone: bool = False) -> Self:
        """Connect to the servers that the settings name, or to those of the `flashguard up` that runs here.

        Parameters:
            lone: one of very many, with few requests each: hears of commits only while it waits for one.

        Raises:
            ConfigurationError: these are no settings, no server is named and no `up` runs on the data
                directory, or the ledger is not migrated.
            LedgerAway, MemoryAway: a server can't be reached.
        """
        if settings is not None and not isinstance(settings, Settings):
            raise ConfigurationError("settings: must be Settings, or None")
        settings = settings or Settings()
        if not settings.redis_url or not settings.database_url:
            # Imported here: a process whose servers are named, as on AWS Lambda, does not load it.
            from flashguard.embedded.run_file import with_servers

            settings = with_servers(settings)
        assert settings.redis_url
        assert settings.database_url
        ledger = await Ledger.connect(
            settings.database_url,
            connections=settings.ledger_connections,
            prepared=settings.keeps_prepared,
            timeout=settings.ledger_timeout_seconds,
        )
        try:
            installation = await ledger.installation()
        except BaseException:
            await ledger.close()
            raise
        client = connect_kernel(settings.redis_url, settings)
        guard = cls(settings, client, ledger, installation, lone=lone)
        try:
            async with asyncio.timeout(settings.memory_timeout_seconds):
                await guard.kernel.load_scripts()
                if not lone:
                    await guard._announcements.subscribed.wait()
        except (RedisError, OSError, TimeoutError) as error:
            await guard.close()
            raise MemoryAway(str(error) or "no answer in time") from error
        except BaseException:
            await guard.close()
            raise
        return guard

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Answers what was asked so far, then closes the connections."""
        await self.spread.drain()
        await self.decisions.drain()
        if self._listener is not None:
            self._listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listener
        if self.decisions.listening is not None:
            self.decisions.listening.close()
        await self._client.aclose()
        self.copies.close()
        await self.ledger.close()

    async def renew(self, seconds: float) -> None:
        """Gives up connections that don't answer in time: for a process that was frozen.

        Raises:
            ValueError: `seconds` is no finite number above 0.
        """
        must((type(seconds) in (int, float) and 0 < seconds < inf, "seconds: a number above 0"))
        listening = self.decisions.listening
        await asyncio.gather(
            check(self._client, seconds),
            self.ledger.check(seconds),
            *([] if listening is None else [listening.check(seconds)]),
        )

    def customer_of(self, text: str) -> CustomerId | None:
        """The spelling of a customer's id that counts; None when it can't be one."""
        return one_customer(text, fold_case=self._fold_case) if type(text) is str or is_str(text) else None

    async def reserve(
        self,
        sale: str,
        customer: str,
        lines: Sequence[Line],
        *,
        key: Key | None = None,
        admitted_until: int = 0,
    ) -> Outcome:
        """Sets units aside until `expires_at`.

        Parameters:
            lines: what to hold, all or nothing; the same sku twice adds up.
            key: an idempotency key; the same one again answers the first outcome.
            admitted_until: until when the sale's waiting room admitted this customer, in memory's
                milliseconds, see `rooms.admitted_until`; a sale without a room does not look at it.
        """
        return await self._take(
            SaleId(sale), CustomerId(customer), lines, key, buy=False, admitted_until=admitted_until
        )

    async def buy(
        self,
        sale: str,
        customer: str,
        lines: Sequence[Line],
        *,
        key: Key | None = None,
        admitted_until: int = 0,
    ) -> Outcome:
        """Reserves and confirms in one atomic step; `confirmed` means committed in PostgreSQL."""
        return await self._take(
            SaleId(sale), CustomerId(customer), lines, key, buy=True, admitted_until=admitted_until
        )

    async def _take(
        self,
        sale: SaleId,
        customer: CustomerId,
        lines: Sequence[Line],
        key: Key | None,
        *,
        buy: bool,
        admitted_until: int,
        at: At | None = None,
    ) -> Outcome:
        one = self.customer_of(customer)
        wrong = WHAT_IT_IS if one is None else invalid_basket(sale, one, lines)
        if wrong or one is None:
            return Refused(code=Code.INVALID_REQUEST, detail=wrong or WHAT_IT_IS)
        if not (key is None or is_key(key)):
            return Refused(code=Code.INVALID_REQUEST, detail=KEY)
        if type(admitted_until) is not int or not 0 <= admitted_until <= MAX_MILLIS:
            return Refused(code=Code.INVALID_REQUEST, detail="admitted_until: milliseconds, a whole number")
        customer = one
        merged = merge_lines(tuple(lines))
        more: tuple[int, ...] = (admitted_until,) if admitted_until else ()
        whose: CustomerId | None = None
        if at is not None:
            more = (admitted_until, at.spread)
            sale, whose = at.part, customer
        elif sale in self.spread.known:
            ask = functools.partial(
                self._take, sale, customer, merged, key, buy=buy, admitted_until=admitted_until
            )
            return await self.spread.take(sale, customer, merged, lambda at: ask(at=at))
        short = self.signer.short_id(IdKind.RESERVATION, sale, key, customer=whose)
        flat = [value for line in merged for value in (line.sku, line.quantity)]
        body = request_fingerprint("buy" if buy else "hold", customer, merged)
        decision = await self.decisions.ask(
            Verb.RESERVE,
            sale,
            (short, body, customer, flat, buy, *more),
            id_=short,
            durable=newly_confirmed if buy else newly_held_for_good,
            same=lambda _, found: (
                found.fingerprint == body and (has_been(ReservationStatus.CONFIRMED, found) or not buy)
            ),
        )
        if decision.fate is Fate.REFUSED_BY_LEDGER:
            return await self._refused(sale, short, body)
        refused = refused_by_fate(decision)
        if refused:
            return refused
        result = decision.result
        match result[0]:
            case "held" | "confirmed":
                return await self._granted(sale, short, customer, merged, result)
            case "unknown-sale" if at is not None or not await self.spread.proves(sale):
                return await self._sale_not_in_memory(sale, short, body)
            case "spread" | "unknown-sale":  # this process did not know
                if result[0] == "spread":
                    self.spread.note(public_sale(sale), result[1])
                if at is not None:
                    return Refused(code=Code.RECOVERING, retry_after_seconds=IN_FLIGHT_RETRY_SECONDS)
                return await self._take(sale, customer, merged, key, buy=buy, admitted_until=admitted_until)
            case "idempotency-mismatch":
                with contextlib.suppress(LedgerAway):
                    if await self.ledger.parked_of_id(sale, short):
                        return Refused(code=Code.LEDGER_REFUSED)
        return refusal(result)

    async def _granted(
        self, sale: SaleId, short: str, customer: CustomerId, lines: tuple[Line, ...], result: list[Any]
    ) -> Outcome:
        word, replayed, created_ms, hold_ms, ended_ms, seq, *durability = result
        if word == "confirmed" and replayed and seq:
            found = await self._recorded(sale, short, ReservationStatus.CONFIRMED, wait=False)
            if isinstance(found, Refused):
                return found
        held = word == "held"
        if (
            held
            and (durability or not self.copies.server_waits(self.decisions.partition(sale)))
            and not await self._kept(sale, short, durability, replayed=replayed)
        ):
            return Refused(
                code=Code.OVERLOADED,
                detail="Not kept as the sale demands in time. The same idempotency key tells the outcome.",
                retry_after_seconds=IN_FLIGHT_RETRY_SECONDS,
            )
        id_ = ReservationId(f"{sale}.{short}")
        receipt = None
        if held:
            receipt = self._receipt(id_, customer, lines, created_ms, created_ms + hold_ms)
        reservation = Reservation(
            id=id_,
            sale_id=public_sale(sale),
            customer=customer,
            status=ReservationStatus(word),
            items=lines,
            created_at=from_millis(created_ms),
            expires_at=from_millis(created_ms + hold_ms) if held else None,
            confirmed_at=None if held else from_millis(ended_ms),
            receipt=receipt,
        )
        return Granted(reservation, replayed)

    async def _kept(self, sale: SaleId, short: str, durability: list[str], *, replayed: bool) -> bool:
        """Whether a hold is kept as its sale demands; a new one of `ledger` has waited already."""
        partition = self.decisions.partition(sale)
        if not durability:
            return await self.copies.reach(Durability.DISK, partition)
        if durability[0] == Durability.LEDGER:
            return not replayed or await self._is_recorded(sale, short)
        return await self.copies.reach(Durability(durability[0]), partition)

    async def _is_recorded(self, sale: SaleId, short: str) -> bool:
        """Whether the ledger has this reservation, in any state; waits for the recorder."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.settings.record_timeout_seconds
        while loop.time() < deadline:
            try:
                if await self.ledger.reservation(sale, short) is not None:
                    return True
            except UnreadableRow:
                return True
            except LedgerAway:
                pass
            await asyncio.sleep(LEDGER_POLL_SECONDS)
        return False

    def _receipt(
        self,
        id_: ReservationId,
        customer: CustomerId,
        lines: tuple[Line, ...],
        created_ms: int,
        expires_ms: int,
    ) -> str:
        pairs = tuple((line.sku, line.quantity) for line in lines)
        return self.signer.sign(Receipt(id_, customer, pairs, created_ms, expires_ms))

    async def confirm(self, id_: str, *, receipt: str | None = None) -> Outcome:
        """Turns a live hold into an order, committed in PostgreSQL. A second confirm answers the same order.

        A hold whose time has ended is not confirmed: `reservation-expired`, with what to refund.

        Parameters:
            receipt: what the hold was answered with. It has a hold that ended, or that a lost memory forgot,
                honoured while its units can be had.
        """
        shown = None
        if receipt is not None:
            read = read_receipt(self.signer, receipt, ReservationId(id_))
            if isinstance(read, Refused):
                return read
            shown = read
        return await self._end(id_, Verb.CONFIRM, ReservationStatus.CONFIRMED, is_confirmed, shown)

    async def release(self, id_: str) -> Outcome:
        """Gives a live hold's units back to stock at once; `released` means written down in PostgreSQL."""
        return await self._end(id_, Verb.RELEASE, ReservationStatus.RELEASED, is_released)

    async def _end(
        self,
        id_: str,
        verb: Verb,
        status: ReservationStatus,
        durable: Any,
        receipt: Receipt | None = None,
    ) -> Outcome:
        name = split_reservation_id(id_)
        if name is None:
            return unknown(Code.UNKNOWN_RESERVATION, id_)
        sale, short = name
        ask = functools.partial(
            self.decisions.ask,
            verb,
            sale,
            (short,) if receipt is None else (short, grant_of(receipt)),
            id_=short,
            durable=durable,
            same=lambda result, found: has_been(status, found) and is_of_that(result, found),
        )
        decision = await ask()
        if receipt is not None and "sold-out" in decision.result[:2]:
            again = await self.spread.honour(sale, lines_of(receipt), decision, ask)
            if isinstance(again, Refused):
                return again
            decision = again
        if verb is Verb.RELEASE and decision.fate in (Fate.REFUSED_BY_LEDGER, Fate.LOST):
            return await self._not_in_memory(sale, short, status)
        refused = refused_by_fate(decision)
        if refused:
            return refused
        result = decision.result
        if result[0] == status:
            return Granted(self._ended(sale, short, status, result))
        if result[0] == "as-it-is":
            found = await self._recorded(sale, short, status, wait=bool(result[1]))
            return found if isinstance(found, Refused) else Granted(found, True)
        if result[0] in ("unknown-reservation", "unknown-sale"):
            return await self._not_in_memory(sale, short, status, receipt)
        if verb is Verb.CONFIRM and result[0] in ("reservation-expired", *_CANT_BE_HONOURED):
            why = str(result[1]) if result[0] == "reservation-expired" and len(result) > 1 else None
            lines = () if receipt is None else lines_of(receipt)
            return await too_late(self.ledger, sale, short, refusal(result), why, lines)
        return refusal(result)

    def _ended(self, sale: SaleId, short: str, status: ReservationStatus, result: list[Any]) -> Reservation:
        _, customer, flat, created_ms, _, expires_ms, ended_ms, _ = result
        return Reservation(
            id=ReservationId(f"{sale}.{short}"),
            sale_id=public_sale(sale),
            customer=customer,
            status=status,
            items=lines_from_flat(flat),
            created_at=from_millis(created_ms),
            expires_at=from_millis(expires_ms),
            confirmed_at=from_millis(ended_ms) if status is ReservationStatus.CONFIRMED else None,
        )

    async def extend(self, id_: str, *, key: Key | None = None) -> Outcome:
        """Gives a live hold the sale's hold time again from now, never past its absolute limit."""
        name = split_reservation_id(id_)
        if name is None:
            return unknown(Code.UNKNOWN_RESERVATION, id_)
        if not (key is None or is_key(key)):
            return Refused(code=Code.INVALID_REQUEST, detail=KEY)
        sale, short = name
        body = fingerprint("extend once", token_hex()) if key is None else fingerprint("extend", key)
        decision = await self.decisions.ask(Verb.EXTEND, sale, (short, body))
        refused = refused_by_fate(decision)
        if refused:
            return refused
        result = decision.result
        if result[0] == "held":
            _, replayed, customer, flat, created_ms, _, expires_ms = result
            return Granted(self._live(sale, short, customer, flat, created_ms, expires_ms), replayed)
        if result[0] == "unknown-reservation":
            return await self._not_in_memory(sale, short, ReservationStatus.HELD)
        return refusal(result)

    def _live(
        self, sale: SaleId, short: str, customer: str, flat: list[Any], created_ms: int, expires_ms: int
    ) -> Reservation:
        id_, lines = ReservationId(f"{sale}.{short}"), lines_from_flat(flat)
        return Reservation(
            id=id_,
            sale_id=public_sale(sale),
            customer=CustomerId(customer),
            status=ReservationStatus.HELD,
            items=lines,
            created_at=from_millis(created_ms),
            expires_at=from_millis(expires_ms),
            receipt=self._receipt(id_, CustomerId(customer), lines, created_ms, expires_ms),
        )

    async def reservation(self, id_: str) -> Reservation | Refused:
        """A reservation as it is now: a live hold from memory, anything else from the ledger."""
        name = split_reservation_id(id_)
        if name is None:
            return unknown(Code.UNKNOWN_RESERVATION, id_)
        sale, short = name
        decision = await self.decisions.ask(Verb.LOOK, sale, (short,))
        if decision.fate is Fate.DECIDED and decision.result[0] != "unknown-reservation":
            result = decision.result
            if len(result) == 2:
                return await self._recorded(sale, short, ReservationStatus(result[0]), wait=bool(result[1]))
            _, customer, flat, created_ms, _, expires_ms = result
            live = self._live(sale, short, customer, flat, created_ms, expires_ms)
            if result[0] == "held":
                return live
            return Reservation(
                id=live.id, sale_id=live.sale_id, customer=live.customer, status=ReservationStatus.EXPIRED,
                items=live.items, created_at=live.created_at, expires_at=live.expires_at,
            )  # fmt: skip
        try:
            found = await self.ledger.reservation(sale, short)
        except LedgerAway as error:
            why = str(error) if isinstance(error, UnreadableRow) else ""
            return Refused(code=Code.RECOVERING, detail=why, retry_after_seconds=IN_FLIGHT_RETRY_SECONDS)
        if found is not None:
            return found
        return refused_by_fate(decision) or unknown(Code.UNKNOWN_RESERVATION, id_)

    async def _recorded(
        self, sale: SaleId, short: str, status: ReservationStatus, *, wait: bool
    ) -> Reservation | Refused:
        """A reservation that memory has ended, as the ledger has it; waits for the recorder if asked to."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.settings.record_timeout_seconds
        while True:
            try:
                found = await self.ledger.reservation(sale, short)
                if found is not None and found.status == status:
                    return found
                why = await self.ledger.refusal(sale, short)
                if why is not None:
                    return Refused(code=Code.LEDGER_REFUSED, detail=why)
            except UnreadableRow as error:
                return Refused(
                    code=Code.RECOVERING, detail=str(error), retry_after_seconds=IN_FLIGHT_RETRY_SECONDS
                )
            except LedgerAway:
                pass
            if not wait or loop.time() >= deadline:
                return Refused(code=Code.REQUEST_IN_FLIGHT, retry_after_seconds=IN_FLIGHT_RETRY_SECONDS)
            await asyncio.sleep(LEDGER_POLL_SECONDS)

    async def _sale_not_in_memory(self, sale: SaleId, short: str, body: int) -> Outcome:
        """Memory has no such sale: unknown, long closed, or not loaded yet. The ledger knows."""
        try:
            stored = await self.ledger.sale(sale)
            if stored is None:
                return unknown_sale(sale)
            if stored.sale.status is not SaleStatus.CLOSED:
                return Refused(code=Code.RECOVERING, retry_after_seconds=IN_FLIGHT_RETRY_SECONDS)
            found = await self.ledger.reservation(sale, short)
        except LedgerAway:
            return Refused(code=Code.RECOVERING, retry_after_seconds=IN_FLIGHT_RETRY_SECONDS)
        if found is not None:
            return first_outcome(found, body)
        return Refused(code=Code.SALE_NOT_OPEN, detail="The sale is closed.")

    async def _refused(self, sale: SaleId, short: str, body: int) -> Outcome:
        """The ledger refused what memory granted: memory had lost something, this very key perhaps."""
        try:
            found = await self.ledger.reservation(sale, short)
        except LedgerAway:
            return Refused(code=Code.RECOVERING, retry_after_seconds=IN_FLIGHT_RETRY_SECONDS)
        return Refused(code=Code.LEDGER_REFUSED) if found is None else first_outcome(found, body)

    async def _not_in_memory(
        self, sale: SaleId, short: str, status: ReservationStatus, receipt: Receipt | None = None
    ) -> Outcome:
        """Memory has no such reservation: unknown, or of a sale that memory has forgotten."""
        try:
            found = await self.ledger.reservation(sale, short)
            if found is None and await self.ledger.refusal(sale, short) is not None:
                return Refused(code=Code.LEDGER_REFUSED)
        except LedgerAway:
            return Refused(code=Code.RECOVERING, retry_after_seconds=IN_FLIGHT_RETRY_SECONDS)
        if found is None and receipt is not None:
            return await self._forgotten_with_its_sale(sale, short, receipt)
        if found is None:
            return unknown(Code.UNKNOWN_RESERVATION, f"{sale}.{short}")
        if found.status == status:
            return Granted(found, True)
        if found.status is ReservationStatus.HELD:
            return Refused(code=Code.RECOVERING, retry_after_seconds=IN_FLIGHT_RETRY_SECONDS)
        return Refused(code=Code(f"reservation-{found.status}"))

    async def _forgotten_with_its_sale(self, sale: SaleId, short: str, receipt: Receipt) -> Outcome:
        """A good receipt of a hold that nobody knows, of a sale that memory does not have."""
        try:
            stored = await self.ledger.sale(sale)
        except LedgerAway:
            stored = None
        if stored is None or stored.sale.status is not SaleStatus.CLOSED:
            return Refused(code=Code.RECOVERING, retry_after_seconds=IN_FLIGHT_RETRY_SECONDS)
        refused = Refused(code=Code.SALE_NOT_OPEN, detail="The sale is closed: refund the payment.")
        return await too_late(self.ledger, sale, short, refused, None, lines_of(receipt))


_CANT_BE_HONOURED: Final = ("sold-out", "limit-reached", "sale-not-open", "unknown-item")


__all__ = ["Decision", "FlashGuard"]
