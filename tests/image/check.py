"""`make image-check`: carries out the Dockerfile's steps in clean roots, and runs every part of the result.

It needs root, debootstrap, Node, and the registries. The servers stand outside and are reached over TCP.
"""

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flashguard.embedded import EmbeddedPostgres, EmbeddedValkey
from flashguard.embedded import postgres as postgres_module
from tests.image.roots import Stage, build, make_bases, say
from tests.support.deploy_files import DOCKER
from tests.support.ports import free_port

PATIENCE_SECONDS = 60.0
STOP_SECONDS = 15.0


class Valkey(EmbeddedValkey):
    """The embedded one, on TCP as well."""

    port = free_port()

    async def _prepare(self) -> list[str | Path]:
        return [*await super()._prepare(), "--port", str(self.port), "--bind", "127.0.0.1"]


class Postgres(EmbeddedPostgres):
    """The embedded one, on TCP as well."""

    port = free_port()

    async def _prepare(self) -> list[str | Path]:
        postgres_module.SOCKET_NAME = f".s.PGSQL.{self.port}"  # type: ignore[misc]
        words = await super()._prepare()
        return [*words, "-c", "listen_addresses=127.0.0.1", "-c", f"port={self.port}"]

    def _url(self, database: str) -> str:
        return f"{super()._url(database)}&port={self.port}"


class Image:
    """The finished image, and what runs of it."""

    def __init__(self, stage: Stage, secrets_folder: Path, env: dict[str, str]) -> None:
        self.stage, self.secrets, self.env = stage, secrets_folder, env
        self.running: dict[str, subprocess.Popen[str]] = {}

    def once(self, *words: str, **more: str) -> tuple[int, str]:
        """A command, with its exit code and what it said."""
        process = self.stage.inside(list(words), secrets=self.secrets, **(self.env | more))
        said, _ = process.communicate(timeout=PATIENCE_SECONDS)
        return process.returncode, said

    def start(self, *words: str, **more: str) -> None:
        """A part, by its entry point."""
        command = [*self.stage.said["ENTRYPOINT"], *words]
        self.running[words[0]] = self.stage.inside(command, secrets=self.secrets, **(self.env | more))

    def healthy(self, *words: str) -> bool:
        """What the image's own health check says."""
        return self.once(*self.stage.said["HEALTHCHECK"][1:], *words)[0] == 0

    def end(self, name: str) -> tuple[float, int, str]:
        """How long a part takes to end after SIGTERM, its exit code, and what it had said."""
        process, started = self.running.pop(name), time.monotonic()
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=STOP_SECONDS)
        return time.monotonic() - started, process.returncode, said


def until(holds: Any, what: str) -> float:
    """Waits until it holds; how long that took, in seconds."""
    started = time.monotonic()
    while not holds():
        assert time.monotonic() < started + PATIENCE_SECONDS, f"not within {PATIENCE_SECONDS:g} s: {what}"
        time.sleep(0.1)
    return time.monotonic() - started


