"""The documentation says what the code does: tables are the code's own, and links lead somewhere."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize(
    "page", sorted((ROOT / "docs" / "reference").glob("*.md")), ids=lambda page: page.stem
)
def test_the_reference_is_what_the_code_says(page: Path) -> None:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    text = page.read_text()
    assert "<!-- from the code: " in text
    assert text == generate.filled(text), "run `make docs` and commit what it writes"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        assert "://" in target or (page.parent / target).exists(), target


def test_every_page_is_found_from_the_first_one() -> None:
    first = (ROOT / "docs" / "README.md").read_text()
    for page in PAGES[1:]:
        name = page.relative_to(ROOT / "docs")
        assert name.name == "README.md" or name.parts[0] == "decisions" or f"({name})" in first, name


def test_every_test_that_the_documentation_names_exists() -> None:
    there = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    table = (ROOT / "docs" / "explanation" / "owasp-api-top-10.md").read_text()
    named = re.findall(r"`(test_\w+)`", table)
    assert set(named) <= there, set(named) - there
    lines = re.findall(r"^\| \*\*API(\d+) .*`test_\w+` \|$", table, re.MULTILINE)
    assert lines == [str(number) for number in range(1, 11)]


def test_every_setting_in_the_documentation_exists() -> None:
    settings = (ROOT / "docs" / "reference" / "settings.md").read_text()
    for page in PAGES:
        for name in re.findall(r"FLASHGUARD_[A-Z_]*[A-Z]", page.read_text()):
            assert f"`{name}`" in settings, f"{name} in {page}"
