"""The ledger's reads and writes, as methods with the domain's types. SQL is in `queries/*.sql`."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import asyncpg
from msgspec import Struct

from flashguard.errors import ConfigurationError, FlashGuardError
from flashguard.model import (
    CancelledOrder,
    CustomerId,
    Durability,
    Item,
    Line,
    MinorUnits,
    Position,
    Reservation,
    ReservationId,
    ReservationStatus,
    Sale,
    SaleId,
    SaleStatus,
    Sku,
    invalid_time,
    public_sale,
)
from flashguard.model.arguments import NAME, is_text, must
from flashguard.model.room import encode_room, stored_room
from flashguard.model.rules import from_kernel, to_kernel

from .away import check_files, why_away
from .migrate import migrate, pending
from .sql import query
from .unreadable import CANT_BE_READ, TIMES_UNREADABLE, UNREADABLE, sound_lines

if TYPE_CHECKING:  # asyncpg's classes are generic for the type checker alone
    Connection = asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
else:
    Connection = asyncpg.Connection

T = TypeVar("T")

AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # its name for a connection that was lost in the middle of something
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.QueryCanceledError,
)
"""What it looks like when PostgreSQL can't be reached, or is going down or coming up."""


class LedgerAway(FlashGuardError):
    """PostgreSQL did not answer."""


BROKEN_PREPARED: Final = (
    "PostgreSQL: a pooler in transaction mode breaks our prepared statements: "
    "set FLASHGUARD_PREPARED_STATEMENTS=false"
)


class UnreadableRow(LedgerAway):
    """The ledger has a row that can't be read. An operator must correct it: see `flashguard doctor`."""

    def __init__(self, kind: str, id_: str) -> None:
        super().__init__(f"The ledger's row of {kind} {id_} can't be read: its operator must correct it.")


class _NotKept(Exception):
    """Ends a transaction that shall change nothing."""


class Installation(Struct, frozen=True):
    """What is fixed once per installation: the signing secret and the number of partitions."""

    secret: str
    partitions: int


class StoredSale(Struct, frozen=True):
    """A sale as the ledger has it, with what is not part of its public face."""

    sale: Sale
    max_hold_seconds: int
    creation_key: str | None = None
    creation_body: int | None = None
    room_seed: str | None = None


class OrderFilter(Struct, frozen=True, kw_only=True):
    """Which orders of a sale, and in which order. `short_id` is an order's id without its sale."""

    newest: bool = False
    customer: str | None = None
    short_id: str | None = None
    status: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: a time has no offset from UTC, or is outside the years 2000 to 9998, or another
                value is of another type.
        """
        for name in ("customer", "short_id", "status"):
            text = getattr(self, name)
            must((text is None or is_text(text), f"{name}: {NAME}"))
        must((isinstance(self.newest, bool), "newest: must be True or False"))
        for name, time in (("since", self.since), ("until", self.until)):
            wrong = None if time is None else invalid_time(time)
            if wrong:
                raise ValueError(f"{name}: {wrong}")


class RecordedReservation(Struct, frozen=True):
    """What tells one reservation of the ledger from another under the same id."""

    fingerprint: int
    customer: str
    lines: list[Any]
    status: ReservationStatus


ALL_ORDERS = OrderFilter()


def lines_from_flat(flat: Sequence[Any]) -> tuple[Line, ...]:
    """sku, quantity, sku, quantity, … as lines."""
    return tuple(Line(Sku(sku), quantity) for sku, quantity in zip(flat[::2], flat[1::2], strict=True))


def _short(id_: str) -> str:
    return id_.rsplit(".", 1)[-1]


def _where(which: OrderFilter) -> tuple[object, ...]:
    return which.customer, which.short_id, which.status, which.since, which.until


def _reservation(row: asyncpg.Record) -> Reservation:
    kind: type[Reservation] = Reservation
    more: dict[str, Any] = {}
    if row["status"] == ReservationStatus.CANCELLED:
        kind = CancelledOrder
        more = {"restocked": row["restocked"], "cancel_reason": row["cancel_reason"]}
        more["cancelled_at"] = row["ended_at"]
    _check_times(row["created_at"], row["expires_at"], row["confirmed_at"], row["ended_at"])
    lines = json.loads(row["lines"])
    if not sound_lines(lines):
        raise ValueError(f"its lines are {row['lines'][:100]}")
    return kind(
        id=ReservationId(f"{row['sale_id']}.{row['id']}"),
        sale_id=public_sale(row["sale_id"]),
        customer=CustomerId(row["customer"]),
        status=ReservationStatus(row["status"]),
        items=lines_from_flat(lines),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        confirmed_at=row["confirmed_at"],
        **more,
    )


def _check_times(*times: datetime | None) -> None:
    """Check that the wire's clients can read these times.

    Raises:
        ValueError: one is infinite or outside the years 1970 to 9998.
    """
    for time in times:
        if time is not None and (time.tzinfo is None or not 1970 <= time.year <= 9998):
            raise ValueError(f"{time} is outside the years 1970 to 9998")


def _all_readable(kind: str, rows: Sequence[asyncpg.Record], read: Callable[[asyncpg.Record], T]) -> list[T]:
    """Return what these rows say; one that can't be read is left out, and logged once."""
    found: list[T] = []
    for row in rows:
        try:
            if not row["readable"]:
                raise ValueError(TIMES_UNREADABLE)
            found.append(read(row))
        except CANT_BE_READ as error:
            id_ = f"{row['sale_id']}.{row['id']}" if kind == "reservation" else row["id"]
            UNREADABLE.note(kind, id_, error)
    return found


