"""What strangers send back, or a damaged store holds, is read or refused: no reader raises anything else.

`make fuzz SEEDS=100000` damages more.
"""

import contextlib
import os
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import pytest

from flashguard.access.tokens import Claims, KeyRing, TokenKind
from flashguard.api.responses.problems import RefusedError
from flashguard.api.schemas.views import decode_cursor, encode_cursor
from flashguard.engine.receipts import Signer
from flashguard.facts import cursor as facts
from flashguard.journal import (
    Announcement,
    BrokenEntry,
    decode_announcement,
    decode_entry,
    encode_announcement,
)
from flashguard.kernel.errors import MemoryBroken
from flashguard.kernel.records import EndedRecord, HoldRecord, read_config, read_record, record_blob
from flashguard.ledger.identities import SigningKey
from flashguard.model import CustomerId, Line, Refused, ReservationId, SaleId, Sku
from flashguard.model.whole import whole_number
from flashguard.waiting.proof_of_work import NO_PROOF, Proofs
from flashguard.waiting.tickets import Tickets, shard_of
from flashguard.webhooks.signing import is_signed, signed_headers

from .streams import damaged

FIRST: Final = int(os.environ.get("SEED", "0"))
SEEDS: Final = int(os.environ.get("SEEDS", "3000"))
SIGNER: Final = Signer("ab" * 32)
SALE: Final = SaleId("fuzz")
"""Texts that are wrong in ways that a change of bytes seldom finds."""
ODD: Final = (
    "", ".", "..", "a.b.c", "\0", "\ud800", "é" * 100, "٣" * 20, "²", "9" * 5_000, "=" * 9, "-",
    "9" * 5_000 + "-1", "1-" + "9" * 5_000, "e30.e30.e30", "A" * 20_000, " ", "\r\n", "null", "[]", "{}",
    "~" + "9" * 5_000, "a~²", "{" * 5_000,
)  # fmt: skip


def texts(seed_text: str) -> list[str]:
    """Return damaged copies of a text that is right, cut or joined, and odd ones."""
    right = seed_text.encode()
    made = [damaged(random.Random(seed), right).decode("latin-1") for seed in range(FIRST, FIRST + SEEDS)]
    halves = [seed_text[:i] for i in range(0, len(seed_text), 7)]
    return [*made, *halves, seed_text * 2, seed_text.upper(), *ODD, *(seed_text + odd for odd in ODD)]


def blobs(right: bytes) -> list[bytes]:
    """Return damaged copies of bytes that are right, and bytes of no meaning."""
    rng = random.Random(FIRST + 1)
    made = [damaged(random.Random(seed), right) for seed in range(FIRST, FIRST + SEEDS)]
    return [*made, *(rng.randbytes(rng.randrange(60)) for _ in range(SEEDS))]


def test_a_receipt_is_read_only_where_it_says_what_was_signed():
    lines = [Line(Sku("unit"), 1)]
    right = SIGNER.receipt(ReservationId("fuzz.1"), CustomerId("ann"), lines, 1, 2)
    original = SIGNER.verify(right)
    assert original is not None
    assert {SIGNER.verify(text) for text in texts(right)} <= {None, original}


def ring() -> KeyRing:
    made = KeyRing(time.time)
    made.replace([SigningKey("one", b"s" * 32, 0.0, None)])
    return made


def test_a_token_is_read_only_where_it_says_what_was_signed():
    keys = ring()
    for kind in TokenKind:
        right = keys.sign(kind, "ann", SALE, 600, {"until_ms": 5}).token
        original = keys.verify(kind, right.encode())
        for text in texts(right):
            found = keys.verify(kind, text.encode("utf-8", "replace"))
            assert isinstance(found, Refused) or found == original
            assert isinstance(found, Refused | Claims)


def test_an_admission_of_any_text_admits_no_customer():
    tickets = Tickets(SIGNER, ring(), CustomerId)
    id_ = tickets.id_of(SALE, "ann", 1)
    right = tickets.admission(SALE, id_, 60_000, 0)
    assert tickets.admitted_until(SALE, "ann", right) == 60_000
    for text in texts(right):
        assert tickets.admitted_until(SALE, "ann", text) in (0, 60_000)
        assert tickets.admitted_until(SALE, "bob", text) == 0
        assert tickets.read(SALE, id_, 1, text if text.isascii() else None) == []
        assert shard_of(SALE, text)


