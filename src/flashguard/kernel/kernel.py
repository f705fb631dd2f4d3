"""Loads and calls the kernel's scripts."""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Sequence
from itertools import zip_longest
from typing import Any, Final, cast

import msgspec

from flashguard.model import SaleId
from flashguard.valkey.client import ValkeyClient
from flashguard.valkey.errors import NoScriptError, RedisError

from . import keys
from .errors import WRITE_REFUSALS, MemoryAway, away
from .records import ConfigRecord, MovedRecord, Record, RecordStatus, read_config, read_record
from .verbs import IN_THE_ROOM, OF_ONE_REQUEST, Verb, script_source

CONFIRMED_RECORD: Final = bytes((RecordStatus.CONFIRMED,))
"""The first byte of an order's record."""
STAGED_SECONDS: Final = 60
"""How long the staged hashes of a rebuild outlive its last page."""


class Reply(msgspec.Struct, array_like=True):
    """The reply of every script. `status` is empty, or why nothing was decided.

    Parameters:
        results: one per request; requests with the same result may share one list.
        numbers: on the wire, the number of each request's result, where `results` has each only once.
    """

    status: str
    epoch: int
    seq: int
    now_ms: int
    results: list[Any]
    numbers: list[int] = []


RawEntry = tuple[bytes, dict[bytes, bytes]]
"""A journal entry as the client returns it: id and fields."""

_encode = msgspec.msgpack.Encoder().encode
_decode_numbers = msgspec.msgpack.Decoder(list[list[int]]).decode
_decode_reply = msgspec.msgpack.Decoder(Reply).decode

WRITES_NOTHING: Final = "#!lua\nreturn 1"


def new_token() -> str:
    """Return a random name for one script call's journal entry: 64 bits."""
    return secrets.token_hex(8)