@contextlib.contextmanager
def readable_row(kind: str, id_: str) -> Iterator[None]:
    """Read one row, from its query on.

    Raises:
        UnreadableRow: its values can't be read.
    """
    try:
        yield
    except CANT_BE_READ as error:
        UNREADABLE.note(kind, id_, error)
        raise UnreadableRow(kind, id_) from error


def _creation(stored: StoredSale, partition: int) -> tuple[object, ...]:
    """A new sale as `create_sale` takes it."""
    sale = stored.sale
    return (
        sale.id, sale.name, partition, sale.starts_at, sale.ends_at, sale.hold_seconds,
        stored.max_hold_seconds, sale.limit_per_customer, stored.creation_key, stored.creation_body,
        [item.sku for item in sale.items], [item.name for item in sale.items],
        [item.price_minor for item in sale.items], [item.currency for item in sale.items],
        [item.stock for item in sale.items], sale.hold_durability,
        None if sale.waiting_room is None else encode_room(sale.waiting_room), stored.room_seed,
        json.dumps(to_kernel(sale.rules) | ({"spread": sale.spread} if sale.spread > 1 else {})),
    )  # fmt: skip


def _item(row: asyncpg.Record) -> Item:
    return Item(
        sku=Sku(row["sku"]),
        name=row["name"],
        price_minor=MinorUnits(row["price_minor"]),
        currency=row["currency"],
        stock=row["stock"],
        held=row["held"],
        sold=row["sold"],
    )


PREPARED_STATEMENTS: Final = 100
"""Per connection; there are fewer queries than that."""


async def _nothing_to_reset(_: object) -> None:
    """No query of ours leaves anything behind in its session (asyncpg itself ends an open transaction)."""


