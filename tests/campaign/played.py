"""Makes histories of a right sale from a seed, and breaks a promise in them."""

import heapq
import random
from collections.abc import Callable

import msgspec

from tests.campaign.history import Ask, Counters, History, Ledger, Record, Row, Told

BUYERS = 40
HOLD_SECONDS = 2.0


class Played(msgspec.Struct):
    """A concurrent history of a right sale: each request takes effect at a moment between call and answer."""

    history: History
    rows: dict[str, Row]
    restocks: list[tuple[str, str, int]]

    @property
    def record(self) -> Record:
        items = {}
        for counter, stock in self.history.stock.items():
            taken = {"held": 0, "confirmed": 0}
            for row in self.rows.values():
                if row.status in taken:
                    taken[row.status] += self.history.takes(row.lines).get(counter, 0)
            more = sum(units for _, sku, units in self.restocks if sku == counter)
            items[counter] = Counters(stock + more, taken["held"], taken["confirmed"])
        ledger = Ledger(tuple(self.rows.values()), items, items, tuple(self.restocks))
        keys = {t.ask.key for t in self.history.told if t.ask.verb in ("hold", "buy")}
        return Record(self.history, ledger, {key: f"id-{key}" for key in keys}, memory_forgets=False)


def play(seed: int, requests: int, *, stock: int = 200, lost: float = 0.05) -> Played:
    """Play a sale: 40 buyers hold, buy, confirm, release or let go; some answers are lost."""
    rng, customers = random.Random(seed), requests // 5
    history = History("s", 3, {"a": stock, "b": stock, "hall": stock + stock // 2})
    history.recipes = {"a": {"hall": 1}, "b": {"hall": 1}}
    history.hold_seconds = HOLD_SECONDS
    played = Played(history, {}, [])
    free, used = dict(history.stock), dict.fromkeys((f"c{n}" for n in range(customers)), 0)
    ready = sorted((rng.random(), n) for n in range(BUYERS))
    expiries: list[tuple[float, str]] = []
    open_holds: dict[int, tuple[str, str]] = {}

    def give_back(id_: str, status: str) -> None:
        row = played.rows[id_]
        for counter, units in history.takes(row.lines).items():
            free[counter] += units
        used[row.customer] -= sum(units for _, units in row.lines)
        played.rows[id_] = msgspec.structs.replace(row, status=status)

    def act(ask: Ask, call: float, at: float, back: float, buyer: int) -> None:
        while expiries and expiries[0][0] <= at:
            _, due = heapq.heappop(expiries)
            if played.rows[due].status == "held":
                give_back(due, "expired")
        id_ = ask.about.rpartition(".")[2] or f"id-{ask.key}"
        word, http = "", 409
        if ask.verb in ("hold", "buy"):
            takes = history.takes(ask.lines)
            if any(free[counter] < units for counter, units in takes.items()):
                word = "sold-out"
            elif used[ask.customer] + sum(units for _, units in ask.lines) > (history.limit or 0):
                word = "limit-reached"
            else:
                word, http = ("held" if ask.verb == "hold" else "confirmed"), 201
                for counter, units in takes.items():
                    free[counter] -= units
                used[ask.customer] += sum(units for _, units in ask.lines)
                played.rows[id_] = Row(id_, ask.customer, word, ask.lines)
                if word == "held":
                    heapq.heappush(expiries, (at + HOLD_SECONDS, id_))
        elif ask.verb == "restock":
            [(sku, units)] = ask.lines
            free[sku] += units
            played.restocks.append((f"restock:{ask.key}", sku, units))
            word, http = "restocked", 200
        else:
            status = played.rows[id_].status
            end = "confirmed" if ask.verb == "confirm" else "released"
            if status == "held" and end == "released":
                give_back(id_, end)
            elif status == "held":
                played.rows[id_] = msgspec.structs.replace(played.rows[id_], status=end)
            elif status != end:
                end = f"reservation-{status}"
            word, http = end, 409 if "-" in end else 200
        if rng.random() < lost:
            history.told.append(Told(ask, call, back, "no-answer"))
            open_holds.pop(buyer, None)
            return
        left = at + HOLD_SECONDS - back if word == "held" else 0.0
        full = f"s.{id_}" if http < 300 and ask.verb != "restock" else ""
        history.told.append(Told(ask, call, back, word, http, full, expires_in=left))
        if word == "held":
            open_holds[buyer] = (f"s.{id_}", ask.customer)
        else:
            open_holds.pop(buyer, None)

    queue: list[tuple[float, int, Ask, float, float, int]] = []
    for number in range(requests):
        while queue and queue[0][0] <= ready[0][0]:
            at, _, ask, call, back, buyer = heapq.heappop(queue)
            act(ask, call, at, back, buyer)
            heapq.heappush(ready, (back + rng.expovariate(100), buyer))
        while not ready:
            at, _, ask, call, back, buyer = heapq.heappop(queue)
            act(ask, call, at, back, buyer)
            heapq.heappush(ready, (back + rng.expovariate(100), buyer))
        call, buyer = heapq.heappop(ready)
        if buyer in open_holds and rng.random() < 0.8:
            about, customer = open_holds[buyer]
            ask = Ask(f"k{number}", rng.choice(["confirm", "release"]), customer, about=about)
        elif rng.random() < 0.02:
            ask = Ask(f"k{number}", "restock", lines=((rng.choice("ab"), rng.randint(1, 5)),))
        else:
            lines = rng.choice([(("a", 1),), (("b", 2),), (("a", 1), ("b", 1))])
            ask = Ask(f"k{number}", rng.choice(["hold", "buy"]), f"c{rng.randrange(customers)}", lines)
        at = call + rng.expovariate(50)
        heapq.heappush(queue, (at, number, ask, call, at + rng.expovariate(50), buyer))
    while queue:
        at, _, ask, call, back, buyer = heapq.heappop(queue)
        act(ask, call, at, back, buyer)
    for id_, row in played.rows.items():
        if row.status == "held":
            played.rows[id_] = msgspec.structs.replace(row, status="expired")
    return played


def first(played: Played, verb: str, word: str, *, after: float = 0.0) -> int:
    """Return the index of the first such answer."""
    answers = enumerate(played.history.told)
    return next(n for n, t in answers if (t.ask.verb, t.word) == (verb, word) and t.started >= after)


def change(played: Played, n: int, **values: object) -> Told:
    told = msgspec.structs.replace(played.history.told[n], **values)
    played.history.told[n] = told
    return told


def refusal_becomes_an_order(played: Played, word: str) -> None:
    told = change(played, first(played, "buy", word), word="confirmed", http=201)
    id_ = f"id-{told.ask.key}"
    change(played, first(played, "buy", "confirmed", after=told.started), id=f"s.{id_}")
    played.rows[id_] = Row(id_, told.ask.customer, "confirmed", told.ask.lines)


def oversold(played: Played) -> None:
    refusal_becomes_an_order(played, "sold-out")


def over_the_limit(played: Played) -> None:
    refusal_becomes_an_order(played, "limit-reached")


def order_lost(played: Played) -> None:
    told = played.history.told[first(played, "buy", "confirmed")]
    del played.rows[f"id-{told.ask.key}"]


def refused_though_there_was_plenty(played: Played) -> None:
    n = min(range(len(played.history.told)), key=lambda n: played.history.told[n].ended)
    change(played, n, word="sold-out", http=409, id="")
    played.rows.pop(f"id-{played.history.told[n].ask.key}", None)


def refused_before_the_limit(played: Played) -> None:
    n = min(range(len(played.history.told)), key=lambda n: played.history.told[n].ended)
    change(played, n, word="limit-reached", http=409, id="")
    played.rows.pop(f"id-{played.history.told[n].ask.key}", None)


def confirmed_after_its_release(played: Played) -> None:
    told = played.history.told[first(played, "release", "released")]
    ask = Ask("late", "confirm", told.ask.customer, about=told.ask.about)
    played.history.told.append(Told(ask, told.ended + 1, told.ended + 1.1, "confirmed", 200, told.ask.about))


def ended_before_its_time(played: Played) -> None:
    told = played.history.told[first(played, "confirm", "confirmed")]
    change(played, played.history.told.index(told), word="reservation-expired", http=409)
    id_ = told.ask.about.rpartition(".")[2]
    played.rows[id_] = msgspec.structs.replace(played.rows[id_], status="expired")


def restock_lost(played: Played) -> None:
    told = played.history.told[first(played, "restock", "restocked")]
    played.restocks = [each for each in played.restocks if each[0] != f"restock:{told.ask.key}"]


def order_became_another(played: Played) -> None:
    told = played.history.told[first(played, "buy", "confirmed")]
    id_ = f"id-{told.ask.key}"
    played.rows[id_] = msgspec.structs.replace(played.rows[id_], lines=(("a", 7),))


def order_out_of_nothing(played: Played) -> None:
    id_ = next(id_ for id_, row in played.rows.items() if row.status == "expired")
    played.rows[id_] = msgspec.structs.replace(played.rows[id_], status="confirmed")


BREAKS: list[Callable[[Played], None]] = [
    oversold, over_the_limit, order_lost, refused_though_there_was_plenty, refused_before_the_limit,
    confirmed_after_its_release, ended_before_its_time, restock_lost, order_became_another,
    order_out_of_nothing,
]  # fmt: skip


ANSWERS = {
    "hold": ["held", "sold-out", "limit-reached"],
    "buy": ["confirmed", "sold-out", "limit-reached"],
    "confirm": ["confirmed", "reservation-released", "reservation-expired", "unknown-reservation"],
    "release": ["released", "reservation-confirmed", "reservation-expired"],
    "restock": ["restocked"],
}


def bend(played: Played, rng: random.Random) -> None:
    """Change an answer, its times, or a row of the ledger: the history may be right or wrong after it."""
    told = played.history.told
    n = rng.randrange(len(told))
    answer, ids = told[n], sorted(played.rows)
    kind = rng.choice(["word", "time", "lost", "status", "lines"])
    if kind == "word":
        word = rng.choice(ANSWERS[answer.ask.verb])
        granted = word in ("held", "confirmed", "released", "restocked")
        told[n] = msgspec.structs.replace(answer, word=word, http=201 if granted else 409, expires_in=0.0)
        id_ = f"id-{answer.ask.key}"
        if answer.ask.verb in ("hold", "buy") and granted:
            status = "confirmed" if word == "confirmed" else "expired"
            played.rows.setdefault(id_, Row(id_, answer.ask.customer, status, answer.ask.lines))
        elif answer.ask.verb in ("hold", "buy"):
            played.rows.pop(id_, None)
    elif kind == "time":
        by = rng.uniform(-0.05, 0.05)
        told[n] = msgspec.structs.replace(answer, started=answer.started + by, ended=answer.ended + by)
    elif kind == "lost":
        told[n] = msgspec.structs.replace(answer, word="no-answer", http=0, id="", expires_in=0.0)
    elif kind == "status":
        row = played.rows[rng.choice(ids)]
        status = rng.choice(["confirmed", "released", "expired"])
        played.rows[row.id] = msgspec.structs.replace(row, status=status)
    else:
        row = played.rows[rng.choice(ids)]
        lines = rng.choice([(("a", 1),), (("b", 2),), (("a", 1), ("b", 1))])
        played.rows[row.id] = msgspec.structs.replace(row, lines=lines)
