"""The one spelling of a customer's id is its own one spelling, for all of Unicode."""

import sys
import unicodedata
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flashguard.engine.customers import one_customer

MARKS = (
    "\u0300\u0301\u0304\u0306\u0307\u0308\u030a\u030c\u031b\u0323\u0327\u0328\u0338\u0342\u0345"
    "\u3099\u309a\u093c\u0653"
)
"""Combining marks that letters are composed with, or that case folding moves."""


def assigned() -> Iterator[str]:
    for point in range(sys.maxunicode + 1):
        if unicodedata.category(chr(point)) not in ("Cn", "Co", "Cs"):
            yield chr(point)


def check(text: str, fold_case: bool) -> None:
    one = one_customer(text, fold_case=fold_case)
    if one is not None:
        assert one_customer(one, fold_case=fold_case) == one, ascii(text)


@pytest.mark.parametrize("fold_case", [True, False])
def test_of_every_code_point(fold_case: bool) -> None:
    for letter in assigned():
        check(letter, fold_case)


@pytest.mark.parametrize("fold_case", [True, False])
def test_of_every_letter_that_changes_with_every_mark_that_composes(fold_case: bool) -> None:
    for letter in assigned():
        if "\uac00" <= letter <= "\ud7a3":  # Hangul syllables compose with no mark
            continue
        plain = unicodedata.normalize("NFD", letter)
        if letter.lower() != letter.upper() or plain != letter or letter in "\u02bc\u2019\u00b4":
            for mark in MARKS:
                check(f"{letter}{mark}", fold_case)
                check(f"a{mark}{letter}", fold_case)


@settings(max_examples=2000)
@given(
    st.text(
        st.one_of(st.characters(), st.sampled_from(MARKS + "\u0131i\u2019'-\u200d\u0660Aa ")), max_size=12
    ),
    st.booleans(),
)
def test_of_any_text(text: str, fold_case: bool) -> None:
    check(text, fold_case)