class Ledger:
    """A pool of connections to the ledger.

    Every method raises `LedgerAway` when PostgreSQL does not answer.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", timeout: float) -> None:
        self._pool = pool
        self._timeout = timeout

    @classmethod
    async def connect(
        cls, url: str, *, connections: int = 8, prepared: bool = False, timeout: float = 10.0
    ) -> "Ledger":
        """Opens a pool.

        Parameters:
            timeout: seconds that a connection, a statement, or the wait for a free connection may take.
            prepared: keep prepared statements: half the round trips, but a transaction-mode pooler that
                does not track them breaks them.

        Raises:
            ConfigurationError: the address names a certificate that can't be read.
            LedgerAway: the server can't be reached.
        """
        check_files(url)
        try:
            pool = await asyncpg.create_pool(
                url,
                min_size=0,
                max_size=connections,
                timeout=timeout,
                command_timeout=timeout,
                statement_cache_size=PREPARED_STATEMENTS if prepared else 0,
                reset=_nothing_to_reset,
                server_settings={"timezone": "UTC", "application_name": "flashguard"},
            )
        except (*AWAY, asyncpg.PostgresError) as error:
            raise LedgerAway(why_away(error)) from error
        ledger = cls(pool, timeout)
        try:
            await ledger.ping()
        except asyncpg.PostgresError as error:
            pool.terminate()
            raise LedgerAway(why_away(error)) from error
        except BaseException:
            pool.terminate()
            raise
        return ledger

    async def close(self) -> None:
        """Closes the pool; connections still busy after a few seconds are cut."""
        try:
            async with asyncio.timeout(5):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection from the pool; a lost server becomes `LedgerAway`."""
        try:
            async with self._pool.acquire(timeout=self._timeout) as connection:
                yield connection
        except AWAY as error:
            if isinstance(error, asyncpg.ReadOnlySQLTransactionError):  # a primary that was demoted
                await self._pool.expire_connections()
            raise LedgerAway(why_away(error)) from error
        except (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError) as error:
            raise LedgerAway(BROKEN_PREPARED) from error

    async def _fetch(self, name: str, *args: object) -> list[asyncpg.Record]:
        async with self.connection() as connection:
            return await connection.fetch(query(name), *args)

    async def _fetchrow(self, name: str, *args: object) -> asyncpg.Record | None:
        async with self.connection() as connection:
            return await connection.fetchrow(query(name), *args)

    async def ping(self) -> None:
        await self._fetchrow("ping")

    async def check_writes(self) -> None:
        """Ask whether PostgreSQL takes writes; nothing is written.

        Raises:
            LedgerAway: it does not answer, or is read only.
        """
        row = await self._fetchrow("readiness")
        if row is not None and row["standby"]:
            raise LedgerAway("PostgreSQL is a standby and takes no writes")
        if row is not None and row["read_only"]:
            raise LedgerAway("PostgreSQL is read only (default_transaction_read_only is on)")

    async def check(self, seconds: float) -> None:
        """Gives up a connection that does not answer in time: the next statement makes a new one."""
        with contextlib.suppress(LedgerAway):
            async with self.connection() as connection:
                try:
                    await connection.fetchrow(query("ping"), timeout=seconds)
                except BaseException:
                    connection.terminate()
                    raise

    async def now_ms(self) -> float:
        """PostgreSQL's clock."""
        row = await self._fetchrow("doctor_settings")
        if row is None:
            raise AssertionError("current_setting always answers")
        return float(row["now_ms"])

    async def applied_migrations(self) -> set[str]:
        """The names of the migrations that the ledger has; none before the first one ran."""
        try:
            return {row["name"] for row in await self._fetch("applied_migrations")}
        except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
            return set()

    async def version(self) -> str:
        async with self.connection() as connection:
            version = connection.get_server_version()  # 15.18 comes as 15, 0, 18
            return f"{version.major}.{version.micro}"

    async def migrate(self, partitions: int) -> list[str]:
        """Brings the schema up to date; returns the names of the migrations applied now."""
        async with self._pool.acquire() as connection:
            return await migrate(connection, partitions)  # type: ignore[arg-type]

    async def installation(self) -> Installation:
        """The installation's fixed facts.

        Raises:
            ConfigurationError: the ledger has not been migrated to this version.
        """
        try:
            known = await self.applied_migrations()
            row = await self._fetchrow("installation") if known else None
        except asyncpg.InsufficientPrivilegeError as error:
            raise ConfigurationError(
                f"This role may not read the ledger ({error}): let it in first."
            ) from error
        if pending(known) or row is None:
            raise ConfigurationError("The ledger's schema is not up to date: run `flashguard migrate`.")
        return Installation(row["secret"], row["partitions"])

    async def position(self, partition: int) -> Position:
        """Where the partition's recorder stands.

        Raises:
            LookupError: the installation has no such partition.
        """
        row = await self._fetchrow("position", partition)
        if row is None:
            raise LookupError(f"the ledger has no partition {partition}")
        return Position(row["epoch"], row["seq"], row["token"])

    async def doubted(self, partition: int) -> bool:
        """Whether it refused some grants of the partition's memory, which was not built again since."""
        row = await self._fetchrow("doubted", partition)
        return row is not None and bool(row["doubted"])

    async def positions(self) -> dict[int, Position]:
        """Where every partition's recorder stands."""
        return {
            row["partition"]: Position(row["epoch"], row["seq"], row["token"])
            for row in await self._fetch("positions")
        }

    async def units_out(self) -> asyncpg.Record:
        """Units that are neither sold, nor rightly held, nor available."""
        row = await self._fetchrow("units_out")
        if row is None:
            raise AssertionError("an aggregate always has one row")
        return row

    async def recoveries(self) -> asyncpg.Record:
        """How often memory was built again, how long that took, and the newest time."""
        row = await self._fetchrow("recoveries")
        if row is None:
            raise AssertionError("an aggregate always has one row")
        return row

    # Sales

    async def create_sale(self, stored: StoredSale, partition: int) -> bool:
        """Writes a new sale; False when the id or the creation key is taken."""
        return not await self.create_sales([(stored, partition)])

    async def create_sales(self, sales: Sequence[tuple[StoredSale, int]], *, keep: bool = True) -> list[int]:
        """Writes new sales with their partitions, all or none. Returns the places of those that can't be
        written: the id or the creation key is taken.

        Parameters:
            keep: False to write nothing, and only look.
        """
        taken: list[int] = []
        async with self.connection() as connection:
            try:
                async with connection.transaction():
                    for place, (stored, partition) in enumerate(sales):
                        done = await connection.execute(query("create_sale"), *_creation(stored, partition))
                        if done == "INSERT 0 0":
                            taken.append(place)
                    if taken or not keep:
                        raise _NotKept
            except _NotKept:
                pass
        return taken

    async def sale(self, sale_id: SaleId) -> StoredSale | None:
        """Return a sale; None when there is none.

        Raises:
            UnreadableRow: its values can't be read.
        """
        with readable_row("sale", public_sale(sale_id)):
            row = await self._fetchrow("sale_by_id", sale_id)
            if row is None:
                return None
            items = await self.items_of([sale_id])
            return StoredSale(
                self._sale(row, items.get(sale_id, ())),
                row["max_hold_seconds"],
                row["creation_key"],
                row["creation_body"],
                row["room_seed"],
            )

    async def sale_created_with(self, key: str) -> SaleId | None:
        row = await self._fetchrow("sale_by_creation_key", key)
        return None if row is None else SaleId(row["id"])

    async def sales(
        self, after: tuple[datetime, str] | None, limit: int, *, drafts: bool = True
    ) -> list[Sale]:
        """A page of sales, newest first, with or without drafts. Rows that can't be read are left out."""
        at, id_ = after or (None, "")
        found: list[Sale] = []
        while len(found) < limit:
            rows = await self._fetch("sales_page", at, id_, limit, drafts)
            items = await self.items_of([row["id"] for row in rows])
            found += _all_readable("sale", rows, partial(self._sale_with, items))
            last = (rows[-1]["created_at"], rows[-1]["id"]) if rows else None
            if last is None or len(rows) < limit or last == (at, id_):
                break  # where only rows with times out of range are left, the cursor stands still
            at, id_ = last
        return found[:limit]

    async def unknown_sales(self, sale_ids: Collection[SaleId]) -> list[SaleId]:
        """Those of these sales that the ledger does not have."""
        if not sale_ids:
            return []
        return [SaleId(row["id"]) for row in await self._fetch("unknown_sales", list(sale_ids))]

    async def note_room_opened(self, sale_id: SaleId) -> None:
        """From now on the lottery of the sale's waiting room takes no more tickets, whatever memory loses."""
        await self._fetch("note_room_opened", sale_id)

    async def items_of(self, sale_ids: Sequence[str]) -> dict[str, tuple[Item, ...]]:
        items: dict[str, list[Item]] = {}
        for row in await self._fetch("items_of", list(sale_ids)):
            items.setdefault(row["sale_id"], []).append(_item(row))
        return {sale_id: tuple(of_sale) for sale_id, of_sale in items.items()}

    @classmethod
    def _sale_with(cls, items: Mapping[str, tuple[Item, ...]], row: asyncpg.Record) -> Sale:
        return cls._sale(row, items.get(row["id"], ()))

    @staticmethod
    def _sale(row: asyncpg.Record, items: tuple[Item, ...]) -> Sale:
        rules = json.loads(row["rules"])
        _check_times(row["starts_at"], row["ends_at"], row["created_at"])
        return Sale(
            id=SaleId(row["id"]),
            name=row["name"],
            status=SaleStatus(row["status"]),
            items=items,
            starts_at=row["starts_at"],
            ends_at=row["ends_at"],
            hold_seconds=row["hold_seconds"],
            limit_per_customer=row["limit_per_customer"],
            hold_durability=Durability(row["hold_durability"]),
            waiting_room=stored_room(row["waiting_room"], row["room_seed"]),
            rules=from_kernel(rules),
            created_at=row["created_at"],
            spread=rules.get("spread", 1),
        )

    # Reservations and orders

    async def reservation(self, sale_id: SaleId, id_: str) -> Reservation | None:
        """Return a reservation, in any state; None when there is none.

        Raises:
            UnreadableRow: its values can't be read.
        """
        with readable_row("reservation", f"{sale_id}.{id_}"):
            row = await self._fetchrow("reservation", sale_id, id_)
            return None if row is None else _reservation(row)

    async def has_restock(self, sale_id: SaleId, key: str) -> bool:
        """Whether the restock of this key is recorded."""
        return await self._fetchrow("restock_recorded", sale_id, key) is not None

    async def sale_change(self, sale_id: SaleId, key: str) -> tuple[str, SaleStatus] | None:
        """The verb that was recorded under this key, and the sale's status after it."""
        row = await self._fetchrow("sale_change", sale_id, key)
        return None if row is None else (row["verb"], SaleStatus(row["status"]))

    async def refusal(self, sale_id: SaleId, id_: str) -> str | None:
        """Why the ledger refused an order that memory granted; None when it did not."""
        row = await self._fetchrow("refused_order", sale_id, id_)
        return None if row is None else str(row["reason"])

    async def parked(self, sale_id: SaleId, kind: str, id_: str) -> bool:
        """Whether the ledger refused this very transition more than once, so that it is not made again."""
        return await self._fetchrow("parked", sale_id, kind, id_) is not None

    async def parked_of_id(self, sale_id: SaleId, id_: str) -> bool:
        """Whether anything under this id is parked."""
        return await self._fetchrow("parked_of_id", sale_id, id_) is not None

    async def parked_transitions(self, limit: int) -> list[asyncpg.Record]:
        """The newest parked transitions, each with the total of all."""
        return await self._fetch("parked_transitions", limit)

    async def doubted_partitions(self) -> set[int]:
        """The partitions whose memory must be built again: the ledger refused something, or an operator
        asked for it."""
        return {row["partition"] for row in await self._fetch("doubted_partitions")}

    async def recorded(self, ids: Sequence[tuple[SaleId, str]]) -> dict[tuple[str, str], RecordedReservation]:
        """Those of these (sale, short id) that the ledger has, in any state."""
        rows = await self._fetch("recorded", [sale for sale, _ in ids], [id_ for _, id_ in ids])
        return {
            (row["sale_id"], row["id"]): RecordedReservation(
                row["fingerprint"],
                row["customer"],
                json.loads(row["lines"]),
                ReservationStatus(row["status"]),
            )
            for row in rows
        }

    async def orders(
        self,
        sale_ids: Sequence[SaleId],
        after: tuple[datetime, str] | None,
        limit: int,
        which: OrderFilter = ALL_ORDERS,
    ) -> list[Reservation]:
        """A page of orders of a sale, or of the parts of one, oldest first unless asked otherwise. Rows that
        can't be read are left out."""
        at, id_ = after or (None, "")
        name = "newest_orders_page" if which.newest else "orders_page"
        found: list[Reservation] = []
        while len(found) < limit:
            rows = await self._fetch(name, list(sale_ids), at, _short(id_), limit, *_where(which))
            found += _all_readable("reservation", rows, _reservation)
            last = (rows[-1]["confirmed_at"], rows[-1]["id"]) if rows else None
            if last is None or len(rows) < limit or last == (at, id_):
                break
            at, id_ = last
        return found[:limit]

    async def audit_items(self, sale_id: SaleId) -> list[asyncpg.Record]:
        return await self._fetch("audit_items", sale_id)

    async def audit_orders(self, sale_id: SaleId) -> asyncpg.Record:
        row = await self._fetchrow("audit_orders", sale_id)
        if row is None:
            raise AssertionError("audit_orders always has one row")
        return row
