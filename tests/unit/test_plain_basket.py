"""The lane's model of a basket accepts nothing that the contract's model refuses, and reads the same."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from flashguard.api.schemas.bodies import (
    MAX_ADMISSION,
    BasketBody,
    DetailedBasket,
    PlainBasket,
    lane_basket,
    plain_basket,
)
from flashguard.engine.baskets import Basket, checked_basket
from flashguard.model import MAX_LINES, MAX_NAME, MAX_QUANTITY

LONG = ("x" * MAX_NAME, "x" * (MAX_NAME + 1), "a" + " " * MAX_NAME)
ODD_TEXT = st.sampled_from(["", " ", "ann", "ÄNN ", "a\x00", "a\x7f", "\u202e", "an\ufe0fn", "😀", *LONG])
TEXT = st.one_of(ODD_TEXT, st.text(max_size=MAX_NAME + 2))
NUMBER = st.one_of(
    st.integers(), st.sampled_from([0, 1, -1, MAX_QUANTITY, MAX_QUANTITY + 1, 2**63, 2**64]), st.floats()
)
JUNK: st.SearchStrategy[Any] = st.one_of(
    TEXT, NUMBER, st.none(), st.booleans(), st.lists(st.none(), max_size=2)
)
LINE = st.fixed_dictionaries(
    {"sku": st.one_of(TEXT, JUNK), "quantity": st.one_of(NUMBER, JUNK)}, optional={"price": JUNK}
)
LINES = st.one_of(st.lists(LINE, max_size=3), JUNK)
BASKET = st.fixed_dictionaries(
    {"customer": st.one_of(TEXT, JUNK), "items": LINES}, optional={"admission": JUNK, "more": JUNK}
)


def read_by_lane(body: bytes) -> tuple[PlainBasket, Basket] | None:
    """The basket that the lane would sell; None where it leaves the request to the framework."""
    try:
        plain = plain_basket(body)
    except ValueError:
        return None
    basket = checked_basket(
        "s", plain.customer, plain.items, None, buy=True, admitted_until=0, fold_case=True,
        identity=lambda by, text: text,
    )  # fmt: skip
    return (plain, basket) if isinstance(basket, Basket) else None


def same(body: bytes) -> bool:
    """Whether the lane takes a body; it must then be what the contract reads."""
    read = read_by_lane(body)
    if read is not None:
        assert BasketBody.model_validate_json(body).plain() == read[0]
    return read is not None


@given(BASKET)
def test_what_the_lane_takes_is_valid_by_the_contract_and_means_the_same(body):
    same(json.dumps(body).encode())


@given(st.one_of(st.binary(max_size=80), st.text(max_size=80).map(str.encode)))
def test_no_bytes_are_a_basket_to_the_lane_alone(body):
    same(b'{"customer":"ann","items":[{"sku":"u","quantity":1}],"admission":' + body + b"}")


@pytest.mark.parametrize(
    "body",
    [
        '{"customer":"ann","items":[{"sku":"u","quantity":1}]}',
        ' {"items":[{"quantity":2,"sku":"u"},{"sku":"u","quantity":1}],"customer":"\\u00c4NN"}\n',
        '{"customer":"ann","items":[{"sku":"u","quantity":1}],"admission":null}',
        '{"customer":"ann","items":[{"sku":"u","quantity":1}],"admission":"a.b.c"}',
    ],
)
def test_ordinary_baskets_are_for_the_lane(body):
    assert same(body.encode())


GOOD = {"customer": "ann", "items": [{"sku": "u", "quantity": 1}]}
ODD = [
    *(GOOD | {"customer": text} for text in ("", " ", "a\x00", "a\ud800", "аnn", 1, None, *LONG[1:])),
    *(GOOD | {"items": [{"sku": text, "quantity": 1}]} for text in ("", "a\x7f", "\u202e", 1, *LONG[1:])),
    *(
        GOOD | {"items": [{"sku": "u", "quantity": number}]}
        for number in (0, -1, 1.0, 1.5, True, "1", None, MAX_QUANTITY + 1, 2**64)
    ),
    *(GOOD | {"admission": value} for value in (1, "x" * (MAX_ADMISSION + 1), [])),
    *(GOOD | {"items": items} for items in ([], {}, None, [None], [{"sku": "u"}], [{"quantity": 1}])),
    GOOD | {"more": 1},
    GOOD | {"items": [{"sku": "u", "quantity": 1, "price": 1}]},
    {"customer": "ann"},
    [],
]


@pytest.mark.parametrize("body", ODD, ids=str)
def test_what_the_contract_refuses_is_not_for_the_lane(body):
    assert not same(json.dumps(body).encode())


@pytest.mark.parametrize("lines", [0, 1, MAX_LINES, MAX_LINES + 1])
def test_both_models_have_the_same_bounds(lines):
    body = json.dumps({"customer": "ann", "items": [{"sku": "u", "quantity": 1}] * lines}).encode()
    try:
        BasketBody.model_validate_json(body)
        valid = True
    except ValidationError:
        valid = False
    assert same(body) == valid == (1 <= lines <= MAX_LINES)


def test_both_models_have_the_same_fields():
    assert set(BasketBody.model_fields) == {field.name for field in msgspec.structs.fields(DetailedBasket)}
    attached = set(DetailedBasket.__struct_fields__) - set(PlainBasket.__struct_fields__)
    assert attached == {"reference", "metadata", "identities"}  # the lane takes no body with these


@pytest.mark.parametrize(
    "more",
    [
        '"identities":{"card":"c"}',
        '"reference":"x"',
        '"metadata":{"a":"b"}',
        '"metadata":{}',
        '"reference":null',
    ],
)
def test_the_lane_leaves_what_is_attached_to_the_framework(more: str):
    with pytest.raises(ValueError, match="unknown field"):
        lane_basket(f'{{"customer":"ann","items":[{{"sku":"a","quantity":1}}],{more}}}'.encode())
