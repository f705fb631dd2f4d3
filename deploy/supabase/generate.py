"""Writes `supabase/migrations/` from FlashGuard's own migrations, for `supabase db push`.

Each file first looks whether the ledger has it, so it does not matter who migrated before: `flashguard
migrate` and `supabase db push` can take turns. Run it after adding a migration, and commit what it writes.
"""

import re
from pathlib import Path

from flashguard.ledger.migrate import CLOSES, all_migrations
from flashguard.ledger.sql import query

HERE = Path(__file__).parent
FOLDER = HERE / "supabase" / "migrations"
DAY = "20260101"
"""Of no meaning; what follows is the migration's number as hours and minutes, so that the order stays."""
LAST_SECOND = 59


def files() -> dict[str, str]:
    """Every file's text by its name."""
    found: dict[str, str] = {}
    per_number: dict[int, int] = {}
    for name, text in all_migrations().items():
        number = int(name[:4])
        second = per_number[number] = per_number.get(number, -1) + 1
        found[_file(number, second, name)] = _guarded(name, text)
    closes = int(CLOSES[:4])
    for back, name in enumerate(("app_role", "installation")):
        text = (HERE / f"{name}.sql").read_text()
        found[_file(closes, LAST_SECOND - back, name)] = text
    return dict(sorted(found.items()))


def _file(number: int, second: int, name: str) -> str:
    hour, minute = divmod(number, 60)
    return f"{DAY}{hour:02}{minute:02}{second:02}_flashguard_{name}.sql"


def _guarded(name: str, text: str) -> str:
    tag = f"$migration_{name[:4]}$"
    if tag in text or "$guard$" in text:
        raise ValueError(f"{name} has a quote of ours in it")
    closes = ";\n" + query("close_to_public").strip() if name > CLOSES else ""
    return (
        f"-- Written by deploy/supabase/generate.py from {name}.sql; change that one.\n\n"
        f"{query('ensure_schema')};\n\n{query('ensure_migrations_table')};\n\n"
        "DO $guard$\nBEGIN\n"
        f"IF NOT EXISTS (SELECT FROM flashguard.migrations WHERE name = '{name}') THEN\n"
        f"{query('wait_for_locks_briefly')[query('wait_for_locks_briefly').index('SET') :]};\n"
        f"EXECUTE {tag}\n{text.strip()}\n{closes}\n{tag};\n"
        f"INSERT INTO flashguard.migrations (name) VALUES ('{name}');\n"
        "END IF;\nEND $guard$;\n"
    )


def main() -> None:
    """Writes them all; removes what is none of them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    wanted = files()
    for path in FOLDER.glob("*.sql"):
        if path.name not in wanted and re.match(rf"{DAY}\d+_flashguard_", path.name):
            path.unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
