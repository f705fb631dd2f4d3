"""The pages, served by the API: what is cached, what is allowed, what is not there."""

import asyncio
import gzip
import json
import re
from pathlib import Path

import pytest

from tests.support.streams import another_api

ROOT = Path(__file__).parents[2]
SCRIPT = "sha256-" + "A" * 43 + "="


@pytest.fixture
async def export(tmp_path: Path) -> Path:
    """A small export of our own."""
    files = {
        "index.html": "<!doctype html><title>home</title>" + " " * 2000,
        "404.html": "<!doctype html><title>not here</title>",
        "sale/index.html": "<!doctype html><title>sale</title>",
        "_next/static/chunks/main-abc.js": "console.log(1);" * 200,
        "_next/static/flashguard/_buildManifest.js": "self.__BUILD_MANIFEST={}",
        "embed/flashguard.js": "customElements" * 100,
        "csp.json": json.dumps({"script_hashes": [SCRIPT]}),
        "icon.svg": "<svg xmlns='http://www.w3.org/2000/svg'/>",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "secret").symlink_to("/etc/passwd")
    return tmp_path


@pytest.fixture
async def served(service, http, export):
    async with another_api(service, http, FLASHGUARD_WEB_DIR=str(export)) as another:
        yield another


async def test_pages_are_checked_each_time_and_hashed_files_live_for_ever(served):
    home = await served.call("GET", "/")
    assert home.status == 200
    assert "<title>home</title>" in home.body
    assert home.headers["Content-Type"] == "text/html; charset=utf-8"
    assert home.headers["Cache-Control"] == "no-cache"
    again = await served.call("GET", "/", headers={"If-None-Match": home.headers["ETag"]})
    assert (again.status, again.body) == (304, "")
    script = await served.call("GET", "/_next/static/chunks/main-abc.js")
    assert script.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert script.headers["Content-Type"].startswith("text/javascript")
    manifest = await served.call("GET", "/_next/static/flashguard/_buildManifest.js")
    assert manifest.headers["Cache-Control"] == "no-cache", "its name stays the same in the next build"
    assert (await served.call("GET", "/icon.svg")).headers["Content-Type"] == "image/svg+xml"
    head = await served.call("HEAD", "/")
    assert (head.status, head.headers["ETag"]) == (200, home.headers["ETag"])


async def test_what_other_origins_embed_is_theirs_to_load_and_to_keep_for_minutes(served):
    script = await served.call("GET", "/embed/flashguard.js", headers={"Origin": "https://shop.example"})
    assert script.headers["Content-Type"].startswith("text/javascript")
    assert script.headers["Access-Control-Allow-Origin"] == "*"
    assert script.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert script.headers["Cache-Control"] == "public, max-age=300, stale-while-revalidate=86400"
    again = await served.call(
        "GET", "/embed/flashguard.js", headers={"If-None-Match": script.headers["ETag"]}
    )
    assert (again.status, again.headers["Access-Control-Allow-Origin"]) == (304, "*")
    assert "Access-Control-Allow-Origin" not in (await served.call("GET", "/")).headers


async def test_pages_come_compressed_to_whoever_takes_that(served, http):
    async with http.get(
        f"{served.url}/", headers={"Accept-Encoding": "gzip"}, auto_decompress=False
    ) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert answer.headers["Vary"] == "Accept-Encoding"
        assert b"<title>home</title>" in gzip.decompress(await answer.read())
    async with http.get(f"{served.url}/", headers={"Accept-Encoding": "identity"}) as answer:
        assert "Content-Encoding" not in answer.headers


async def test_pages_allow_only_their_own_scripts_and_no_frame(served):
    for path in ("/", "/nope"):
        headers = (await served.call("GET", path)).headers
        policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
        assert policy["script-src"] == f"'self' '{SCRIPT}'"
        assert policy["connect-src"] == "'self'"
        assert policy["frame-ancestors"] == "'none'"
        assert "unsafe-eval" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"]


async def test_a_script_may_be_a_worker_of_web_assembly_and_load_nothing(served):
    headers = (await served.call("GET", "/_next/static/chunks/main-abc.js")).headers
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'wasm-unsafe-eval';")


async def test_a_page_has_a_slash_and_keeps_its_query(served, http):
    async with http.get(f"{served.url}/sale?id=demo", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (308, "/sale/?id=demo")
    assert "<title>sale</title>" in (await served.call("GET", "/sale/?id=demo")).body
    async with http.get(f"{served.url}//evil.example", allow_redirects=False) as answer:
        assert answer.status == 404


async def test_unknown_paths_get_a_page_and_unknown_calls_a_problem(served):
    for path in ("/nope", "/nope/", "/secret", "/csp.json", "/../../etc/passwd", "/..%2f..%2fetc/passwd"):
        missing = await served.call("GET", path)
        assert missing.status == 404, path
        assert "<title>not here</title>" in missing.body
    for path in ("/v1", "/v1/nope", "/v1/sales/x/nope", "/metrics/x"):
        (await served.call("GET", path)).problem(404, "invalid-request")
    (await served.call("POST", "/nope")).problem(404, "invalid-request")


async def test_without_a_guide_its_address_says_how_to_get_it(served, http, export):
    for path in ("/guide/", "/guide", "/guide/tutorial/"):
        missing = await served.call("GET", path)
        assert missing.status == 404
        assert "make site" in missing.body
    assert "make site" not in (await served.call("GET", "/guides/")).body


async def test_a_new_build_is_served_without_a_restart(served, export):
    assert "home" in (await served.call("GET", "/")).body
    (export / "index.html").write_text("<!doctype html><title>newer</title>")
    async with asyncio.timeout(5):
        while "newer" not in (await served.call("GET", "/")).body:
            await asyncio.sleep(0.2)


async def test_without_an_export_the_first_page_says_how_to_get_it(service, http, tmp_path):
    async with another_api(service, http, FLASHGUARD_WEB_DIR=str(tmp_path / "nothing")) as another:
        for path in ("/", "/docs"):
            page = await another.call("GET", path)
            assert page.status == 200
            assert "make run" in page.body
            assert "script-src 'self';" in page.headers["Content-Security-Policy"]
        (await another.call("GET", "/nope")).problem(404, "invalid-request")


async def test_the_reference_is_served_by_us_under_the_pages_policy(service):
    page = await service.call("GET", "/docs")
    assert page.status == 200
    home = await service.call("GET", "/")
    assert page.headers["Content-Security-Policy"] == home.headers["Content-Security-Policy"]
    assert "://" not in page.body, "nothing is loaded from another host"
    assert not re.search(r"<script(?![^>]*\bsrc=)", page.body), "no inline script"
    loaded = re.findall(r'(?:src|href)="(/docs/[^"]+)"', page.body)
    assert {Path(path).suffix for path in loaded} == {".js", ".css"}
    for path in loaded:
        assert (await service.call("GET", path)).status == 200, path
    pinned = json.loads((ROOT / "web/package.json").read_text())["devDependencies"]["swagger-ui-dist"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", pinned)
    assert (await service.call("GET", "/openapi.json")).ok()["info"]["title"] == "FlashGuard"
