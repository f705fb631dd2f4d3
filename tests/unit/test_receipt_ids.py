"""Derived ids: no text that a caller sends makes two kinds, two scopes or two owners of a key meet."""

import itertools

from flashguard.engine.receipts import IdKind, Signer
from flashguard.model import CustomerId, Key, KeyScope, SaleId, ScopedKey

TEXTS = ["a", "b", "a\0b", "waiting-list", "a\0waiting-list", '"a"', "a,b", '["buyer",["a","b"]]', "~1", ""]
"""What composite strings were once made of, and what would end a value early in JSON."""


def test_no_two_kinds_sales_owners_or_keys_share_an_id() -> None:
    signer = Signer("00" * 32)
    keys: list[Key] = [*TEXTS]
    for scope in KeyScope:
        keys += [ScopedKey(scope, parts) for parts in itertools.product(TEXTS, repeat=2)]
        keys += [ScopedKey(scope, (text,)) for text in TEXTS]
    customers = [None, CustomerId("a"), CustomerId("a\0b"), CustomerId("null")]
    given = [
        (kind, sale, key, customer)
        for kind in IdKind
        for sale in map(SaleId, ("s", "s~1", "s-1"))
        for key in keys
        for customer in customers
    ]
    ids = {signer.short_id(kind, sale, key, customer=customer) for kind, sale, key, customer in given}
    assert len(ids) == len(given)


def test_the_same_key_leads_to_the_same_id_and_no_key_to_a_new_one() -> None:
    one, other = Signer("01" * 32), Signer("02" * 32)
    sale, buyer = SaleId("s"), ScopedKey(KeyScope.BUYER, ("ann", "k"))
    for key in ("k", buyer):
        assert one.short_id(IdKind.RESERVATION, sale, key) == one.short_id(IdKind.RESERVATION, sale, key)
        assert one.short_id(IdKind.RESERVATION, sale, key) != other.short_id(IdKind.RESERVATION, sale, key)
    assert one.short_id(IdKind.RESERVATION, sale, None) != one.short_id(IdKind.RESERVATION, sale, None)
    assert one.ticket_id(sale, "ann") != one.ticket_id(sale, "bob")
