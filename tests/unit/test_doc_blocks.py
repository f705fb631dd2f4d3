"""No code block of the documentation goes unchecked: it is run, shows an answer, or says why neither."""

import ast
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import click
import pytest
import typer
import yaml

from flashguard.cli import app
from tests.support.doc_pages import PAGES, ROOT, RUN, SHOWN, Block, blocks

BLOCKS = [block for page in PAGES for block in blocks(page)]
NOT_RUN = [block for block in BLOCKS if block.mark == "not run"]
COMMAND = re.compile(r"`(flashguard [^`\n]+)`")


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_run_or_shows_an_answer_or_says_why_not(page: str) -> None:
    ran = False
    for block in blocks(page):
        assert block.language is not None, f"{block.name} is indented; a fence names its language"
        assert block.mark is None or block.reason, block.name
        known = block.runs or block.mark == "not run" or (block.language in SHOWN and ran)
        assert known, f"{block.name}: neither run, nor an answer, nor marked `<!-- not run: reason -->`"
        ran = ran or block.runs


@pytest.mark.parametrize("block", NOT_RUN, ids=lambda block: block.name)
def test_a_block_that_is_not_run_is_well_formed(block: Block, tmp_path: Path) -> None:
    assert block.language in (*RUN, *SHOWN, "yaml", "nginx", "ts", "html")
    if block.language == "sh":
        checked = subprocess.run(
            ["bash", "-n"], input=block.text, capture_output=True, text=True, check=False
        )
        assert checked.returncode == 0, checked.stderr
    elif block.language == "json":
        json.loads(block.text)
    elif block.language == "yaml":
        assert yaml.safe_load(block.text)
        if "scrape_configs" in block.text and shutil.which("promtool"):
            (tmp_path / "prometheus.yaml").write_text(block.text)
            line = ["promtool", "check", "config", "--syntax-only", str(tmp_path / "prometheus.yaml")]
            subprocess.run(line, check=True)
    elif block.language == "python":
        ast.parse(block.text)
    elif block.language == "ts" and shutil.which("node"):
        line = ["node", "--input-type=module", "--check"]
        assert subprocess.run(line, input=block.text, text=True, check=False).returncode == 0
    elif block.language == "nginx":
        bare = re.sub(r"#.*", "", block.text)
        assert bare.count("{") == bare.count("}")
        assert all(line.strip()[-1] in "{};" for line in bare.splitlines() if line.strip())


def commands() -> list[tuple[str, str]]:
    """What the pages have a reader type of our own program, in blocks that are not run and in sentences."""
    said = [
        (block.name, line) for block in NOT_RUN if block.language == "sh" for line in block.text.splitlines()
    ]
    said += [(page, line) for page in PAGES for line in COMMAND.findall((ROOT / page).read_text())]
    parts = [(at, part) for at, line in said for part in re.split(r"&&|\||;|#|>|&(?= |$)", line)]
    calls = [
        (at, re.search(r"^(?:[A-Z_]+=\S+ )*(?:.* exec api )?(flashguard .*)", part.strip()))
        for at, part in parts
    ]
    return sorted({(at, call[1]) for at, call in calls if call is not None and "$(" not in call[1]})


@pytest.mark.parametrize(("at", "line"), commands(), ids=lambda each: each)
def test_every_command_that_is_not_run_exists_with_its_options(at: str, line: str) -> None:
    words = shlex.split(line.replace("…", ""))[1:]
    command: click.Command = typer.main.get_command(app)
    while getattr(command, "commands", None) and words:
        assert words[0] in command.commands, f"{at}: {line}"  # type: ignore[attr-defined]
        command = command.commands[words.pop(0)]  # type: ignore[attr-defined]
    options = {name for each in command.params for name in [*each.opts, *each.secondary_opts]} | {"--help"}
    given = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert given <= options, f"{at}: {given - options}"


def test_the_blocks_and_commands_are_found_at_all() -> None:
    assert len([block for block in BLOCKS if block.runs]) > 40
    assert len(commands()) > 40
