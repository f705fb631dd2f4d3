"""A real Valkey or Redis, and partitions of it that are driven next to their models.

The kernel's own code makes every call; only the client under it is a blocking one that sends many calls at
once, because thousands of sequences of small calls are mostly waits and an event loop's overhead.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Coroutine, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import hiredis
import msgspec

from flashguard.embedded.valkey import find_valkey
from flashguard.journal import Entry, decode_entry
from flashguard.kernel import keys
from flashguard.kernel.kernel import Kernel, Reply
from flashguard.kernel.records import RecordStatus, kept_of
from flashguard.kernel.results import BY_SHAPE, BY_WORD, Refusal, read_result
from flashguard.kernel.verbs import Verb
from flashguard.model import SaleId
from flashguard.recorder.fold import Group, New, fold
from flashguard.recorder.load import more_keys
from flashguard.valkey.errors import NoScriptError
from tests.properties.model import Item, Model, Reservation, Sale, in_ledger

T = TypeVar("T")
_decode = msgspec.msgpack.Decoder().decode
START_SECONDS = 60.0
SERVERS = ["valkey", *(["redis"] if shutil.which("redis-server") else [])]


@contextmanager
def memory_server(name: str) -> Iterator["Wire"]:
    """An empty server of this kind that writes nothing to disk."""
    folder = Path(tempfile.mkdtemp(prefix="fg-model-", dir="/tmp"))
    path = folder / "s"
    binary = find_valkey() if name == "valkey" else "redis-server"
    options = {"port": "0", "unixsocket": path, "save": "", "appendonly": "no", "dir": folder}
    words = [str(word) for option, value in options.items() for word in (f"--{option}", value)]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([str(binary), *words], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + START_SECONDS
        wire = None
        while wire is None:
            assert server.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline
            try:
                wire = Wire(path)
            except (FileNotFoundError, ConnectionRefusedError):  # not there, or there and not listening yet
                time.sleep(0.01)
        yield wire
        wire.close()
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder)


class Wire:
    """A blocking client with the methods that the kernel calls."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connect()

    def _connect(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(10)
        self._socket.connect(os.fspath(self._path))
        self._reader = hiredis.Reader()

    def close(self) -> None:
        self._socket.close()

    def ask(self, *command: Any) -> Any:
        return self.ask_all([command])[0]

    def ask_all(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """All commands in one go, and their answers."""
        answers: list[Any] = []
        try:
            self._socket.sendall(b"".join(hiredis.pack_command(tuple(command)) for command in commands))
            while len(answers) < len(commands):
                answer = self._reader.gets()
                if answer is False:
                    self._reader.feed(self._socket.recv(65536))
                else:
                    answers.append(answer)
        except BaseException:  # a test out of time: what is still to come answers no later command
            self._socket.close()
            self._connect()
            raise
        for answer in answers:  # only now that all are read: the next command's answer is its own
            if isinstance(answer, hiredis.ReplyError):
                raise NoScriptError if str(answer).startswith("NOSCRIPT") else AssertionError(answer)
        return answers

    async def evalsha(self, sha: str, count: int, *rest: Any) -> Any:
        return await _Sent("EVALSHA", sha, count, *rest)

    async def eval(self, source: str, count: int, *rest: Any) -> Any:
        return await _Sent("EVAL", source, count, *rest)

    async def script_load(self, source: str) -> Any:
        return await _Sent("SCRIPT", "LOAD", source)

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        """The result of a call that may send several commands, one by one."""
        answer = None
        while True:
            try:
                answer = self.ask(*call.send(answer))
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]

    def run_all(self, calls: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
        """The results of calls that each send one command: all of them in one go, in this order."""
        answers = self.ask_all([call.send(None) for call in calls])
        return [_result(call, answer) for call, answer in zip(calls, answers, strict=True)]


class _Sent:
    """A command on its way: awaiting it hands it to whoever drives the coroutine, who sends the answer in."""

    def __init__(self, *command: Any) -> None:
        self._command = command

    def __await__(self) -> Generator[tuple[Any, ...], Any, Any]:
        return (yield self._command)


def _result(call: Coroutine[Any, Any, T], answer: Any) -> T:
    try:
        call.send(answer)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    raise AssertionError("the call sends more than one command")


class Partition:
    """One partition of a real server beside its model: every step is made on both and compared.

    Parameters:
        batched: whether a step's requests go into one script call, or each into a call of its own.
    """

    def __init__(self, wire: Wire, kernel: Kernel, number: int, *, batched: bool) -> None:
        self.model = Model()
        self.number = number
        self.batched = batched
        self._wire = wire
        self._kernel = kernel
        self._token = ""
        self._chapter: dict[tuple[str, str], tuple[int, int, int]] = {}
        self._entries: list[Entry] = []
        self.run(Verb.FENCE, [], ["1"])
        self._unfence("1", loads=0)

    def run(self, verb: Verb, sales: Sequence[str], requests: Any) -> Reply:
        return self._wire.run(self._call(verb, sales, requests))

    def _call(self, verb: Verb, sales: Sequence[str], requests: Any) -> Coroutine[Any, Any, Reply]:
        self._kernel.clock_ms = self.model.now_ms
        ids = [SaleId(sale) for sale in sales]
        more = more_keys(self.number, ids[0]) if verb is Verb.LOAD else ()
        return self._kernel.run(verb, self.number, ids, requests, more_keys=more)

    # Steps

    def call(self, verb: Verb, requests: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
        """These requests, in this order; their results without sequence numbers: grouping changes those."""
        calls, expected = [], []
        if verb is Verb.CHANGE_ITEM:
            requests = [self._with_position(*request) for request in requests]
        for some in [requests] if self.batched else [[request] for request in requests]:
            indexes = {name: index for index, name in enumerate(dict.fromkeys(name for name, *_ in some))}
            calls.append(self._call(verb, list(indexes), [(indexes[name], *rest) for name, *rest in some]))
            results = self.model.call(verb, some)
            expected.append(Reply("", self.model.epoch, self.model.seq, self.model.now_ms, results))
        got = self._wire.run_all(calls)
        assert got == expected, [(a, b) for a, b in zip(got, expected, strict=True) if a != b]
        found = [result for reply in expected for result in reply.results]
        for values in found:
            _check_names(verb, values)
        return [_without_seq(verb, result) for result in found]

    def _with_position(
        self, name: str, what: str, sku: str, change: dict[str, Any], *rest: Any
    ) -> tuple[Any, ...]:
        """The request, with what the ledger has recorded when it says that nothing of the item was held."""
        if what == "remove":
            change = change | {"epoch": self.model.epoch + change["epoch"], "seq": self.model.recorded}
        return (name, what, sku, change, *rest)

    def load(self, name: str, sale: Sale) -> None:
        """A new sale; the one that is there stays as it is."""
        known = name in self.model.sales
        self.close_chapter()
        rest = ([], [], [], None, [], [], definition := f'{{"sale": "{name}"}}', None, _recipes(sale))
        reply = self.run(Verb.LOAD, [name], ("new", "", _config(sale), _items(sale), *rest))
        deleted = name in self.model.deleted
        assert (reply.status, reply.results) == (
            "", ["deleted" if deleted else "exists" if known else "loaded"]
        )  # fmt: skip
        if not known and not deleted:
            self.model.note_creation(name, definition)
            items = {sku: replace(item) for sku, item in sale.items.items()}
            config = replace(sale.config, rules=dict(sale.config.rules))
            self.model.sales[name] = Sale(config, items, dict(sale.recipes))
        self.open_chapter()

    def unload(self, name: str) -> None:
        """Memory forgets the sale, unless a hold lives."""
        sale = self.model.sales.get(name)
        busy = sale is not None and any(one.status == "held" for one in sale.reservations.values())
        self.close_chapter()
        reply = self.run(Verb.LOAD, [name], ("unload", "", [], [], [], [], []))
        assert (reply.status, reply.results) == ("", ["busy" if busy else "loaded"])
        if not busy:
            self.model.sales.pop(name, None)
            self.model.deleted.discard(name)
        self.open_chapter()

    def bury(self, name: str) -> None:
        """The ledger has deleted a draft: memory forgets it, and nothing else."""
        self.close_chapter()
        reply = self.run(Verb.LOAD, [name], ("bury", "", [], [], [], [], []))
        known = name in self.model.sales and name not in self.model.deleted
        assert reply.results == ["busy" if known else "loaded"]
        self.model.deleted.discard(name)
        self.open_chapter()

    def note_recorded(self) -> None:
        """The recorder says that the ledger has everything."""
        seq, token = self._wire.ask("HMGET", keys.partition(self.number), "seq", "token")
        assert int(seq) == self.model.seq
        announcement = (self.model.epoch, int(seq), token.decode(), "nobody", "", True, 0)
        assert self.run(Verb.ANNOUNCE, [], announcement).results == ["announced"]
        self.model.recorded = self.model.seq

    def rebuild(self) -> None:
        """Fence, load all from what the ledger has, unfence; meanwhile nothing is decided."""
        self.close_chapter()
        epoch = str(self.model.epoch + 1)
        assert self.run(Verb.FENCE, [], [epoch]).results == [epoch]
        for name, sale in self.model.sales.items():
            for verb in (Verb.CONFIRM, Verb.RESERVE, Verb.EXPIRE, Verb.CHANGE_SALE):
                assert self.run(verb, [name], [(0,)]).status == "recovering"
            assert (
                self.run(Verb.LOAD, [name], ("more", "nobody's", [], [], [], [], [])).status == "recovering"
            )
            for step, *what in (("first", [], [], [], [], []), ("more", *_in_ledger(sale))):
                assert self.run(Verb.LOAD, [name], (step, epoch, *what)).results == ["loaded"]
        self.model.rebuild()
        self._unfence(epoch, loads=2 * len(self.model.sales))
        self.open_chapter()

    def _unfence(self, fence: str, *, loads: int) -> None:
        request = [fence, "of the ledger", "for the test", loads]
        assert self.run(Verb.UNFENCE, [], [*request[:3], loads + 1]).results == ["incomplete"]
        assert self.run(Verb.UNFENCE, [], request).results == ["open"]
        self._token = "of the ledger"
        [(_, fields)] = self._wire.ask("XRANGE", keys.journal(self.number), "-", "+")
        entry = decode_entry(f"{fence}-1".encode(), dict(zip(fields[::2], fields[1::2], strict=True)))
        assert entry.previous == self._token
        self._token = entry.token

    # What must hold

    def check(self) -> None:
        """After every step: the same counters, the always-line, and the same journal, chained."""
        model, names = self.model, list(self.model.sales)
        journal = keys.journal(self.number)
        *hashes, raw = self._wire.ask_all([
            *(("HGETALL", keys.sale(self.number, SaleId(name)).sale) for name in names),
            ("XRANGE", journal, f"{model.epoch}-{model.seq - len(model.journal) + 1}", "+"),
        ])  # fmt: skip
        for name, flat in zip(names, hashes, strict=True):
            sale = model.sales[name]
            kept = {
                key.decode()[5:]: value.decode().split()
                for key, value in zip(flat[::2], flat[1::2], strict=True)
                if key.startswith(b"item:")
            }
            counters = {sku: tuple(map(int, words[:3])) for sku, words in kept.items()}
            aside = {sku: tuple(map(int, words[3:5])) for sku, words in kept.items() if len(words) > 3}
            assert {sku: units for sku, units in aside.items() if any(units)} == {
                sku: (sale.owed.get(sku, 0), sale.until.get(sku, 0)) for sku in {*sale.owed, *sale.until}
            }
            assert {sku: words[5:] for sku, words in kept.items()} == {
                sku: _terms(item) for sku, item in sale.items.items()
            }
            assert counters == {sku: (item.stock, item.held, item.sold) for sku, item in sale.items.items()}
            for sku, (stock, held, sold) in counters.items():
                assert (held, sold) == (_units(sale, sku, "held"), _units(sale, sku, "confirmed"))
                assert stock - held - sold - sale.owed.get(sku, 0) >= 0

        assert [int(id_.split(b"-")[1]) for id_, _ in raw] == [entry.seq for entry in model.journal]
        for (id_, fields), expected in zip(raw, model.journal, strict=True):
            entry = decode_entry(id_, dict(zip(fields[::2], fields[1::2], strict=True)))
            assert entry.previous == self._token
            self._token = entry.token
            found = _decode(fields[5])[1]
            assert found == expected.transitions, (found, expected.transitions)
            counters = {(c.sale, c.sku): (c.stock, c.held, c.sold) for c in entry.body.counters}
            assert counters == expected.counters
            self._entries.append(entry)
        edited = any(
            each[0] in ("items", "delete", "item") for one in model.journal for each in one.transitions
        )
        model.journal.clear()
        if edited:  # a group of the ledger ends here
            self.open_chapter()

    def open_chapter(self) -> None:
        """From here on the journal is folded: what was loaded is not in it."""
        self._chapter = {
            (name, sku): (item.stock, item.held, item.sold)
            for name, sale in self.model.sales.items()
            for sku, item in sale.items.items()
        }
        self._entries = []

    def close_chapter(self) -> None:
        """The journal, folded as the recorder does it, leads from the counters then to the counters now."""
        self.check()
        group, *later = groups = fold(self._entries)
        assert not any(each.items for each in later)
        for name, sale in self.model.sales.items():
            for sku, item in sale.items.items():
                before, moved = self._chapter[name, sku], group.items.get((name, sku))
                sums = (moved.stock, moved.held, moved.sold) if moved else (0, 0, 0)
                after = tuple(map(sum, zip(before, sums, strict=True)))
                assert after == (item.stock, item.held, item.sold)
                if moved:
                    assert after == (moved.memory_stock, moved.memory_held, moved.memory_sold)
        for (name, id_), folded in _folded(groups).items():
            one = self.model.sales[name].reservations[id_]
            assert folded == {what: getattr(one, what) for what in folded}
        for each in later:
            group.joins |= each.joins
            group.leaves |= each.leaves
            group.sale_changes |= each.sale_changes
            group.keyed_changes += each.keyed_changes
        for (name, id_), joined in group.joins.items():
            entry = self.model.sales[name].waiting[id_]
            assert (joined.customer, joined.lines) == (entry.customer, [entry.sku, entry.quantity])
            assert (joined.place, joined.at_ms) == (entry.place, entry.created_ms)
            assert (joined.fingerprint, joined.identities or {}) == (entry.fingerprint, entry.identities)
        for (name, id_), left in group.leaves.items():
            assert left.state == self.model.sales[name].waiting[id_].state
        for name, change in group.sale_changes.items():
            rules = (change.status, change.starts_ms, change.ends_ms, change.hold_ms, change.max_hold_ms)
            config = self.model.sales[name].config
            assert [*rules, change.limit] == _config(self.model.sales[name])[:6]
            assert change.rules == in_ledger(config.rules)
        for change in group.keyed_changes:
            kept = self.model.sales[change.sale].changes[change.key]
            assert (change.verb, change.status) == (kept.verb, kept.status)

    def close(self) -> None:
        """At the end: everything else that memory keeps."""
        self.close_chapter()
        for name, sale in self.model.sales.items():
            at = keys.sale(self.number, SaleId(name))
            used, deadlines, habits = self._wire.ask_all([
                ("HGETALL", at.used), ("ZRANGE", at.deadlines, 0, -1, "WITHSCORES"), ("HGETALL", at.history)
            ])  # fmt: skip
            customers = {one.customer for one in sale.reservations.values()}
            of_limits = {field: units for field, units in sale.used_of_limits().items() if units}
            assert {
                field.decode(): int(units) for field, units in zip(used[::2], used[1::2], strict=True)
            } == ({"": 0} | of_limits | {who: sale.used(who) for who in customers if sale.used(who)})
            if sale.config.counted:
                kept = zip(habits[::2], habits[1::2], strict=True)
                assert {who.decode(): counts.decode() for who, counts in kept} == {"": "0 0 0"} | _habits(
                    sale
                )
            assert {member.decode() for member in self._wire.ask("ZRANGE", at.queue, 0, -1)} == _line(sale)
            live = {id_: one for id_, one in sale.reservations.items() if one.status == "held"}
            assert deadlines[-2:] == [b"", b"inf"]
            ends: dict[str, int] = {}
            for ids, expires_ms in zip(deadlines[:-2:2], map(int, deadlines[1:-2:2]), strict=True):
                ends |= dict.fromkeys(ids.decode().split(), expires_ms)  # the latest comes last
            assert {id_: ends.get(id_) for id_ in live} == {id_: one.until_ms for id_, one in live.items()}
            assert ends.keys() <= sale.reservations.keys()  # a hold that ended may stay until its deadline
            asked = [(0, ""), *((0, id_) for id_ in sale.reservations), (0, "nobody")]
            status, *rest, flat = (results := self.run(Verb.GET, [name], asked).results)[0]
            assert (status, rest) == (sale.config.status_at(self.model.now_ms), _config(sale)[1:6])
            assert len(flat) == 4 * len(sale.items)
            for result, one in zip(results[1:], sale.reservations.values(), strict=False):
                assert result == self._look(sale, one)
            assert results[-1] == ["unknown-reservation"]

    def _look(self, sale: Sale, one: Reservation) -> list[Any]:
        if one.status != "held":
            return [one.status, one.seq if one.seq > self.model.recorded else 0]
        status = "held" if self.model.now_ms < one.until_ms else "expired"
        times = [one.created_ms, one.hold_ms, one.until_ms]
        return [status, one.customer, one.lines, *times, *sale.amended(one)]


def _folded(groups: Sequence[Group]) -> dict[tuple[str, str], dict[str, Any]]:
    """What the groups make of each reservation, as far as they say it, by the names of `Reservation`."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for group in groups:
        for key, row in [*group.new.items(), *group.changed.items()]:
            one = found.setdefault(key, {})
            if isinstance(row, New):
                for name in ("customer", "lines", "fingerprint", "created_ms", "hold_ms", "details"):
                    one[name] = getattr(row, name)
                one["extensions"] = []
            one |= {"status": row.status, "until_ms": row.ended_ms or row.expires_ms}
            if "extensions" in one:
                one["extensions"] = [*one["extensions"], *(row.extensions or ())]
        for key, late in group.late_confirms.items():
            content = {"customer": late.customer, "lines": late.lines, "details": late.details}
            when = {"created_ms": late.created_ms, "hold_ms": late.hold_ms, "until_ms": late.at_ms}
            found[key] = content | when | {"status": "confirmed", "fingerprint": late.fingerprint}
        for key, amend in group.amends.items():
            one = found.setdefault(key, {})
            one |= {"customer": amend.customer, "lines": amend.lines, "revision": amend.revision}
            if "details" in one:
                gone = ("takes", "pick_up")
                before = {name: what for name, what in (one["details"] or {}).items() if name not in gone}
                one["details"] = before | (amend.details or {}) | {"revision": amend.revision}
        for key, cancel in group.cancels.items():
            ended = {"status": "cancelled", "until_ms": cancel.at_ms, "lines": cancel.lines}
            found[key] = found.get(key, {}) | ended
    return found


def _units(sale: Sale, sku: str, status: str) -> int:
    return sum(
        quantity
        for one in sale.reservations.values()
        if one.status == status
        for of, quantity in zip(one.moves[::2], one.moves[1::2], strict=True)
        if of == sku
    )


def _config(sale: Sale) -> list[Any]:
    c = sale.config
    rules = ["", c.rules] if c.rules else []
    return [c.status, c.starts_ms, c.ends_ms, c.hold_ms, c.max_hold_ms, c.limit, *rules]


def _habits(sale: Sale) -> dict[str, str]:
    """What memory keeps of customers and identities where a rule counts it: "held expired last_ms"."""
    if not sale.config.counted:
        return {}
    holders = {
        who for one in sale.reservations.values() for who in sale.holders(one.customer, one.identities)
    }
    counts = {who: (sale.held(who), *sale.expired_holds.get(who, (0, 0))) for who in holders}
    return {who: " ".join(map(str, each)) for who, each in counts.items() if any(each)}


def _line(sale: Sale) -> set[str]:
    """The members of the sale's line: see scripts/lib/queue.lua."""
    members = {""} | {f"e{sku}" for sku in sale.for_unadmitted}
    for ms, sku, *entry in sale.due:
        members.add(f"d{ms:015}\0{sku}" + ("\0{:09}\0{:015}\0{}".format(*entry) if entry else ""))
    for id_, e in sale.waiting.items():
        if e.state == "waiting":
            members.add(f"p{e.sku}\0{e.place:015}\0{id_}")
            if not e.asleep_until:
                members.add(f"{'q' if e.admitted else 'r'}{e.sku}\0{e.quantity:09}\0{e.place:015}\0{id_}")
    return members


def _terms(item: Item) -> list[str]:
    """The words of an item's terms, where it has some of its own: see scripts/lib/prices.lua."""
    if item.price is None and not item.off:
        return []
    price, first = ("-", "0") if item.price is None else (str(item.price), str(item.first))
    return [price, "off" if item.off else "on", first]


def _items(sale: Sale) -> list[Any]:
    found: list[Any] = []
    for sku, item in sale.items.items():
        words = [item.stock, item.held, item.sold, *([0, 0, *_terms(item)] if _terms(item) else [])]
        found += [f"item:{sku}", " ".join(map(str, words))]
    return found


def _recipes(sale: Sale) -> list[Any]:
    return [value for name, recipe in sale.recipes.items() for value in (f"recipe:{name}", recipe)]


def _in_ledger(sale: Sale) -> tuple[list[Any] | None, ...]:
    """A sale as the recorder loads it: config, items, records, deadlines, used, habits, line, recipes."""
    records: list[Any] = [
        [key, "restock", one.fingerprint, one.stock, one.held, one.sold, 0]
        for key, one in sale.restocks.items()
    ]
    records += [[key, "sale-change", one.verb, one.status, 0, 0, 0] for key, one in sale.changes.items()]
    records += [
        [key, "amend", one.fingerprint, one.id, one.revision, 0, one.customer, one.lines, one.details]
        for key, one in sale.amends.items()
    ]
    records += [[f"moved:{sku}", "moved", *counts] for sku, counts in sale.moved.items()]
    deadlines: list[Any] = []
    for id_, one in sale.reservations.items():
        lasted = one.until_ms - one.created_ms
        head = [
            id_,
            RecordStatus[one.status.upper()].value,
            one.fingerprint,
            one.created_ms,
            one.hold_ms,
            lasted,
        ]
        if one.status == "held":
            kept = [kept_of(one.details)] if one.details else []
            records.append([*head, one.customer, one.lines, one.extensions, *kept])
            deadlines += (one.until_ms, id_)
        else:
            records.append([*head, 0, *([one.revision] if one.revision else [])])
    customers = {one.customer for one in sale.reservations.values() if sale.used(one.customer)}
    used = [value for customer in customers for value in (customer, sale.used(customer))]
    used += [value for pair in sale.used_of_limits().items() for value in pair]
    records += [
        [f"waiting:{id_}", "waiting", e.fingerprint, e.state, e.created_ms, e.place, 0, e.customer, e.sku,
         e.quantity, e.admitted or "room" not in sale.config.rules, *([e.identities] if e.identities else [])]
        for id_, e in sale.waiting.items()
    ]  # fmt: skip
    waiting = {id_: e for id_, e in sale.waiting.items() if e.state == "waiting"}
    records += [[f"waits:{e.customer}", id_] for id_, e in waiting.items()]
    records.append(["waiting-place", "place", sale.place])
    line = [
        value for id_, e in waiting.items()
        for value in (e.sku, e.place, id_, e.quantity, e.admitted or "room" not in sale.config.rules)
    ]  # fmt: skip
    habits = [value for pair in _habits(sale).items() for value in pair]
    records = [[name, values] for name, *values in records]
    no = None
    return _config(sale), _items(sale), records, deadlines, used, no, habits, line, no, no, _recipes(sale)


_SEQ_AT = {
    (Verb.RESERVE, "confirmed"): 5,
    (Verb.CONFIRM, "confirmed"): 7,
    (Verb.RELEASE, "released"): 7,
    (Verb.CONFIRM, "as-it-is"): 1,
    (Verb.RELEASE, "as-it-is"): 1,
    (Verb.CANCEL, "cancelled"): 2,
    (Verb.CANCEL, "as-it-is"): 1,
    (Verb.CANCEL, "amended-since"): 1,
    (Verb.AMEND, "amended"): 8,
    (Verb.AMEND, "as-it-is"): 1,
    (Verb.AMEND, "amended-since"): 1,
    (Verb.RESTOCK, "restocked"): 5,
    **{(Verb.WAITING_LIST, state): 7 for state in ("waiting", "offered", "left", "limit-reached", "ended")},
}


def _check_names(verb: Verb, values: list[Any]) -> None:
    """Every result that the model knows has a struct, with a value for each of its fields."""
    if verb in BY_WORD or verb in BY_SHAPE:
        result = read_result(verb, values)
        if isinstance(result, Refusal):
            assert [result.code, *result.values] == values
            assert verb not in BY_WORD or values[0] not in BY_WORD[verb]


def _without_seq(verb: Verb, result: list[Any]) -> list[Any]:
    """The result, with its journal entry's number as a mere "there is one"."""
    at = (
        2
        if verb in (Verb.CHANGE_SALE, Verb.CHANGE_ITEM) and len(result) == 3
        else _SEQ_AT.get((verb, result[0]))
    )
    if at is None or at >= len(result):
        return result
    return [*result[:at], bool(result[at]), *result[at + 1 :]]
