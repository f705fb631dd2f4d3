"""The examples of README, tutorial and how-tos, run as they are printed, in a folder of their own."""

import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import clean_env
from flashguard.embedded.run_file import Run
from running import READY, Up

ROOT = Path(__file__).parents[2]


@pytest.fixture
def up(folder: Path) -> Iterator[Up]:
    """What `make run` starts, with its data where the documentation says."""
    with Up(folder, "--port", "0", data=".flashguard") as running:
        running.wait_for(READY)
        (folder / ".venv").symlink_to(Path(sys.executable).parents[1])
        yield running


def blocks(page: str, language: str, below: str = "") -> list[str]:
    """The page's code blocks in this language, from this heading on."""
    text = (ROOT / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text[text.index(below) :], re.MULTILINE | re.DOTALL)


def sh(script: str, run: Run, folder: Path) -> str:
    """Runs lines of shell at the service's real address; a refused call fails."""
    strict = 'set -euo pipefail\ncurl() { command curl -fsS "$@"; }\n'
    script = strict + script.replace("localhost:8000", run.url.removeprefix("http://"))
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=clean_env(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def python(script: str, run: Run, folder: Path) -> str:
    script = f"import asyncio\nasync def main():\n{textwrap.indent(script, '    ')}\nasyncio.run(main())"
    env = clean_env(FLASHGUARD_REDIS_URL=run.redis_url, FLASHGUARD_DATABASE_URL=run.database_url)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_readmes_examples_work_as_printed(up: Up, folder: Path) -> None:
    [http] = blocks("README.md", "sh", "## Use it over HTTP")
    said = sh(http, up.run(), folder)
    assert said.count('"status":"confirmed"') == 2
    [library] = blocks("README.md", "python")
    assert python(library, up.run(), folder).endswith(" confirmed\n")


def test_the_tutorial_works_as_printed(up: Up, folder: Path) -> None:
    lines = blocks("docs/tutorial.md", "sh")
    *before, after = lines
    said = sh("\n".join(before), up.run(), folder)
    assert said.count('"status":"held"') == 2  # as read, and as extended
    assert said.count('"status":"confirmed"') == 2
    [library] = blocks("docs/tutorial.md", "python")
    assert python(library, up.run(), folder) == "confirmed\n"
    said = sh(f"{lines[0].splitlines()[0]}\n{after}", up.run(), folder)
    assert re.findall(r",(ada|bob|eve),.*,seat,(\d)", said) == [("ada", "1"), ("bob", "2"), ("eve", "1")]
    assert "holds everywhere" in said


def test_the_how_to_of_identities_works_as_printed(up: Up, folder: Path) -> None:
    keys, tokens, signing = blocks("docs/how-to/identities.md", "sh")
    said = sh(f"{keys}{tokens}{signing}echo; echo $KEY", up.run(), folder)
    assert '"customer":"ada","status":"held"' in said
    [server] = blocks("docs/how-to/identities.md", "python")
    env = {"SHOP_FLASHGUARD": up.run().url, "SHOP_KEY": said.split()[-1]}
    page = subprocess.run([sys.executable, "-c", server], env=env, capture_output=True, text=True, check=True)
    assert page.stdout.startswith("/sale/?id=demo#token=eyJ")