def test_a_proof_of_any_text_proves_nothing():
    async def read(_: SaleId) -> Any:
        return None

    proofs = Proofs(SIGNER, None, CustomerId, read)  # type: ignore[arg-type]
    json = msgspec.json.encode(
        {"challenge": {"parameters": {"algorithm": "SCRYPT", "data": {}}}, "solution": {}}
    )
    try:
        for text in texts(json.decode()):
            assert proofs.verify(SALE, CustomerId("ann"), text) == NO_PROOF
    finally:
        proofs.close()


def test_a_cursor_of_any_text_is_read_or_refused():
    for text in texts(encode_cursor(datetime.now(UTC), "fuzz.1")):
        with contextlib.suppress(RefusedError):
            assert decode_cursor(text) is not None
    right = facts.Cursor(1, (5, 6), 1, 7)
    for text in texts(facts.encode(right)):
        found = facts.decode(text, 2)
        assert found is None or (len(found.ids) == 2 and all(0 <= id_ < 2**63 for id_ in found.ids))


def test_the_signature_of_a_webhook_counts_for_its_bytes_and_its_time_alone():
    secret, body = "whsec_" + "QUJD" * 8, b'{"type":"payment.paid"}'
    now = time.time()
    right = signed_headers("msg", int(now), body, [secret])
    assert is_signed(right, body, secret, now)
    for name in right:
        for text in texts(right[name]):
            if text != right[name] and is_signed(
                {**right, name: text}, body, secret, now
            ):  # a header may have several signatures
                assert name == "webhook-signature"
                assert right[name] in text.split()
    assert not any(is_signed(right, blob, secret, now) for blob in blobs(body) if blob != body)


def reads(
    read: Callable[[bytes], object], allowed: type[Exception] | tuple[type[Exception], ...], right: bytes
) -> int:
    """Return how many damaged copies are read all the same."""
    count = 0
    for blob in blobs(right):
        try:
            read(blob)
            count += 1
        except allowed:
            pass
    return count


HOLD: Final = HoldRecord(1, 7, 5, 60_000, 60_000, CustomerId("ann"), ["unit", 1])


def test_a_record_of_any_bytes_is_read_or_called_broken():
    right = record_blob(HOLD)
    assert read_record(right) == HOLD
    assert reads(read_record, MemoryBroken, right) > 0
    assert reads(read_record, MemoryBroken, record_blob(EndedRecord(2, 7, 5, 60_000, 9, 3))) > 0
    reads(read_config, MemoryBroken, right)


HOLD_ENTRY: Final = msgspec.msgpack.encode(
    [5, [["hold", "fuzz", "fuzz.1", ["unit", 1], 5, 7, "ann", 60_000]], [["fuzz", "unit", 9, 1, 0]]]
)
FIELDS: Final = {b"t": b"token", b"p": b"before", b"d": HOLD_ENTRY}


def test_a_journal_entry_of_any_bytes_is_read_or_called_broken():
    assert decode_entry(b"1-2", FIELDS).body.transitions
    for name, right in FIELDS.items():
        reads(lambda blob, name=name: decode_entry(b"1-2", FIELDS | {name: blob}), BrokenEntry, right)  # type: ignore[misc]
    reads(lambda blob: decode_entry(blob, FIELDS), BrokenEntry, b"12-345")
    for text in ODD:
        with pytest.raises(BrokenEntry):
            decode_entry(text.encode("utf-8", "replace"), FIELDS)


def test_an_announcement_of_any_bytes_is_read_or_called_broken():
    right = encode_announcement(Announcement(3, [(1, "a"), (2, "b")], [ReservationId("fuzz.1")])).encode()
    assert reads(decode_announcement, (msgspec.MsgspecError, UnicodeDecodeError), right) > 0


@pytest.mark.parametrize("text", ODD)
def test_a_whole_number_has_at_most_eighteen_digits_of_ascii(text: str):
    assert whole_number(text) is None


def test_a_whole_number_of_eighteen_digits_fits_into_64_bits():
    assert whole_number("9" * 18) == 10**18 - 1 < 2**63
    assert whole_number("0") == 0
    assert whole_number("9" * 19) is None
