"""Measures what identifying a caller costs: an API key, a buyer's token seen before, and a new one.

python -m bench.identities [FILE]
"""

import argparse
import secrets
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from bench.measure import US
from bench.offline import offline_guard
from bench.report import commit, machine
from flashguard.access.identities import Identities, new_api_key
from flashguard.access.tokens import TokenKind, new_signing_key
from flashguard.api.access import Caller, Callers
from flashguard.api.app import create_front_door
from flashguard.api.hot_calls import match
from flashguard.ledger.identities import Known, LiveKey, SigningKey
from flashguard.model import SaleId
from flashguard.settings import Mode, Settings

BUYERS = 5_000
ROUNDS = 9
SALE = SaleId("drop")


class Ready(Identities):
    """Identities that need no ledger."""

    def take(self, known: Known) -> None:
        self.ring.replace(known.signing_keys, known.revoked_tokens)
        self._keys = {key.hash: key for key in known.api_keys}


def cost_us(work: Callable[[bytes], object], many: Sequence[bytes]) -> float:
    """Return CPU per call, in microseconds."""
    started = time.process_time()
    for each in many:
        work(each)
    return (time.process_time() - started) / len(many) * US


def told(callers: Callers) -> Callable[[bytes], None]:
    def work(authorization: bytes) -> None:
        assert isinstance(callers.identify(authorization), Caller)

    return work


def measure() -> dict[str, Any]:
    admin = secrets.token_urlsafe(24)
    settings = Settings(mode=Mode.PRODUCTION, admin_key=admin)  # type: ignore[arg-type]
    identities, key = Ready(), new_api_key()
    id_, secret = new_signing_key()
    known = Known((SigningKey(id_, secret, 0.0, None),), (LiveKey(key.id, key.digest, ("shop",), None),), {})
    identities.take(known)
    callers = Callers(settings, identities)
    sign = identities.ring.sign
    tokens = [
        f"Bearer {sign(TokenKind.BUYER, f'customer-{number}', SALE, 900).token}".encode()
        for number in range(BUYERS)
    ]
    rows: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        fresh = Callers(settings, identities)
        identities.ring.forget()
        for name, many in (
            ("admin key", [f"Bearer {admin}".encode()] * BUYERS),
            ("API key", [f"Bearer {key.secret}".encode()] * BUYERS),
            ("buyer's token, first seen", tokens),
            ("buyer's token, seen before", tokens),
        ):
            rows.setdefault(name, []).append(cost_us(told(fresh), many))
        rows.setdefault("minting a token", []).append(
            cost_us(lambda _: sign(TokenKind.BUYER, "ann", SALE, 900), tokens[:1000])
        )
    figures = {name: round(statistics.median(values), 2) for name, values in rows.items()}
    return {"cpu_us": figures, "token_bytes": len(tokens[0]) - 7, "lane": lane(settings, callers, tokens)}


def lane(settings: Settings, callers: Callers, tokens: Sequence[bytes]) -> dict[str, float]:
    """Measure how long the lane takes to plan a hold, by kind of caller, without the work itself."""
    door = create_front_door(settings)
    door.shared.guard = offline_guard(settings)
    door._callers = callers
    body = b'{"customer":"customer-1","items":[{"sku":"unit","quantity":1}]}'
    headers = {
        "admin key": [f"Bearer {settings.admin_key.get_secret_value()}".encode()] * BUYERS  # type: ignore[union-attr]
    } | {"buyer's token": list(tokens)}

    def plan(authorization: bytes) -> None:
        found = match(b"POST", b"/v1/sales/drop/reservations")
        assert found is not None
        begun = door.plan(
            found,
            [(b"content-type", b"application/json"), (b"authorization", authorization)],
            body,
        )
        assert begun is not None

    return {
        name: round(statistics.median(cost_us(plan, many) for _ in range(ROUNDS)), 2)
        for name, many in headers.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.identities", description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, help="where to write what was measured")
    file = parser.parse_args().file
    report = msgspec.json.format(msgspec.json.encode({"commit": commit(), "machine": machine()} | measure()))
    print(report.decode())
    if file:
        file.write_bytes(report + b"\n")


if __name__ == "__main__":
    main()
