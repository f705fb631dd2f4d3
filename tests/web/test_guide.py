"""The guide as a reader sees it where FlashGuard serves it: found by its search, and whole on paper."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.async_api import expect

from flashguard import __version__
from tests.support.browser import Visit
from tests.support.streams import another_api

ROOT = Path(__file__).parents[2]
PAPER = {"width": 718, "height": 1000}
"""What is left of A4 beside its margins, in px."""
CUT = """() => [...document.querySelectorAll(".md-content :is(table, pre, code, img)")]
  .filter((node) => node.getBoundingClientRect().right > innerWidth + 1
    || (node.tagName !== "TABLE" && node.clientWidth && node.scrollWidth > node.clientWidth + 1))
  .map((node) => `${node.tagName}: ${node.textContent.trim().slice(0, 60)}`)"""

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="the policy of pages is written by Node")


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages with the guide, as `make site` makes them."""
    folder = tmp_path_factory.mktemp("guide")
    out = folder / "out"
    build = [sys.executable, ROOT / "docs/build_site.py", out / "guide"]
    subprocess.run(build, check=True, capture_output=True)
    (out / "index.html").write_text("<!doctype html><title>home</title>")
    subprocess.run(["node", ROOT / "web/scripts/csp.mjs"], cwd=folder, check=True, capture_output=True)
    return out


async def test_the_guide_is_served_searched_and_says_its_version(visit: Visit, service, http, export: Path):
    async with another_api(service, http, FLASHGUARD_WEB_DIR=str(export)) as another:
        reader = await visit("/guide/", url=another.url)
        await expect(reader.page.get_by_text(f"FlashGuard {__version__}")).to_be_visible()
        await reader.page.get_by_role("button", name="Search").first.click()
        await reader.page.get_by_role("combobox").fill("one room for several sales")
        await expect(reader.page.get_by_text(re.compile(r"^[1-9]\d* results?$"))).to_be_visible()
        await reader.page.keyboard.press("Enter")
        await reader.page.wait_for_url(re.compile(r"/how-to/waiting-room/.*#one-room-for-several-sales$"))
        for path in ("explanation/peers", "how-to/supabase", "reference/access"):
            await reader.page.set_viewport_size(PAPER)  # type: ignore[arg-type]
            await reader.page.emulate_media(media="print")
            await reader.page.goto(f"/guide/{path}/")
            assert await reader.page.evaluate(CUT) == [], path
