"""The documentation says what the code does: tables are the code's own, and links lead somewhere."""

import importlib.util
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from flashguard.api.access import Scope

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXTS = [
    ROOT / path
    for path in subprocess.run(
        ["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
]
"""All Markdown of the repository."""


def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATE = generate()


def test_every_page_with_a_block_is_written_by_make_docs() -> None:
    named = [path for path in TEXTS if re.search(r"<!-- from the (code|bench): ", path.read_text())]
    assert sorted(named) == sorted(GENERATE.PAGES)


@pytest.mark.parametrize("page", GENERATE.PAGES, ids=lambda page: page.stem)
def test_a_page_says_what_the_code_and_the_last_benchmark_say(page: Path) -> None:
    text = page.read_text()
    assert text == GENERATE.filled(text), "run `make docs` and commit what it writes"


def tables(text: str) -> Iterator[list[tuple[int, str]]]:
    """The Markdown tables outside of code blocks: the numbered lines of each, from its head to its end."""
    outside, table = True, list[tuple[int, str]]()
    for number, line in enumerate([*text.splitlines(), ""], 1):
        if line.lstrip().startswith("```"):
            outside = not outside
        if outside and (line.lstrip().startswith("|") or (table and line.strip())):
            table.append((number, line.strip()))
        elif table:
            yield table
            table = []


def cells(line: str) -> int:
    return len(re.findall(r"(?<!\\)\|", line)) - 1


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_row_of_every_table_is_whole(page: Path) -> None:
    for table in tables(page.read_text()):
        (_, head), (number, rule), *rows = table
        assert re.fullmatch(r"\|(:?-+:?\|)+", rule.replace(" ", "")), (
            f"{page}:{number}: no head above a table"
        )
        assert rows, f"{page}:{number}: a table without rows"
        for at, row in table[1:]:
            assert row.startswith("|"), f"{page}:{at}: text in a table"
            assert row.endswith("|"), f"{page}:{at} breaks off"
            assert cells(row) == cells(head), f"{page}:{at}: {cells(row)} cells under {cells(head)}"


def test_the_tables_are_found_and_broken_ones_are_told_from_whole_ones() -> None:
    assert sum(len(table) for page in TEXTS for table in tables(page.read_text())) > 400
    assert [cells("| a | b \\| c | |"), cells("|a|"), cells("| `x` | y |")] == [3, 1, 2]
    assert [number for number, _ in next(tables("```\n| no |\n```\n\n| a |\n|---|\n| b |\n"))] == [5, 6, 7]


def test_the_http_page_names_every_scope() -> None:
    page = (ROOT / "docs" / "reference" / "http.md").read_text()
    keys = page[page.index("## Keys") : page.index("## Shapes")]
    assert [scope for scope in Scope if f"`{scope}`" not in keys] == []


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        assert "://" in target or (page.parent / target).exists(), target


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    }


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_into_a_page_leads_to_a_heading(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#:]*\.md|)#([^)]+)\)", page.read_text()):
        assert anchor in anchors(page.parent / target if target else page), f"{target}#{anchor}"


def test_every_page_is_found_from_the_first_one() -> None:
    first = (ROOT / "docs" / "README.md").read_text()
    for page in PAGES[1:]:
        name = page.relative_to(ROOT / "docs")
        assert name.name == "README.md" or name.parts[0] == "decisions" or f"({name})" in first, name


def title(page: Path) -> str:
    return page.read_text().partition("\n")[0].removeprefix("# ")


def test_the_index_calls_each_page_by_its_title() -> None:
    first = ROOT / "docs" / "README.md"
    for name, target in re.findall(r"\[([^]]+)\]\(([^)#]+\.md)\)", first.read_text()):
        page = first.parent / target
        assert title(page).startswith(name) or name in (page.name, "README"), f"{name}: {title(page)}"


def test_a_how_to_says_what_it_is_about() -> None:
    for page in (ROOT / "docs" / "how-to").glob("*.md"):
        assert title(page).startswith("How to "), page
        assert not re.search(r"\b(?:run|call|observe) it\b", title(page)), page


def test_decisions_are_numbered_without_gaps_and_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    pages = sorted(folder.glob("[0-9]*.md"))
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for number, page in enumerate(pages, 1):
        title = page.read_text().partition("\n")[0].removeprefix(f"# {number}. ")
        assert f"\n{number}. [{title}]({page.name})\n" in (folder / "README.md").read_text()


def test_every_decision_that_a_text_names_exists() -> None:
    numbers = {page.name[:4] for page in (ROOT / "docs" / "decisions").glob("[0-9]*.md")}
    named = subprocess.run(
        ["git", "grep", "-hoE", "decisions/[0-9]{4}"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert len(named) > 10
    assert {name[-4:] for name in named} <= numbers


def test_the_table_of_floors_is_the_import_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    floors = [set(layer.split(" | ")) for layer in contracts[0]["layers"]]
    page = (ROOT / "docs" / "explanation" / "architecture.md").read_text()
    rows = [row for row in page.splitlines() if row.startswith("| ") and "](../../src/flashguard/" in row]
    rooms = [set(re.findall(r"\]\(../../src/flashguard/(\w+)", row)) for row in rows]
    assert rooms == floors
    assert all(re.match(r"\| [a-z][a-z ]+ \| \[", row) for row in rows), "each floor has a label"


INSTALLS = re.compile(
    r"(?:pip3?|pipx|uv(?: tool| pip)?|npm|pnpm|yarn|docker|podman) (?:install|i|add|run|pull|ci)\b[^\n`]*"
    r"|(?:uvx|npx|pipx run|pnpm dlx|bunx) [^\n`]*"
)
OURS = re.compile(r"\S*flashguard\S*", re.IGNORECASE)
FROM_HERE = re.compile(r"""["']?(?:\.{0,2}/|PATH)|.*(?:\.whl|:local$)""")


def install_lines() -> list[tuple[str, str]]:
    """Each command that installs something, in any text of ours but the history, and where it stands."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    found = []
    for name in tracked.stdout.split():
        path = ROOT / name
        if name in ("CHANGELOG.md", "tests/unit/test_docs.py") or path.suffix in (
            ".webp",
            ".svg",
            ".zip",
            ".json",
        ):
            continue
        if path.is_file():
            found += [(name, line) for line in INSTALLS.findall(path.read_text(errors="ignore"))]
    return found


def test_nothing_installs_flashguard_from_a_registry_where_it_is_not() -> None:
    lines = install_lines()
    assert len(lines) > 8
    wrong = [
        (name, line)
        for name, line in lines
        for word in OURS.findall(line.partition("#")[0])
        if not FROM_HERE.match(word)
    ]
    assert wrong == [], "FlashGuard is on no registry: say how to install it from a checkout or a wheel"


@pytest.mark.parametrize(
    "line",
    [
        "pip install 'flashguard[client]'", "pip install flashguard", "uvx flashguard up",
        "npm i @flashguard/client", "docker pull ghcr.io/x/flashguard", "pipx run flashguard",
        "uv pip install flashguard[otel]",
    ],
)  # fmt: skip
def test_an_install_from_a_registry_is_found(line: str) -> None:
    [found] = INSTALLS.findall(line)
    assert all(not FROM_HERE.match(word) for word in OURS.findall(found))
    assert OURS.search(found)


def test_every_test_that_the_documentation_names_exists() -> None:
    there = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    files = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    for page in PAGES:
        named = set(re.findall(r"`(test_\w+)`", page.read_text()))
        assert named <= there, (page, named - there)
        named = set(re.findall(r"\b(test_\w+\.py)\b", page.read_text()))
        assert named <= files, (page, named - files)
    table = (ROOT / "docs" / "explanation" / "owasp-api-top-10.md").read_text()
    lines = re.findall(r"^\| \*\*API(\d+) .*`test_\w+` \|$", table, re.MULTILINE)
    assert lines == [str(number) for number in range(1, 11)]


def test_every_setting_in_the_documentation_exists() -> None:
    settings = (ROOT / "docs" / "reference" / "settings.md").read_text()
    for page in PAGES:
        for name in re.findall(r"FLASHGUARD_[A-Z_]*[A-Z]", page.read_text()):
            assert f"`{name}`" in settings, f"{name} in {page}"
