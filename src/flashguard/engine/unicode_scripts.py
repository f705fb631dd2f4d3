"""What Unicode says of the characters of an id: which scripts they belong to, and which look like others.

Importing this module loads its tables, which takes about 4 ms. A process that meets only ASCII ids
never does.
"""

import unicodedata
from bisect import bisect_right
from typing import Final

from .unicode_tables import LIKE_LATIN, REFUSED, SAME, SCRIPTS, UNICODE_VERSION

__all__ = ["UNICODE_VERSION", "are_one", "as_typed", "pretends", "without_shapers"]

EVERY: Final = -1
"""The set of all scripts: of what is common to them."""
TOGETHER: Final = {
    "Hani": "Hanb Jpan Kore", "Hira": "Jpan", "Kana": "Jpan", "Hang": "Kore", "Bopo": "Hanb"
}  # fmt: skip
"""Writing systems of several scripts (UTS 39, augmented script sets)."""
JOINED: Final = (
    "Arab Syrc Mand Nkoo Mong Phag Deva Beng Guru Gujr Orya Taml Telu Knda Mlym Sinh Khmr Mymr Tibt Newa"
)
"""Scripts in which a joiner only shapes the letters beside it."""
SHAPERS: Final = "\u200c\u200d"
"""The zero-width non-joiner and joiner; in names of Persian, Sinhala, Malayalam ... they are typed."""


class Scripts:
    """Sets of scripts, as bits of a number."""

    def __init__(self) -> None:
        names = {name for names in SCRIPTS for name in names.split()} | set(
            " ".join(TOGETHER.values()).split()
        )
        self.bit = {name: 1 << at for at, name in enumerate(sorted(names))}
        spans = []
        for names_, points in SCRIPTS.items():
            scripts = EVERY if names_ in ("Zyyy", "Zinh") else self.of_names(names_)
            for span in points.split():
                first, _, last = span.partition("-")
                spans.append((int(first, 16), int(last or first, 16), scripts))
        spans.sort()
        self._firsts = [first for first, _, _ in spans]
        self._lasts = [last for _, last, _ in spans]
        self._scripts = [scripts for _, _, scripts in spans]

    def of_names(self, names: str) -> int:
        """Return the set of these scripts, and of the writing systems that they are part of."""
        found = 0
        for name in names.split():
            for each in (name, *TOGETHER.get(name, "").split()):
                found |= self.bit[each]
        return found

    def of(self, letter: str) -> int:
        """Return the scripts that a character is used in; none for one that the tables do not know."""
        at = bisect_right(self._firsts, ord(letter)) - 1
        return self._scripts[at] if at >= 0 and ord(letter) <= self._lasts[at] else 0


_scripts: Final = Scripts()
_LATIN: Final = _scripts.of_names("Latn")
_WITH_LATIN: Final = _scripts.of_names("Hanb Jpan Kore")
"""Writing systems that Latin letters are mixed with (UTS 39: Highly Restrictive)."""
_JOINED: Final = _scripts.of_names(JOINED)
_HAN: Final = _scripts.bit["Hani"]
_AS_TYPED: Final = str.maketrans({letter: sign for sign, letters in SAME.items() for letter in letters})
_LIKE_LATIN: Final = frozenset(LIKE_LATIN)
_REFUSED: Final = frozenset(REFUSED)


def as_typed(text: str) -> str:
    """Return the text with the apostrophes, hyphens and digits that a plain keyboard has."""
    text = text.translate(_AS_TYPED)
    if any(letter.isdecimal() and not letter.isascii() for letter in text):
        text = "".join(str(unicodedata.decimal(each)) if each.isdecimal() else each for each in text)
    return text


def without_shapers(text: str) -> str:
    """Return the text without what only shapes the letter before it: joiners, and variants of ideographs.

    Where a letter is not of a script that has such shapes, they stay, and have the id refused.
    """
    if not any(_shapes(letter) for letter in text):
        return text
    kept: list[str] = []
    for letter in text:
        if kept and _shapes(letter):
            before = _scripts.of(kept[-1])
            if before != EVERY and before & (_JOINED if letter in SHAPERS else _HAN) and before & _LATIN == 0:
                continue
        kept.append(letter)
    return "".join(kept)


def _shapes(letter: str) -> bool:
    return letter in SHAPERS or "\ufe00" <= letter <= "\ufe0f" or "\U000e0100" <= letter <= "\U000e01ef"


def are_one(text: str) -> bool:
    """Return whether one script, or writing system, has all characters of the text."""
    of_all, others = EVERY, EVERY
    for letter in text:
        scripts = _scripts.of(letter)
        of_all &= scripts
        if not scripts & _LATIN:
            others &= scripts
    return of_all != 0 or others & _WITH_LATIN != 0


def pretends(text: str) -> bool:
    """Return whether the text looks like another: by one of its characters, or by all of its letters."""
    if not _REFUSED.isdisjoint(text):
        return True
    letters = [letter for letter in text if letter.isalpha()]
    return bool(letters) and _LIKE_LATIN.issuperset(letters)
