"""The code blocks of README, tutorial and how-tos: which are run, which show an answer, which are marked.

A block is run as it is printed. One that can't be run here stands below `<!-- not run: REASON -->`; its
syntax is checked. `<!-- run instead: LINES -->` names what a test runs in its place, where a reader puts
their own addresses. A block that shows an answer follows the one that causes it; in it `…` stands for what
differs between runs.
"""

import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Final

from markdown_it import MarkdownIt

from flashguard.embedded.run_file import Run
from tests.support.service import clean_env

ROOT = Path(__file__).parents[2]
HOW_TOS = sorted((ROOT / "docs" / "how-to").glob("*.md"))
PAGES: Final = ("README.md", "docs/tutorial.md", *(str(path.relative_to(ROOT)) for path in HOW_TOS))
MARK = re.compile(r"<!-- (not run|run instead): (.*?) -->", re.DOTALL)
RUN: Final = ("sh", "python", "sql")
SHOWN: Final = ("json", "text", "http")
"""An answer, where something ran before; else it must be marked."""
PAGE_SECONDS: Final = 300
"""Seconds on a machine that is busy with much else; a page needs 1 to 15 on a quiet one."""
ANY = "…"
STARTED = "make run"
"""The test starts the service itself; what follows shows what it then prints."""

PRELUDE = r"""set -euo pipefail
fails=--fail-with-body
curl() { case $1 in -f*) command curl "$@";; *) command curl $fails -sS "$@";; esac; }
"""
SQL = """import asyncio, os, sys, asyncpg
async def main():
    connection = await asyncpg.connect(os.environ["DOCS_DATABASE_URL"])
    await connection.execute(sys.stdin.read())
    await connection.close()
asyncio.run(main())
"""


@dataclass(frozen=True)
class Block:
    """A fenced block, or an indented one (`language` is then None)."""

    page: str
    line: int
    language: str | None
    text: str
    mark: str | None = None
    reason: str = ""

    @property
    def name(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def runs(self) -> bool:
        return self.language in RUN and self.mark != "not run"


def blocks(page: str) -> list[Block]:
    found = []
    mark: re.Match[str] | None = None
    for token in MarkdownIt().parse((ROOT / page).read_text()):
        if token.type in ("fence", "code_block"):
            assert token.map is not None
            language = token.info if token.type == "fence" else None
            block = Block(page, token.map[0] + 1, language, token.content)
            found.append(block if mark is None else replace(block, mark=mark[1], reason=mark[2]))
        mark = MARK.fullmatch(token.content.strip()) if token.type == "html_block" else None
    return found


def run_page(page: str, run: Run, folder: Path, printed: str) -> list[tuple[Block, str]]:
    """Run a page's blocks in one shell, at the service's real address.

    Parameters:
        printed: what the running service printed when it started.

    Returns:
        each block that shows an answer, with what the block before it printed.
    """
    every = blocks(page)
    ran = [block for block in every if block.runs and block.text.strip() != STARTED]
    said = dict(zip([block.line for block in ran], _said(ran, _refused(every), run, folder), strict=True))
    shown, before = [], None
    for block in every:
        if block.language in SHOWN and block.mark is None and before is not None:
            shown.append((replace(block, text=_here(block.text, run)), said.get(before.line, printed)))
        if block.runs:
            before = block
    return shown


def _refused(every: Sequence[Block]) -> set[int]:
    """The lines of blocks whose shown answer is a problem: curl must not take it for a failure."""
    return {
        block.line
        for block, answer in pairwise(every)
        if answer.language in SHOWN and re.search(r'"code": "|^HTTP/1.1 4', answer.text, re.MULTILINE)
    }


def _said(ran: Sequence[Block], refused: set[int], run: Run, folder: Path) -> list[str]:
    script = PRELUDE
    for block in ran:
        fails = "" if block.line in refused else "--fail-with-body"
        script += f"fails={fails}\nprintf '\\n<<{block.line}>>\\n'\n{_shell(block)}\n"
    env = clean_env(
        DOCS_DATABASE_URL=run.database_url, REPOSITORY=str(ROOT), PYTHON=sys.executable, COLUMNS="200"
    )
    done = subprocess.run(
        ["bash", "-c", _here(script, run)],
        cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=PAGE_SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return re.split(r"\n<<\d+>>\n", done.stdout)[1:]


def _shell(block: Block) -> str:
    if block.mark == "run instead":
        return textwrap.dedent(block.reason)
    if block.language == "python":
        text = block.text
        if re.search(r"^(async |await )|= await ", text, re.MULTILINE):
            text = (
                f"import asyncio\nasync def main():\n{textwrap.indent(text, '    ')}\nasyncio.run(main())\n"
            )
        return f"{sys.executable} - <<'__PYTHON__'\n{text}__PYTHON__"
    if block.language == "sql":
        return f"{sys.executable} -c '{SQL}' <<'__SQL__'\n{block.text}__SQL__"
    return block.text


def _here(text: str, run: Run) -> str:
    return re.sub(r"(localhost|127\.0\.0\.1):8000", run.url.removeprefix("http://"), text)


def differences(shown: Block, said: str) -> list[str]:
    """What the page shows and the service did not answer."""
    if shown.language == "json":
        line = said.strip().splitlines()[-1] if said.strip() else "null"
        return _unlike(json.loads(shown.text), json.loads(line), "answer")
    lines = [line.rstrip().lower() for line in said.splitlines()]
    return [
        f"no line is like: {wanted}"
        for wanted in shown.text.splitlines()
        if not any(_pattern(wanted.rstrip().lower()).fullmatch(line) for line in lines)
    ]


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in text.split(ANY)))


def _unlike(shown: object, said: object, where: str) -> list[str]:
    if isinstance(shown, dict) and isinstance(said, dict):
        more = set() if ANY in shown else set(said) - set(shown)
        lacks = set(shown) - set(said) - {ANY}
        found = [f"{where}: not shown: {sorted(more)}"] if more else []
        found += [f"{where}: not answered: {sorted(lacks)}"] if lacks else []
        return found + [
            each
            for name in shown.keys() & said.keys()
            for each in _unlike(shown[name], said[name], f"{where}.{name}")
        ]
    if isinstance(shown, list) and isinstance(said, list):
        if len(shown) != len(said):
            return [f"{where}: {len(shown)} shown, {len(said)} answered"]
        return [
            each
            for at, (one, other) in enumerate(zip(shown, said, strict=True))
            for each in _unlike(one, other, f"{where}[{at}]")
        ]
    if isinstance(shown, str) and isinstance(said, str) and _pattern(shown).fullmatch(said):
        return []
    return [] if shown in (said, ANY) else [f"{where}: {shown!r} shown, {said!r} answered"]