def call(base: str, path: str, key: str, body: object = None) -> tuple[int, Any]:
    """One call of the API; a problem is an answer, too."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = urllib.request.Request(base + path, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            raw = answer.read()
            return answer.status, json.loads(raw) if "json" in answer.headers[
                "Content-Type"
            ] else raw.decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def run_everything(image: Image, port: int, recorder_port: int, key: str) -> dict[str, Any]:
    """Every part once, as compose.yaml would; each promise of the image is an assertion."""
    base, found = f"http://127.0.0.1:{port}", {}
    code, said = image.once("flashguard", "api", FLASHGUARD_SECRETS_DIR="/tmp")
    assert (code, "FLASHGUARD_ADMIN_KEY must be set" in said) == (1, True), said
    assert image.once("id", "-u") == (0, "10001\n")
    code, said = image.once("python", "-c", "open('/opt/flashguard/new', 'w')")
    assert "Read-only file system" in said, said
    assert image.once("python", "-c", "import os; os.setuid(0)")[0] != 0
    assert image.once("python", "-c", "import pip")[0] != 0, "there is an installer in it"
    code, said = image.once("flashguard", "api", FLASHGUARD_PAYMENT_PROVIDERS='["stripe"]')
    assert (code, "FLASHGUARD_STRIPE_KEY" in said) == (1, True), (
        said
    )  # its library is there, and asks for its key
    assert not image.healthy(), "nothing runs, and the health check is content"

    code, said = image.once("flashguard", "migrate")
    assert code == 0, said
    assert "applied 0001" in said
    image.start("recorder", FLASHGUARD_RECORDER_METRICS_PORT=str(recorder_port))
    image.start("deliverer")
    image.start("api", FLASHGUARD_WORKERS="2")
    found["seconds_until_healthy"] = round(until(image.healthy, "the API's health check is content"), 1)
    until(lambda: image.healthy(str(recorder_port)), "the recorder's is")
    until(lambda: call(base, "/readyz", key)[0] == 200, "the API is ready")

    status, page = call(base, "/", key)
    assert (status, "<html" in page, "FlashGuard" in page) == (200, True, True)
    sale = {"id": "drop", "name": "Drop", "items": [
        {"sku": "one", "name": "One", "price_minor": 100, "currency": "EUR", "stock": 1},
    ]}  # fmt: skip
    assert call(base, "/v1/sales", key, sale)[0] == 201
    assert call(base, "/v1/sales/drop/open", key, {})[0] == 200
    order = {"customer": "ann", "items": [{"sku": "one", "quantity": 1}]}
    status, bought = call(base, "/v1/sales/drop/orders", key, order)
    assert (status, bought["status"]) == (201, "confirmed")
    status, problem = call(base, "/v1/sales/drop/orders", key, order | {"customer": "bob"})
    assert (status, json.loads(problem)["code"]) == (409, "sold-out")
    code, said = image.once("flashguard", "audit", "--url", base)
    assert code == 0, said
    code, said = image.once("flashguard", "doctor")
    assert code == 0, said

    for name in ("api", "deliverer", "recorder"):
        seconds, code, said = image.end(name)
        assert code in (0, -signal.SIGTERM), f"{name} ended with {code}:\n{said}"
        assert "Traceback" not in said, said
        found[f"seconds_until_{name}_ends"] = round(seconds, 2)
    return found


@contextlib.contextmanager
def workplace(kept: Path | None) -> Iterator[Path]:
    """A folder that goes again, unless it is to be kept; it must not be on a file system without devices."""
    if kept:
        kept.mkdir(mode=0o755, parents=True, exist_ok=True)
        yield kept
        shutil.rmtree(kept / "data", ignore_errors=True)
        return
    place = Path(tempfile.mkdtemp(prefix="fg-image-", dir="/var/tmp"))
    place.chmod(0o755)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


async def check(python: Path | None, kept: Path | None) -> dict[str, Any]:
    """Builds, runs, measures."""
    started = time.monotonic()
    with workplace(kept) as place:
        bases = make_bases(place, python)
        based = time.monotonic()
        stage = build(DOCKER / "Dockerfile", place, bases)
        (stage.root / "run" / "secrets").mkdir(parents=True, exist_ok=True)
        built = time.monotonic()
        say("every part of the image runs")
        found = {
            "python": subprocess.run(
                ["chroot", stage.root, "/opt/flashguard/bin/python", "-V"],
                capture_output=True,
                text=True,
                check=True,
            ).stdout.strip(),
            "program_and_wheels_mb": round(stage.megabytes("/opt/flashguard"), 1),
        }
        memory, ledger = Valkey(place / "data"), Postgres(place / "data")
        try:
            await memory.start()
            await ledger.start()
            key, port, recorder_port = f"fg_admin_{secrets.token_urlsafe(24)}", free_port(), free_port()
            folder = place / "secrets"
            folder.mkdir(exist_ok=True)
            (folder / "flashguard_admin_key").write_text(key)
            url = f"postgresql://flashguard@127.0.0.1:{ledger.port}/flashguard"
            (folder / "flashguard_database_url").write_text(url)
            env = {
                "FLASHGUARD_REDIS_URL": f"redis://127.0.0.1:{memory.port}/0",
                "FLASHGUARD_SECRETS_DIR": "/run/secrets",
                "FLASHGUARD_PORT": str(port),
            }
            image = Image(stage, folder, env)
            try:
                found |= await asyncio.to_thread(run_everything, image, port, recorder_port, key)
            finally:
                for process in image.running.values():
                    process.kill()
                    print(process.communicate()[0])
        finally:
            await memory.stop()
            await ledger.stop()
    ended = time.monotonic()
    return found | {
        "seconds": {
            "bases": round(based - started),
            "steps": round(built - based),
            "running": round(ended - built),
        }
    }


def main() -> None:
    """Prints what was found as JSON; whatever does not hold ends it with an assertion."""
    there = sorted(Path.home().glob(".pyenv/versions/3.12.*"))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--python", type=Path, default=there[-1] if there else None, help="prefix of a Python 3.12"
    )
    parser.add_argument("--keep", type=Path, help="build in this folder, or run what was built there")
    given = parser.parse_args()
    if os.geteuid() != 0 or not shutil.which("debootstrap"):
        sys.exit("This needs root and debootstrap (on Debian and Ubuntu: apt-get install debootstrap).")
    print(json.dumps(asyncio.run(check(given.python, given.keep)), indent=2))


if __name__ == "__main__":
    main()
