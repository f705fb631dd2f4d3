"""A limit per customer can't be dodged by writing the customer's id another way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flashguard.customers import one_customer

SAME = {
    "ann lee": [
        "ANN LEE",
        " ann lee",
        "ann lee ",
        "ann  lee",
        "ａｎｎ lee",
        "ann\u00a0lee",
        "ann\u3000lee",
        "aNN\u2003lee",
    ],
    "änn": ["ÄNN", "a\u0308nn", "A\u0308NN ", "ä\uff4en"],
    "strasse": ["Straße", "STRASSE", "STRAẞE"],
    "fi": ["ﬁ", "FI", "Fİ"],
    "анна": ["Анна", "АННА"],
    "李li": ["李Li", "李LI"],
}
REFUSED = [
    "",
    " ",
    "an\u200bn",
    "ann\ufeff",
    "an\u00adn",
    "ann\ufe0f",
    "ann\u202e",
    "ann\u3164",
    "ann\u2800",
    "ann\U000e0041",
    "a\x00nn",
    "ann\n",
    "ann\x7f",
    "ann\ud800",
    "ann\ue000",
    "аnn",  # a Cyrillic first letter
    "αnn",  # a Greek one
    "сосо",  # Cyrillic letters that all look like Latin ones
    "ᴀnn",
    "ɑnn",
    "a" * 129,
    "ﷺ" * 20,  # grows beyond the bound when it is made plain
]


@pytest.mark.parametrize("one", SAME)
def test_spellings_of_one_customer_are_one(one: str) -> None:
    for spelling in [one, *SAME[one]]:
        assert one_customer(spelling) == one, ascii(spelling)


@pytest.mark.parametrize("text", REFUSED, ids=ascii)
def test_what_hides_or_pretends_is_refused(text: str) -> None:
    assert one_customer(text) is None


def test_ids_that_tell_capitals_apart_can_be_kept_apart() -> None:
    assert one_customer("cus_NffrF", fold_case=False) == "cus_NffrF"
    assert one_customer(" cus_NffrF ", fold_case=False) == "cus_NffrF"
    assert one_customer("Ａnn", fold_case=False) == "Ann"
    assert one_customer("an\u200bn", fold_case=False) is None


@given(st.text(max_size=130), st.booleans())
def test_the_one_spelling_is_its_own(text: str, fold_case: bool) -> None:
    one = one_customer(text, fold_case=fold_case)
    assert one is None or one_customer(one, fold_case=fold_case) == one
    if one is not None:
        assert one.isprintable()
        assert one == one.strip()
        one.encode()


@given(st.text(alphabet=st.characters(max_codepoint=0x24F), max_size=20))
def test_case_never_makes_two(text: str) -> None:
    ones = {one_customer(text), one_customer(text.lower()), one_customer(text.upper())} - {None}
    assert len(ones) <= 1
