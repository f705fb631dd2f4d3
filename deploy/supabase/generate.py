"""Write `supabase/migrations/` from FlashGuard's own migrations, for `supabase db push`.

Each file does nothing if the ledger has its migration, so `flashguard migrate` and `supabase db push` can
take turns. Run this after adding a migration, and commit what it writes.
"""

import re
from pathlib import Path

from flashguard.ledger.migrate import CANNOT_UPGRADE, CLOSES, UNRELEASED, all_migrations
from flashguard.ledger.sql import query

HERE = Path(__file__).parent
FOLDER = HERE / "supabase" / "migrations"
DAY = "20260201"
"""Has no meaning. The migration's number follows it, as hours and minutes, which keeps the order."""
LAST_SECOND = 59
_REFUSES = (
    f"IF EXISTS (SELECT FROM flashguard.migrations WHERE name = '{UNRELEASED}') THEN\n"
    f"RAISE EXCEPTION '{CANNOT_UPGRADE}';\nEND IF;\n"
)


def files() -> dict[str, str]:
    """Return every file's text by its name."""
    found = {_file(int(name[:4]), 0, name): _guarded(name, text) for name, text in all_migrations().items()}
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
    refuses = _REFUSES if int(name[:4]) == 1 else ""
    return (
        f"-- Written by deploy/supabase/generate.py from {name}.sql; change that one.\n\n"
        f"{query('ensure_schema')};\n\n{query('ensure_migrations_table')};\n\n"
        f"DO $guard$\nBEGIN\n{refuses}"
        f"IF NOT EXISTS (SELECT FROM flashguard.migrations WHERE name = '{name}') THEN\n"
        f"{query('wait_for_locks_briefly')[query('wait_for_locks_briefly').index('SET') :]};\n"
        f"EXECUTE {tag}\n{text.strip()}\n{closes}\n{tag};\n"
        f"INSERT INTO flashguard.migrations (name) VALUES ('{name}');\n"
        "END IF;\nEND $guard$;\n"
    )


def main() -> None:
    """Write all files; remove those of migrations that are gone."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    wanted = files()
    for path in FOLDER.glob("*.sql"):
        if path.name not in wanted and re.match(r"\d+_flashguard_", path.name):
            path.unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
