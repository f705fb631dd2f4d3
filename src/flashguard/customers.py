"""Who is the same customer: the one spelling of a customer id that limits count by.

A limit per customer is worth nothing while `Ann`, `ann ` and `аnn` with a Cyrillic letter are three. What a
human takes for the same id is made the same; what only pretends to be another one is refused. See
docs/decisions/0009.
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
"""Unicode's Default_Ignorable_Code_Point, and the blank braille pattern: nothing is there to see."""
PHONETIC: Final = re.compile("[\u0250-\u02af\u1d00-\u1dbf\u2c60-\u2c7f\ua720-\ua7ff\uab30-\uab6f]")
"""Latin letters that no language's orthography needs here, and that look like plain ones."""
EAST_ASIAN: Final = frozenset({"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "HANGUL", "BOPOMOFO"})
"""Scripts that are written together, and with Latin (UTS 39: Highly Restrictive)."""
LIKE_LATIN: Final = frozenset("асԁеһіјӏорԛѕԝхуѵαοριυνκօսցհ")
"""Small letters of other scripts that look like a Latin one (UTS 39: whole-script confusables)."""
WHAT_IT_IS: Final = f"customer: 1 to {MAX_NAME} visible characters, of one script"


def one_customer(text: str, *, fold_case: bool = True) -> CustomerId | None:
    """The id that this customer's limits are counted by; None when it can't be an id.

    Parameters:
        fold_case: off where the shop's own ids tell capital letters from small ones.
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
    if len(text) > MAX_NAME or INVISIBLE.search(text):
        return None
    text = unicodedata.normalize("NFKC", text)
    if fold_case:
        text = unicodedata.normalize("NFKC", text.casefold())
    text = " ".join(text.replace("ı", "i").replace("i\u0307", "i").split())
    if not 0 < len(text) <= MAX_NAME or not text.isprintable():
        return None
    if INVISIBLE.search(text) or PHONETIC.search(text):
        return None
    return CustomerId(text) if _of_one_script(text) else None


def _of_one_script(text: str) -> bool:
    """Whether the letters are of one script, and don't all look like those of another."""
    letters = [letter for letter in text if letter.isalpha()]
    scripts = {unicodedata.name(letter, "UNNAMED").split(" ")[0] for letter in letters}
    if scripts - {"LATIN"} <= EAST_ASIAN:
        return True
    return len(scripts) == 1 and not all(letter in LIKE_LATIN for letter in "".join(letters).casefold())
