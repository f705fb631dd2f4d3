"""The kernel's verbs, and the script of each."""

import re
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Final

SCRIPTS: Final = Path(__file__).parent / "scripts"
_INCLUDE: Final = re.compile(r"^--@include (\S+)$", re.MULTILINE)


class Verb(StrEnum):
    """The scripts, by file name, which is also their public name in metrics, traces and HTTP."""

    __hash__ = str.__hash__  # the same, and without a call of Python, which an enumeration's own hash is

    RESERVE = "reserve_stock"
    CONFIRM = "confirm"
    RELEASE = "release"
    CANCEL = "cancel"
    AMEND = "amend"
    EXTEND = "extend"
    EXPIRE = "expire"
    RESTOCK = "restock"
    CHANGE_SALE = "change_sale"
    CHANGE_ITEM = "change_item"
    LOAD = "load"
    FENCE = "fence"
    UNFENCE = "unfence"
    ANNOUNCE = "announce"
    GET = "look"
    VERIFY = "verify"
    WAITING_LIST = "waiting_list"
    ISSUE_TICKET = "take_ticket"
    POLL_TICKET = "look_at_ticket"
    LEAVE_ROOM = "leave_room"
    GET_ROOM = "look_at_room"
    ADMIT = "admit"
    SPEND_TOKENS = "take_tokens"
    SURVEY = "survey"
    SERVE_LIST = "serve_list"


IN_THE_ROOM: Final = frozenset(
    (
        Verb.ISSUE_TICKET,
        Verb.POLL_TICKET,
        Verb.LEAVE_ROOM,
        Verb.GET_ROOM,
        Verb.ADMIT,
        Verb.SERVE_LIST,
        Verb.EXPIRE,
        Verb.CHANGE_SALE,
    )
)
"""Verbs whose scripts also need the keys of waiting rooms."""
OF_ONE_REQUEST: Final = frozenset((Verb.LOAD, Verb.FENCE, Verb.UNFENCE, Verb.ANNOUNCE))
"""Verbs whose calls carry one request, and name no sale by its index."""


@cache
def script_source(verb: Verb) -> str:
    """Return the script of a verb as the server runs it: its file with the included files in place."""
    return _with_includes(f"{verb}.lua")


def _with_includes(name: str) -> str:
    return _INCLUDE.sub(lambda match: _with_includes(match[1]), (SCRIPTS / name).read_text())
