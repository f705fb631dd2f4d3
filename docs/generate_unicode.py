"""Write engine/unicode_tables.py from the files of the Unicode Character Database and of UTS 39.

Usage: generate_unicode.py FOLDER, where FOLDER holds Scripts.txt, ScriptExtensions.txt, UnicodeData.txt and
PropertyValueAliases.txt (Debian's package unicode-data has them) and confusables.txt (the source of ICU has
it, in source/data/unidata) of one version of Unicode. Nothing in FOLDER is needed at run time.
"""

import re
import subprocess
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

TARGET: Final = Path(__file__).parent.parent / "src/flashguard/engine/unicode_tables.py"
PLAIN: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
WRITTEN: Final = "ÆæŒœƔɣƖɩƲʋƷʒĸƛǂʔʕɁɂ"
"""Letters of living alphabets that UTS 39 likens to plain ones, or that have one case only: of Danish,
French, Ewe, Kabiye, Skolt Sami, Greenlandic, Heiltsuk, Khoekhoe, Dene and Nuu-chah-nulth."""
TWO_SHAPES: Final = ("Cyrl", "Grek", "Armn", "Geor")
"""Scripts whose small letters have shapes of their own; others look like the capitals, as in Coptic."""
NOT_HYPHENS: Final = "゠⹀᐀〜〰⸗"
"""Dash punctuation that looks like an equals sign or a wave, or is doubled."""
BY_HAND: Final = {
    "ʿ": "'",  # a half ring, as its twin that UTS 39 has
    "ꞌ": "'", "Ꞌ": "'",  # the saltillo is typed as an apostrophe
    "ǃ": "!", "ǀ": "|", "ǁ": "||",  # clicks are typed so
    "ǝ": "ə", "Ǝ": "Ə",  # one letter, encoded twice
}  # fmt: skip
KEEP: Final = "ꓸꓹꓽ"
"""Letters of Lisu that look like punctuation."""


def rows(path: Path) -> Iterator[list[str]]:
    """Yield the fields of each line that has some, without its comment."""
    for line in path.read_text(encoding="utf-8-sig").splitlines():
        line = line.partition("#")[0].strip()
        if line:
            yield [field.strip() for field in line.split(";")]


def code_points(text: str) -> range:
    """Return the code points of `0041..005A` or `0041`."""
    first, _, last = text.partition("..")
    return range(int(first, 16), int(last or first, 16) + 1)


def version_of(folder: Path) -> str:
    """Return the version of Scripts.txt, as in `15.0.0`."""
    found = re.search(r"Scripts-([\d.]+)\.txt", (folder / "Scripts.txt").read_text(encoding="utf-8"))
    if found is None:
        raise SystemExit("Scripts.txt does not name its version")
    return found[1]


def scripts_of(folder: Path) -> dict[int, str]:
    """Return the scripts that each assigned code point is used in, as in `Latn` or `Hira Kana`."""
    short = {row[2]: row[1] for row in rows(folder / "PropertyValueAliases.txt") if row[0] == "sc"}
    found = {point: short[row[1]] for row in rows(folder / "Scripts.txt") for point in code_points(row[0])}
    for points, names in rows(folder / "ScriptExtensions.txt"):
        found |= dict.fromkeys(code_points(points), " ".join(sorted(names.split())))
    return found


def ranges(of: dict[int, str]) -> dict[str, list[tuple[int, int]]]:
    """Return each value's ranges of code points; unassigned ones between two of one range belong to it."""
    found: dict[str, list[tuple[int, int]]] = {}
    before = ""
    for point in sorted(of):
        value = of[point]
        if value == before:
            found[value][-1] = (found[value][-1][0], point)
        else:
            found.setdefault(value, []).append((point, point))
        before = value
    return found


def categories(folder: Path) -> dict[int, tuple[str, bool]]:
    """Return the general category of each code point of its own, and whether it has another case."""
    return {
        int(row[0], 16): (row[2], bool(row[12].strip() or row[13].strip()))
        for row in (line.split(";") for line in (folder / "UnicodeData.txt").read_text().splitlines())
    }


def skeletons(folder: Path) -> dict[str, str]:
    return {
        chr(int(row[0], 16)): "".join(chr(int(point, 16)) for point in row[1].split())
        for row in rows(folder / "confusables.txt")
    }


