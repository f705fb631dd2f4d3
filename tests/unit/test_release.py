"""`make release`: the version is written everywhere, the changelog is cut, and nothing else changes."""

import datetime
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from flashguard import __version__
from scripts.release import PLACES, ReleaseError, current, cut, prepare

ROOT = Path(__file__).parents[2]
DAY = datetime.date(2027, 1, 31)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The files that a release changes."""
    for name in (*PLACES, "CHANGELOG.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_a_release_writes_its_version_everywhere_and_cuts_the_changelog(tree: Path) -> None:
    before = {name: (tree / name).read_text() for name in PLACES}
    changed = prepare(tree, "7.8.9", DAY)
    assert set(changed) == {*PLACES, "CHANGELOG.md"}
    assert current(tree) == "7.8.9"
    for name, (_, times) in PLACES.items():
        text = (tree / name).read_text()
        assert text.count("7.8.9") == times, name
        assert text.replace("7.8.9", __version__) == before[name], name
    changelog = (tree / "CHANGELOG.md").read_text()
    assert "\n## Unreleased\n\n## 7.8.9 (2027-01-31)\n\n### Added\n" in changelog


@pytest.mark.parametrize("version", ["0.0.9", "1.0", "v1.0.0", "1.0.0rc1", "01.0.0", ""])
def test_a_version_that_is_not_newer_or_not_one_is_refused(tree: Path, version: str) -> None:
    with pytest.raises(ReleaseError):
        prepare(tree, version, DAY)
    assert current(tree) == __version__


def test_a_version_is_released_once(tree: Path) -> None:
    prepare(tree, "7.8.9", DAY)
    with pytest.raises(ReleaseError, match="not newer"):
        prepare(tree, "7.8.9", DAY)


def test_nothing_is_released_where_nothing_is_unreleased() -> None:
    text = "# Changelog\n\n## Unreleased\n\n- One thing.\n\n## 1.0.0 (2027-01-01)\n\n- Another.\n"
    once = cut(text, "1.1.0", DAY)
    assert once.index("## Unreleased") < once.index("## 1.1.0 (2027-01-31)") < once.index("- One thing.")
    with pytest.raises(ReleaseError, match="nothing to release"):
        cut(once, "1.2.0", DAY)


def test_the_version_stands_in_no_other_file_that_is_published() -> None:
    for name in ("pyproject.toml", "src/flashguard/api/app.py", "src/flashguard/api/routes/system.py"):
        assert f'"{__version__}"' not in (ROOT / name).read_text(), name


WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_is_one_and_may_do_little(path: Path) -> None:
    program = Path(sys.executable).parent / "check-jsonschema"
    words = [program, "--builtin-schema", "vendor.github-workflows", path]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        assert "timeout-minutes" in job, f"{name} may run for hours"
    assert "secrets." not in path.read_text(), "publishing needs no token"


def test_each_change_is_tested_on_djangos_long_term_release_and_on_the_current_one() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())["jobs"]
    commands = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert "make test" in commands
    assert any(command.startswith("make django NEWER_PYTHON=") for command in commands)
