"""The documentation's site: it has every page, its links lead somewhere, and it is searched."""

import subprocess
import sys
from pathlib import Path

import pytest

from docs.build_site import ROOT, files_of_site, navigation, relinked

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


def test_the_navigation_has_every_page_for_users() -> None:
    lists = [pages for each in navigation(PLACES) for pages in each.values() if isinstance(pages, list)]
    rooms = ("how-to/", "explanation/", "reference/", "decisions/")
    pages = {place for place in PLACES.values() if place.endswith(".md") and place.startswith(rooms)}
    assert pages - {page for pages in lists for page in pages} == set()


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
