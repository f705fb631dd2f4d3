"""One concept, one word: the glossary's nouns are used, and the words that they replaced are gone."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOUN = re.compile(r"^\| \*\*([a-z ]+)\*\* \| (.+) \|$", re.MULTILINE)
MOST_NOUNS = 45
RETIRED = {
    "Fate": "DecisionStatus",
    "refused_by_fate": "refused_by_status",
    "Copies": "DurabilityWaiter",
    "honours?|honoured": "late confirm",
    "movers?": "rebalancer",
    "wish(es)?": "request",
    "stirred": "touched",
    "hand_out": "serve_waiting",
    "habits": "hold history",
    "barred": "over_limit",
    "LOOKS|Looking": "get or poll",
    "SELLS|SELLING": "Right.SELL",
    "end_holds": "expire",
    "(?i:somebody|nobody|everybody|whoever)": "the caller, the recorder, the buyer, another process",
    "anew": "again",
    "shall": "must, or the present tense",
    "not any more": "no longer",
}
"""A pattern of the old word, and what to say in its place."""
ON_THE_WIRE = re.compile(
    r'habits:|habits  |`habits`|"honour"|kind IN \([^)]*honour|\{.honour., sale\.id|`honour`'
    r"|[Nn]obody:|\bas nobody\b|NOBODY|`nobody`"
)
"""Lines whose word is a key or a byte of the journal, which stay, or the account that PostgreSQL runs as."""
FOLDERS = {
    "src/flashguard": ("*.py", "*.lua", "*.sql", "*.md"),
    "web/pages": ("*.ts", "*.tsx"),
    "web/components": ("*.ts", "*.tsx"),
    "web/lib": ("*.ts", "*.tsx"),
    "web/messages": ("*.ts", "*.tsx"),
    "clients/typescript/src": ("*.ts",),
    "docs": ("*.md",),
}
GENERATED = {"unicode_tables.py", "schema.d.ts", "schema.ts"}


def lines() -> Iterator[tuple[str, str]]:
    """Yield every line of the sources and the documentation, with its place."""
    for folder, patterns in FOLDERS.items():
        for pattern in patterns:
            for path in sorted((ROOT / folder).rglob(pattern)):
                if path.name not in GENERATED:
                    for number, line in enumerate(path.read_text().splitlines(), 1):
                        yield f"{path.relative_to(ROOT)}:{number}", line


def test_the_glossary_is_short_and_each_of_its_nouns_is_used() -> None:
    nouns = NOUN.findall((ROOT / "docs/glossary.md").read_text())
    assert 30 <= len(nouns) <= MOST_NOUNS
    text = "\n".join(line.lower() for place, line in lines() if not place.startswith("docs/"))
    unused = [noun for noun, _ in nouns if not re.search(rf"\b{noun.replace(' ', '[ _-]?')}", text)]
    assert unused == []


def test_no_retired_word_is_used() -> None:
    found = [
        f"{place}: say {instead!r}: {line.strip()[:90]}"
        for place, line in lines()
        for old, instead in RETIRED.items()
        if re.search(rf"\b(?:{old})\b", line) and not ON_THE_WIRE.search(line)
    ]
    assert found == []
