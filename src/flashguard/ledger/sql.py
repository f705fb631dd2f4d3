"""SQL by name: a statement stands under `-- name: ...`, with a sentence if needed.

Its file in `queries/` is named after the module that runs it.
"""

import re
from functools import cache
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "queries"
NAME: Final = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


@cache
def all_queries() -> dict[str, str]:
    """Return every statement by its name.

    Raises:
        ValueError: two statements have one name.
    """
    queries: dict[str, str] = {}
    for path in sorted(FOLDER.glob("*.sql")):
        _, *pieces = NAME.split(path.read_text())
        for name, text in zip(pieces[::2], pieces[1::2], strict=True):
            if name in queries:
                raise ValueError(f"two queries are named {name}")
            queries[name] = text.strip().rstrip(";")
    return queries


def query(name: str) -> str:
    """Return the statement of this name; raise KeyError when there is none."""
    return all_queries()[name]
