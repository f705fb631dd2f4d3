"""A limit per customer can't be dodged by writing the customer's id another way."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flashguard.engine import unicode_scripts
from flashguard.engine.customers import one_customer
from tests.support.names import all_names

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
    "ann-1": ["ann\u20101", "ann\u20111", "ann\u22121", "ann–1", "ann—1", "ann\ufe631", "ann\uff0d1"],
    "o'neil": ["O’Neil", "o‘neil", "oʼneil", "oʻneil", "o´neil", "oꞌneil", "o＇neil", "o′neil"],
    "ann0": ["ann٠", "ann۰", "ann०", "ann０", "ann\U0001d7ce"],
    "محمد 12": ["محمد ١٢", "محمد ۱۲"],
    "בן-גוריון": ["בן־גוריון", "בן–גוריון"],
    "ג'ורג'": ["ג׳ורג׳", "ג’ורג’"],
    "علیرضا": ["علی\u200cرضا"],
    "ශ්රී": ["ශ්\u200dරී"],
    "葛城": ["葛\U000e0100城"],
    "garcía": ["GARCÍA", "garc\u0131\u0301a", "garci\u0301a", "garc\u0131\u0307\u0301a"],
    "əliyev": ["Əliyev", "ǝliyev"],
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
    "⍺nn",
    "Ꭺnn",
    "ᎪᏞᏞ",  # Cherokee
    "ꓮꓠꓠ",  # Lisu
    "ⲟⲣⲟ",  # Coptic
    "ⲔⲒⲘ",
    "ⲕⲓⲙ",
    "ann\u200c",
    "ann\u200d1",
    "김\U000e0100민",
    "ann\u0906",
    "ann\u093e",  # a vowel sign of Devanagari
    "рrivet",
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


@pytest.mark.parametrize("fold_case", [True, False])
def test_names_of_real_people_in_a_hundred_languages_are_taken_and_are_different_people(
    fold_case: bool,
) -> None:
    ones: dict[str, str] = {}
    for name in all_names():
        one = one_customer(name, fold_case=fold_case)
        assert one is not None, (name, ascii(name))
        assert ones.setdefault(one, name) == name, (name, ones[one])
    assert len(ones) > 450


def test_the_scripts_are_those_that_unicode_names() -> None:
    assert unicode_scripts.UNICODE_VERSION == "15.0.0"
    assert unicode_scripts.are_one("々山")
    assert unicode_scripts.are_one("〆木Li")
    assert not unicode_scripts.are_one("Лi")
    assert not unicode_scripts.are_one("\U0010ffff"), "what is not assigned is of no script"


def test_an_ascii_id_does_not_load_the_tables() -> None:
    code = (
        "import sys; from flashguard.engine.customers import one_customer; one_customer('A b'); "
        "print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "flashguard.engine.customers" in loaded
    assert "flashguard.engine.unicode_scripts" not in loaded
    assert "flashguard.engine.unicode_tables" not in loaded
