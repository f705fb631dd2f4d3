"""The documentation's site: it has every page, its links lead somewhere, and it is searched."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from docs.build_site import ROOT, VERSIONS, add_version, files_of_site, navigation, relinked, settings
from flashguard import __version__
from flashguard.cli.up import Everything
from flashguard.settings import Settings

PLACES = files_of_site()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built; the generator fails where a link or an anchor leads nowhere."""
    folder = tmp_path_factory.mktemp("site") / "guide"
    done = subprocess.run(
        [sys.executable, ROOT / "docs/build_site.py", folder], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_page_is_built_and_found_by_the_search(site: Path) -> None:
    search = (site / "search.json").read_text()
    for place in PLACES.values():
        if place.endswith(".md"):
            page = place.removesuffix(".md").removesuffix("README").removesuffix("index").rstrip("/")
            assert (site / page / "index.html").is_file(), place
            assert f'"{page}/' in search or page == "", page
    assert not list(site.rglob("*.map"))


def test_nothing_is_loaded_from_another_host(site: Path) -> None:
    for page in ("index.html", "how-to/pools/index.html"):
        text = (site / page).read_text()
        for tag in ('src="http', '<link rel="stylesheet" href="http', "@import"):
            assert tag not in text, (page, tag)


def test_each_page_says_of_which_version_it_is(site: Path) -> None:
    for page in ("index.html", "how-to/pools/index.html"):
        assert f"FlashGuard {__version__}" in (site / page).read_text()


def test_what_it_is_and_when_not_to_use_it_stands_above_the_picture() -> None:
    page = (ROOT / "docs/index.md").read_text()
    assert 0 < page.index("it is not, if") < page.index("](screenshots/")


def test_only_a_site_of_several_versions_asks_for_their_list() -> None:
    alone, beside = (tomllib.loads(settings(navigation(PLACES), chosen=each)) for each in (False, True))
    assert "extra" not in alone["project"]
    assert beside["project"]["extra"]["version"] == {"provider": "mike"}


def test_versions_are_listed_newest_first_and_the_folder_leads_to_the_newest(tmp_path: Path) -> None:
    for version in ("1.9.0", "1.10.0", "0.1.0", "1.10.0"):
        add_version(tmp_path, version)
    listed = json.loads((tmp_path / VERSIONS).read_text())
    assert [each["version"] for each in listed] == ["1.10.0", "1.9.0", "0.1.0"]
    assert [each["aliases"] for each in listed] == [["latest"], [], []]
    assert "url=1.10.0/" in (tmp_path / "index.html").read_text()


def test_the_navigation_has_every_page_for_users() -> None:
    lists = [pages for each in navigation(PLACES) for pages in each.values() if isinstance(pages, list)]
    rooms = ("how-to/", "explanation/", "reference/", "decisions/")
    pages = {place for place in PLACES.values() if place.endswith(".md") and place.startswith(rooms)}
    assert pages - {page for pages in lists for page in pages} == set()


@pytest.mark.parametrize("is_built", [True, False])
async def test_up_prints_the_guides_address_where_it_is_built(
    is_built: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pages = tmp_path / "pages"
    for name in ("index.html", *(["guide/index.html"] if is_built else [])):
        (pages / name).parent.mkdir(parents=True, exist_ok=True)
        (pages / name).write_text("<!doctype html>")
    everything = Everything(Settings(data_dir=tmp_path / "data", web_dir=pages), ())
    await everything.greet(demo=False)
    await everything.stop()
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Guide:")]
    assert [line.split()[-1] for line in lines] == ([f"{everything.url}/guide/"] if is_built else [])


PICTURE = "../pictures/latest.svg"


@pytest.mark.parametrize(
    ("source", "text", "expected"),
    [
        ("docs/how-to/pools.md", "[a](../tutorial.md#x)", "[a](../tutorial.md#x)"),
        ("docs/how-to/pools.md", "[a](../../README.md)", "[a](../index.md)"),
        ("docs/how-to/pools.md", "[`f.py`](../../src/flashguard/f.py#L3)", "`f.py`"),
        ("docs/how-to/pools.md", "[a](https://example.com/b.md)", "[a](https://example.com/b.md)"),
        ("CONTRIBUTING.md", "[a](docs/glossary.md)", "[a](glossary.md)"),
        (
            "docs/README.md",
            "[a](how-to/pools.md), [b](../SECURITY.md)",
            "[a](how-to/pools.md), [b](security.md)",
        ),
        ("docs/how-to/pools.md", "`[a](../../no.py)`", "`[a](../../no.py)`"),
        (
            "docs/explanation/performance.md",
            "![p](../../bench/results/latest.svg)",
            "![p](../pictures/latest.svg)",
        ),
    ],
)
def test_links_are_followed_from_the_repository_into_the_site(source: str, text: str, expected: str) -> None:
    assert relinked(text, source, PLACES) == expected
