"""Customer ids: one spelling per customer, by which limits count.

A limit per customer is worth nothing while `Ann`, `ann ` and `аnn` with a Cyrillic letter are three
customers. Ids that a person reads as the same become the same; ids that only look like another are refused.
See docs/decisions/0008.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Final

from flashguard.model import MAX_NAME, CustomerId

INVISIBLE: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Unicode's Default_Ignorable_Code_Point, and the blank braille pattern: invisible characters."""
MOST_ROUNDS: Final = 8
"""Rounds of normalization; a text that still changes is refused. No known text needs more than three."""
WHAT_IT_IS: Final = (
    f"customer: 1 to {MAX_NAME} visible characters, of one script, that do not all look like Latin letters"
)


def one_customer(text: str, *, fold_case: bool = True) -> CustomerId | None:
    """Return the id that this customer's limits are counted by; None when the text can't be an id.

    Idempotent: the id of an id is the id itself.

    Parameters:
        fold_case: False where the shop's ids are case-sensitive.
    """
    if text.isascii():  # nearly all
        if not text.isprintable():
            return None
        if " " in text:
            text = " ".join(text.split())
        return CustomerId(text.lower() if fold_case else text) if 0 < len(text) <= MAX_NAME else None
    return _one_customer(text, fold_case)


@lru_cache(maxsize=4096)
def _one_customer(text: str, fold_case: bool) -> CustomerId | None:
    if len(text) > MAX_NAME:
        return None
    from . import unicode_scripts  # its tables are loaded for the first id that is not ASCII

    text = unicode_scripts.without_shapers(text)
    if INVISIBLE.search(text):
        return None
    for _ in range(MOST_ROUNDS):
        before, text = text, _plainer(unicode_scripts.as_typed(text), fold_case)
        if text == before:
            break
    else:
        return None
    if not 0 < len(text) <= MAX_NAME or not text.isprintable() or INVISIBLE.search(text):
        return None
    if text.isascii():
        return CustomerId(text)
    return CustomerId(text) if unicode_scripts.are_one(text) and not unicode_scripts.pretends(text) else None


def _plainer(text: str, fold_case: bool) -> str:
    """Return the text after one round of normalization."""
    text = unicodedata.normalize("NFKC", text)
    if fold_case:
        text = unicodedata.normalize("NFKC", text.casefold())
    return " ".join(text.replace("ı", "i").replace("i\u0307", "i").split())
