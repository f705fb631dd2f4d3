"""The statuses of reservations, sales and waiting entries are spelled alike in Python, Lua and SQL."""

import re
from pathlib import Path

from flashguard import ledger
from flashguard.kernel.records import RecordStatus
from flashguard.kernel.results import BY_WORD
from flashguard.kernel.verbs import SCRIPTS, Verb, script_source
from flashguard.model import ReservationStatus, SaleStatus
from flashguard.waiting.waiting_list import WaitingStatus

SCHEMA = Path(ledger.__file__).with_name("schema.sql")


def in_schema(*words: str) -> bool:
    """Return whether a CHECK of the schema allows exactly these words."""
    lists = re.findall(r"CHECK \(\w+ = ANY \(ARRAY\[([^\]]+)\]\)\)", SCHEMA.read_text())
    return {*words} in [set(re.findall(r"'([a-z-]+)'", one)) for one in lists]


def test_the_numbers_of_a_record_are_the_same_in_python_and_lua() -> None:
    names, numbers = re.search(
        r"^local (HELD, [A-Z, ]+) = ([\d, ]+)$", (SCRIPTS / "lib/records.lua").read_text(), re.MULTILINE
    ).groups()  # type: ignore[union-attr]
    in_lua = dict(zip(names.lower().split(", "), map(int, numbers.split(", ")), strict=True))
    assert in_lua == {status.name.lower(): status.value for status in RecordStatus}
    assert set(in_lua) == set(ReservationStatus)


def test_the_words_of_the_scripts_are_those_of_the_model() -> None:
    get, change = script_source(Verb.GET), script_source(Verb.CHANGE_SALE)
    for status in ReservationStatus:
        assert f"= '{status}'" in get or f"'{status}' or" in get, status
    for sale_status in SaleStatus:
        assert f"'{sale_status}'" in change, sale_status
    waiting = script_source(Verb.WAITING_LIST)
    for state in WaitingStatus:
        assert f"'{state}'" in waiting, state


def test_every_word_of_a_result_is_said_by_its_script() -> None:
    for verb, words in BY_WORD.items():
        for word in words:
            assert f"'{word}'" in script_source(verb), (verb, word)


def test_the_words_of_the_ledger_are_those_of_the_model() -> None:
    assert in_schema(*ReservationStatus)
    assert in_schema(*SaleStatus)
    assert in_schema(*WaitingStatus)