def tables(folder: Path) -> tuple[dict[str, str], str, str]:
    """Return what is written as ASCII, the letters that look like plain ones, and what no name contains."""
    looks, of = skeletons(folder), categories(folder)
    scripts = scripts_of(folder)

    def skeleton(text: str) -> str:
        apart = unicodedata.normalize("NFD", text)
        return unicodedata.normalize("NFD", "".join(looks.get(letter, letter) for letter in apart))

    signs = {skeleton(chr(point)): chr(point) for point in range(126, 32, -1) if chr(point) not in PLAIN}
    signs.pop("l", None)
    plain = {skeleton(letter) for letter in PLAIN}
    same, alike, refused = dict(BY_HAND), [], []
    for point, (category, cased) in sorted(of.items()):
        letter = chr(point)
        if point < 128 or letter in same or letter in KEEP:
            continue
        sign = signs.get(skeleton(letter))
        hyphen = category == "Pd" and letter not in NOT_HYPHENS
        if (sign or hyphen) and (category[0] in "PS" or category == "Lm"):
            same[letter] = sign or "-"
            continue
        if unicodedata.normalize("NFKC", letter) != letter:
            continue  # is made a plainer one before anything is looked up
        is_plain = bool(skeleton(letter)) and all(part in plain for part in parts_of(skeleton(letter), plain))
        if category[0] in "PS" and is_plain:
            refused.append(letter)
        elif category[0] in "LN" and scripts[point] == "Latn":
            apart = unicodedata.normalize("NFD", letter) != letter
            if letter not in WRITTEN and (is_plain or not (cased or apart)) and category != "Lm":
                refused.append(letter)
        elif category[0] in "LN" and is_plain and not skeleton(letter)[:1].isdigit():
            alike.append(letter)
    for letter in list(alike):
        if scripts[ord(letter)] not in TWO_SHAPES and letter.lower() not in alike:
            alike.append(letter.lower())
    for letter in "ıß":  # count as i and as ss
        refused.remove(letter)
    return same, "".join(alike), "".join(refused)


def parts_of(text: str, plain: set[str]) -> list[str]:
    """Return the text in pieces that plain letters look like, the longest first; the rest by letter."""
    found = []
    while text:
        size = next((size for size in (2, 1) if text[:size] in plain), 1)
        found.append(text[:size])
        text = text[size:]
    return found


def escaped(text: str) -> Iterator[str]:
    return (f"\\u{ord(each):04x}" if each < "\U00010000" else f"\\U{ord(each):08x}" for each in text)


def literal(pieces: Iterable[str]) -> str:
    """Return a string literal of the pieces, in parentheses and lines of bounded length."""
    lines = [""]
    for piece in pieces:
        if len(lines[-1]) + len(piece) > 90:
            lines.append("")
        lines[-1] += piece
    return "(\n" + "".join(f'        "{line}"\n' for line in lines) + "    )"


def main() -> None:
    folder = Path(sys.argv[1])
    same, alike, refused = tables(folder)
    by_script = {
        names: literal(f"{first:x} " if first == last else f"{first:x}-{last:x} " for first, last in spans)
        for names, spans in sorted(ranges(scripts_of(folder)).items())
    }
    by_sign: dict[str, str] = {}
    for letter, sign in sorted(same.items()):
        by_sign[sign] = by_sign.get(sign, "") + letter
    lines = [
        '"""Scripts and look-alikes of characters, by Unicode; written by docs/generate_unicode.py.',
        "",
        "Derived from data files that are (c) Unicode, Inc., and come under the Unicode License:",
        "https://www.unicode.org/license.txt",
        '"""',
        "",
        "# ruff: noqa: E501",
        "",
        "from typing import Final",
        "",
        f'UNICODE_VERSION: Final = "{version_of(folder)}"',
        "SCRIPTS: Final = {",
        *(f'    "{names}": {spans},' for names, spans in by_script.items()),
        "}",
        '"""The code points used in each set of scripts (UAX 24), in hex; Zyyy, Zinh: in all."""',
        "SAME: Final = {",
        *(f"    {sign!r}: {literal(escaped(letters))}," for sign, letters in sorted(by_sign.items())),
        "}",
        '"""Apostrophes, hyphens and other signs that look like the ASCII one before the colon (UTS 39)."""',
        f"LIKE_LATIN: Final = {literal(escaped(alike))}",
        '"""Letters of other scripts that look like plain Latin letters (UTS 39)."""',
        f"REFUSED: Final = {literal(escaped(refused))}",
        '"""Symbols that look like plain letters; Latin letters that do, or that have one case only."""',
    ]
    TARGET.write_text("\n".join(lines) + "\n", encoding="utf-8")
    subprocess.run(["ruff", "format", str(TARGET)], check=False)


if __name__ == "__main__":
    main()