class Kernel:
    """Calls the scripts on one Valkey/Redis.

    Parameters:
        client: sends the commands; its answers are bytes.
        max_backlog: most unrecorded journal entries; beyond that a partition answers overloaded.
        clock_ms: a fixed clock for tests, in milliseconds; 0: the server's clock, as always in production.
    """

    def __init__(self, client: ValkeyClient, *, max_backlog: int = 10_000, clock_ms: int = 0) -> None:
        self.client = client
        self._sources = {verb: script_source(verb) for verb in Verb}
        self._shas = {
            verb: hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
            for verb, source in self._sources.items()
        }
        self._epochs: dict[int, int] = {}
        self.max_backlog = max_backlog
        self.clock_ms = clock_ms
        self.calls = 0

    async def load_scripts(self) -> None:
        """Load every script into the server's cache, so that the first buyer does not wait for it."""
        for source in self._sources.values():
            await self.client.script_load(source)

    def script(self, verb: Verb) -> tuple[str, str]:
        """Return the SHA-1 and the source of a verb's script as this process calls it."""
        return self._shas[verb], self._sources[verb]

    async def run(
        self,
        verb: Verb,
        partition: int,
        sales: Sequence[SaleId],
        requests: Sequence[object],
        *,
        token: str = "",
        more_keys: Sequence[str] = (),
    ) -> Reply:
        """Call a verb's script for a batch, and return its reply.

        Parameters:
            requests: each names its sale by the index in `sales`.
            token: the name of the journal entry.

        Raises:
            MemoryAway: no answer; the outcome is unknown.
        """
        names = [keys.partition(partition), keys.journal(partition)]
        for sale_id in sales:
            names += keys.sale(partition, sale_id)
        if verb in IN_THE_ROOM:
            for sale_id in sales:
                names += keys.room(partition, sale_id)
        names += more_keys
        if verb not in OF_ONE_REQUEST:  # by columns: the script makes a table of each
            requests = (len(requests), *zip_longest(*cast("Sequence[tuple[object, ...]]", requests)))
        blob = _encode(
            (token or new_token(), self._epochs.get(partition, 0), self.max_backlog, self.clock_ms, requests)
        )
        reply = _decode_reply(await self._call(verb, names, blob))
        if reply.numbers:
            reply.results = [reply.results[number - 1] for number in reply.numbers]
            reply.numbers = []
        if not reply.status and reply.epoch > self._epochs.get(partition, 0):
            self._epochs[partition] = reply.epoch
        return reply

    async def _call(self, verb: Verb, names: Sequence[str], blob: bytes) -> bytes:
        self.calls += 1
        try:
            try:
                raw = await self.client.evalsha(self._shas[verb], len(names), *names, blob)
            except NoScriptError:
                raw = await self.client.eval(self._sources[verb], len(names), *names, blob)
        except (RedisError, OSError) as error:
            raise away(verb, error) from error
        return cast("bytes", raw)

    async def spend_tokens(self, buckets: Sequence[str], requests: Sequence[object]) -> list[list[int]]:
        """Spend tokens of buckets: see scripts/take_tokens.lua.

        Raises:
            MemoryAway: no answer.
        """
        raw = await self._call(Verb.SPEND_TOKENS, buckets, _encode((self.clock_ms, requests)))
        return _decode_numbers(raw)

    async def head(self, partition: int) -> dict[str, str]:
        """Return the partition hash; empty where memory has none."""
        raw = await self._ask("HGETALL", keys.partition(partition))
        return {name.decode(): value.decode() for name, value in cast("dict[bytes, bytes]", raw).items()}

    async def sales(self, partition: int) -> set[SaleId]:
        """Return the sales in a partition's memory."""
        raw = await self._ask("SMEMBERS", keys.sales(partition))
        return {SaleId(name.decode()) for name in cast("set[bytes]", raw)}

    async def wipe(self, partition: int) -> None:
        """Delete a partition's hash, journal and set of sales. Only where it is fenced or unreadable."""
        await self._ask("UNLINK", keys.partition(partition), keys.journal(partition), keys.sales(partition))

    async def stage(self, key: str, pairs: Sequence[object]) -> None:
        """Set fields of a staged hash, which expires unless more is staged or it is adopted.

        A plain command costs the server half of what a script needs for the same fields.
        """
        await asyncio.gather(self._ask("HSET", key, *pairs), self._ask("EXPIRE", key, STAGED_SECONDS))

    async def beat(self, recorder: str, dead_after_ms: int, *, shares: bool) -> None:
        """Write this recorder's heartbeat; remove recorders whose heartbeat is older than `dead_after_ms`.

        Parameters:
            shares: whether it can record, and claims a share of the partitions.
        """
        now_ms = await self.now_ms()
        since = now_ms - dead_after_ms
        await self._ask("ZADD", keys.recorders(), now_ms, recorder)
        await self._ask("ZREMRANGEBYSCORE", keys.recorders(), "-inf", since)
        if shares:
            await self._ask("ZADD", keys.sharing(), now_ms, recorder)
            await self._ask("ZREMRANGEBYSCORE", keys.sharing(), 0, since)
            await self._ask("ZREMRANGEBYSCORE", keys.sharing(), -since, 0)

    async def leave(self, recorder: str) -> None:
        """Announce that this recorder is about to end: the others claim its partitions."""
        now_ms = await self.now_ms()
        await self._ask("ZADD", keys.sharing(), -now_ms, recorder)
        await self._ask("ZREM", keys.recorders(), recorder)

    async def sharing(self) -> dict[str, float]:
        """Return the recorders that share the partitions, with the age of their heartbeat in seconds;
        negative for one that leaves."""
        now_ms = await self.now_ms()
        raw = cast("list[bytes]", await self._ask("ZRANGE", keys.sharing(), 0, -1, "WITHSCORES"))
        beats = {name.decode(): float(score) for name, score in zip(raw[::2], raw[1::2], strict=True)}
        return {name: -1.0 if at < 0 else max(0.0, (now_ms - at) / 1000) for name, at in beats.items()}

    async def recorders(self, within_ms: int) -> list[str]:
        """Return the recorders with a heartbeat within this time, by the server's clock."""
        since = await self.now_ms() - within_ms
        raw = await self._ask("ZRANGEBYSCORE", keys.recorders(), since, "+inf")
        return [name.decode() for name in cast("list[bytes]", raw)]

    async def info(self, section: str) -> dict[str, str]:
        """Return a section of the server's INFO."""
        return {
            str(k): str(v) for k, v in cast("dict[str, object]", await self._ask("INFO", section)).items()
        }

    async def config(self, *names: str) -> dict[str, str]:
        """Return settings of the server.

        Raises:
            MemoryAway: no answer, or CONFIG is not permitted.
        """
        raw = cast("list[bytes]", await self._ask("CONFIG", "GET", *names))
        return {name.decode(): value.decode() for name, value in zip(raw[::2], raw[1::2], strict=True)}

    async def cluster_info(self) -> dict[str, str]:
        """Return the fields of CLUSTER INFO."""
        raw = cast("bytes", await self._ask("CLUSTER", "INFO"))
        lines = (line.partition(":") for line in raw.decode().splitlines())
        return {name: value for name, colon, value in lines if colon}

    async def ping(self) -> None:
        """Check that the server answers and has loaded its data.

        Raises:
            MemoryAway: it does not, or has not.
        """
        await self._ask("PING")

    async def ping_key(self, key: str) -> None:
        """Check that the server that has a key answers.

        Raises:
            MemoryAway: it does not, or no server has the key.
        """
        await self._ask("EXISTS", key)

    async def check_writes(self, *key: str) -> None:
        """Check that the server that has a key accepts writes; nothing is written. A client of one server
        needs no key.

        A script with a header is refused before its first line by a server that is full (OOM), can't write
        its append-only file (MISCONF), is a replica (READONLY) or has lost its replicas (NOREPLICAS).

        Raises:
            MemoryAway: why it refuses writes; or it does not answer.
        """
        try:
            await self.client.eval(WRITES_NOTHING, len(key), *key)
        except (RedisError, OSError) as error:
            refused = next((why for word, why in WRITE_REFUSALS.items() if word in str(error)), None)
            raise away("EVAL", error) if refused is None else MemoryAway(refused) from error

    async def now_ms(self) -> int:
        """Return the server's clock in milliseconds."""
        seconds, micros = cast("tuple[int, int]", await self._ask("TIME"))
        return int(seconds) * 1000 + int(micros) // 1000

    async def counters(self, partition: int, sale: SaleId) -> dict[str, tuple[int, int, int]]:
        """Return stock, held and sold of each item, past a fence: for an operator."""
        items = await self._fields(partition, sale, "item:")
        return {sku: cast("tuple[int, int, int]", tuple(map(int, v.split()[:3]))) for sku, v in items.items()}

    async def terms(self, partition: int, sale: SaleId) -> dict[str, tuple[int | None, bool]]:
        """Return each item's price since it was changed, and whether it is on sale, past a fence: for an
        operator. See scripts/lib/prices.lua."""
        words = {sku: v.split() for sku, v in (await self._fields(partition, sale, "item:")).items()}
        price_of = {sku: int(w[5]) for sku, w in words.items() if w[5:6] > [b"-"]}  # '-': never changed
        return {sku: (price_of.get(sku), w[6:7] != [b"off"]) for sku, w in words.items()}

    async def recipes(self, partition: int, sale: SaleId) -> dict[str, Any]:
        """Return what each counter of a sale with pools or locations draws, past a fence: for an operator.
        See scripts/lib/pools.lua; empty for another sale."""
        recipes = await self._fields(partition, sale, "recipe:")
        return {name: msgspec.msgpack.decode(value) for name, value in recipes.items()}

    async def _fields(self, partition: int, sale: SaleId, kind: str) -> dict[str, bytes]:
        raw = cast("dict[bytes, bytes]", await self._ask("HGETALL", keys.sale(partition, sale).sale))
        return {name.decode()[len(kind) :]: v for name, v in raw.items() if name.startswith(kind.encode())}

    async def sale_config(self, partition: int, sale: SaleId) -> ConfigRecord | None:
        """Return a sale's rules, past a fence: for an operator. None where memory has none."""
        raw = await self._ask("HGET", keys.sale(partition, sale).sale, "config")
        return None if raw is None else read_config(cast("bytes", raw))

    async def confirmed_ids(self, partition: int, sale: SaleId) -> AsyncIterator[list[str]]:
        """Yield the ids of a sale's orders, page by page, past a fence: for an operator."""
        async for page in self._pages(keys.sale(partition, sale).reservations):
            yield [name for name, record in page.items() if record[:1] == CONFIRMED_RECORD]

    async def records(self, partition: int, sale: SaleId) -> AsyncIterator[dict[str, Record]]:
        """Yield a sale's records by id, page by page, past a fence: for an operator. A record may
        come twice."""
        async for page in self._pages(keys.sale(partition, sale).reservations):
            yield {name: read_record(record) for name, record in page.items() if record}

    async def has_record(self, partition: int, sale: SaleId, name: str) -> bool:
        """Return whether a sale has a record of this name, past a fence: for an operator."""
        return bool(await self._ask("HEXISTS", keys.sale(partition, sale).reservations, name))

    async def moved_away(self, partition: int, sale: SaleId, sku: str) -> int:
        """Return the units of an item that left a shard less those that arrived (see scripts/lib/moved.lua),
        past a fence: for an operator."""
        raw = await self._ask("HGET", keys.sale(partition, sale).reservations, f"moved:{sku}")
        moved = None if raw is None else read_record(cast("bytes", raw))
        return moved.units_out - moved.units_in if isinstance(moved, MovedRecord) else 0

    async def used(self, partition: int, sale: SaleId) -> AsyncIterator[dict[str, int]]:
        """Yield the units of each customer of a sale, page by page, past a fence: for an operator."""
        async for page in self._pages(keys.sale(partition, sale).used):
            yield {customer: int(units) for customer, units in page.items() if customer}

    async def _pages(self, key: str) -> AsyncIterator[dict[str, bytes]]:
        cursor: object = b"0"
        while True:
            answer = await self._ask("HSCAN", key, cursor, "COUNT", 1000)
            cursor, flat = cast("tuple[object, list[bytes]]", answer)
            yield {name.decode(): value for name, value in zip(flat[::2], flat[1::2], strict=True)}
            if cursor in (b"0", 0):
                return

    async def entries(
        self, partition: int, epoch: int, seq: int, *, count: int, block_ms: int = 0
    ) -> list[RawEntry]:
        """Return journal entries from this id on, including it.

        With `block_ms`: those after it, waiting at most that long for the first.
        """
        key, id_ = keys.journal(partition), f"{epoch}-{seq}"
        if not block_ms:
            raw = await self._ask("XRANGE", key, id_, "+", "COUNT", count)
            return cast("list[RawEntry]", raw)
        streams = await self._ask("XREAD", "COUNT", count, "BLOCK", block_ms, "STREAMS", key, id_)
        return cast("list[tuple[bytes, list[RawEntry]]]", streams)[0][1] if streams else []

    async def server_version(self) -> str:
        """Return the server's name and version, for example "Valkey 9.1.2"."""
        raw = cast("dict[str, object]", await self._ask("INFO", "server"))
        if "valkey_version" in raw:
            return f"Valkey {raw['valkey_version']}"
        return f"Redis {raw.get('redis_version', '?')}"

    async def _ask(self, *command: object) -> object:
        try:
            return await self.client.execute_command(*command)
        except (RedisError, OSError) as error:
            raise away(command[0], error) from error
