"""Every room has a README of one form, which names every file of the room."""

import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "flashguard"
LINES_MOST = 40
FORM = {
    "the first line: # room: what it is": r"\A# %s: .+\n\n",
    "- **Called by** ...": r"^- \*\*Called by\*\* ",
    "- **Calls** ...": r"^- \*\*Calls\*\* ",
    "a table: file, holds": r"^\| file \| holds \|\n\|---\|---\|\n",
    "**Nouns:** ...": r"^\*\*Nouns:\*\* [a-zA-Z]",
    "**Accepted oddity:** ...": r"^\*\*Accepted oddity:\*\* ",
}
"""What a README has, once each and in this order."""


FOLDERS_TOLD = {
    SOURCE / "kernel/scripts/lib": SOURCE / "kernel/scripts",
    SOURCE / "contrib/django/management": SOURCE / "contrib/django",
    SOURCE / "contrib/django/management/commands": SOURCE / "contrib/django",
    SOURCE / "contrib/django/migrations": SOURCE / "contrib/django",
    SOURCE / "simulator/strategies/lua": SOURCE / "simulator/strategies",
}
"""Folders whose files another folder's README names."""
CODE = sorted({path.parent for kind in ("*.py", "*.lua") for path in SOURCE.rglob(kind)})
ROOMS = [folder for folder in CODE if folder not in (SOURCE, *FOLDERS_TOLD)]


def faults(room: str, text: str) -> list[str]:
    """What this README lacks of the form."""
    found, at = [], -1
    for what, pattern in FORM.items():
        places = [match.start() for match in re.finditer(pattern.replace("%s", room), text, re.MULTILINE)]
        if len(places) != 1 or places[0] <= at:
            found.append(what)
        at = places[0] if places else at
    return found


@pytest.mark.parametrize("folder", ROOMS, ids=lambda folder: str(folder.relative_to(SOURCE)))
def test_a_room_has_a_readme_of_one_screen_in_the_common_form(folder: Path) -> None:
    text = (folder / "README.md").read_text()
    assert len(text.splitlines()) <= LINES_MOST
    assert faults(str(folder.relative_to(SOURCE)), text) == []


@pytest.mark.parametrize("folder", ROOMS, ids=lambda folder: str(folder.relative_to(SOURCE)))
def test_the_table_of_a_readme_names_every_file_of_the_room(folder: Path) -> None:
    rows = "\n".join(re.findall(r"^\|.*\|$", (folder / "README.md").read_text(), re.MULTILINE))
    told = [folder, *(inner for inner, outer in FOLDERS_TOLD.items() if outer == folder)]
    files = [path for one in told for path in one.iterdir() if path.suffix in (".py", ".lua")]
    names = {str(path.relative_to(folder)) for path in files if path.name != "__init__.py"}
    named = set(re.findall(r"`([\w/]+\.(?:py|lua))`", rows))
    assert names <= named, names - named
    assert all((folder / name).exists() for name in named), "a file that is not there"


@pytest.mark.parametrize("folder", ROOMS, ids=lambda folder: str(folder.relative_to(SOURCE)))
def test_a_readme_writes_a_room_with_a_slash(folder: Path) -> None:
    top = {room.relative_to(SOURCE).parts[0] for room in ROOMS}
    for name in re.findall(r"`([a-z/]+)`", (folder / "README.md").read_text()):
        assert name not in top, f"`{name}/`"


def test_a_readme_of_another_form_is_noticed() -> None:
    good = (
        "# doctor: checks\n\nText.\n\n- **Called by** `cli/`.\n- **Calls** `kernel/`.\n\n"
        "| file | holds |\n|---|---|\n| `a.py` | a |\n\n**Nouns:** finding.\n\n**Accepted oddity:** one.\n"
    )
    assert faults("doctor", good) == []
    assert faults("api", good) == ["the first line: # room: what it is"]
    assert faults("doctor", good.replace("**Nouns:**", "**Three nouns.**")) == ["**Nouns:** ..."]
    assert faults("doctor", good + "\n**Accepted oddity:** two.\n") == ["**Accepted oddity:** ..."]
    assert faults("doctor", good.replace("file | holds", "file | one duty")) == ["a table: file, holds"]
