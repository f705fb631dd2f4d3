"""Append FlashGuard's facts to a file as JSON lines, from where the last run stopped.

FLASHGUARD_URL=http://127.0.0.1:8000 FLASHGUARD_KEY=fg_live_... python follow.py facts.jsonl
"""

import os
import sys
from pathlib import Path

import msgspec

from flashguard.client import Client  # see docs/how-to/clients.md

FACTS, CURSOR = Path(sys.argv[1]), Path(f"{sys.argv[1]}.cursor")


def main() -> None:
    after = CURSOR.read_text().strip() if CURSOR.exists() else None
    bearer = os.environ["FLASHGUARD_KEY"]  # an API key with the scope `read`
    with Client(os.environ["FLASHGUARD_URL"], bearer) as flashguard, FACTS.open("ab") as file:
        for page in flashguard.facts(after, wait=5):
            file.writelines(msgspec.json.encode(fact) + b"\n" for fact in page.data)
            file.flush()
            os.fsync(file.fileno())
            # The facts first, then the cursor: a crash repeats facts, and misses none.
            new = CURSOR.with_suffix(".new")
            new.write_text(page.next_cursor)
            new.replace(CURSOR)


if __name__ == "__main__":
    main()
