"""Measures how long buying fails after `kill -9` of Valkey or PostgreSQL under `flashguard up`.

    .venv/bin/python bench/serve_again.py --rounds 20 --json bench/results/serve_again.json

Each round kills one server and measures the time from the kill to the first 201 of a later request, sent
every 10 ms: a hold after Valkey, a committed order after either. `up` restarts the server.
"""

import argparse
import asyncio
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import aiohttp

from flashguard.embedded.run_file import find_run

START_SECONDS = 90.0
PATIENCE_SECONDS = 60.0
REST_SECONDS = 1.0
"""The pause between two rounds: servers that die again at once are another case."""


async def first_success(http: aiohttp.ClientSession, url: str, what: str, begun: float) -> float:
    """Send a separate request every 10 ms; return the seconds from `begun` until one was granted."""
    done: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    async def ask() -> None:
        body = {"customer": uuid.uuid4().hex, "items": [{"sku": "unit", "quantity": 1}]}
        try:
            async with http.post(f"{url}/v1/sales/again/{what}", json=body) as answer:
                if answer.status == 201 and not done.done():
                    done.set_result(time.monotonic() - begun)
        except (aiohttp.ClientError, TimeoutError):
            pass

    asking: set[asyncio.Task[None]] = set()
    while not done.done():
        if time.monotonic() - begun > PATIENCE_SECONDS:
            raise SystemExit(f"no {what} within {PATIENCE_SECONDS} s")
        task = asyncio.create_task(ask())
        asking.add(task)
        task.add_done_callback(asking.discard)
        await asyncio.wait([done], timeout=0.01)
    return done.result()


async def measure(folder: Path, url: str, key: str, rounds: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {"valkey, hold": [], "valkey, order": [], "postgres, order": []}
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as http:
        admin = {"Authorization": f"Bearer {key}"}
        item = {"sku": "unit", "name": "Unit", "price_minor": 1, "currency": "EUR", "stock": 100_000_000}
        sale: dict[str, Any] = {"id": "again", "name": "Again", "items": [item]}
        for path, body in (("/v1/sales", sale), ("/v1/sales/again/open", None)):
            async with http.post(url + path, json=body, headers=admin) as answer:
                answer.raise_for_status()
        for round_ in range(rounds):
            for which, whats in (("valkey", ("hold", "order")), ("postgres", ("order",))):
                run = find_run(folder)
                assert run is not None
                begun = time.monotonic()
                os.kill(run.pids[which], signal.SIGKILL)
                path = {"hold": "reservations", "order": "orders"}
                took = await asyncio.gather(*(first_success(http, url, path[what], begun) for what in whats))
                for what, each in zip(whats, took, strict=True):
                    seconds[f"{which}, {what}"].append(each)
                print(f"round {round_ + 1}: {which} {', '.join(f'{t:.2f} s' for t in took)}", flush=True)
                await asyncio.sleep(REST_SECONDS)
        async with http.get(f"{url}/v1/sales/again/audit", headers=admin) as answer:
            report = await answer.json()
            assert report["ok"], report
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fg-again-", dir="/tmp") as place:
        Path(place).chmod(0o755)
        folder = Path(place) / "data"
        command = [
            sys.executable,
            "-m",
            "flashguard",
            "up",
            "--no-demo",
            "--port",
            "0",
            "--data-dir",
            str(folder),
        ]
        output = (Path(place) / "output").open("wb")
        up = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            deadline = time.monotonic() + START_SECONDS
            while (run := find_run(folder)) is None or "Ctrl-C" not in (Path(place) / "output").read_text():
                if up.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit((Path(place) / "output").read_text())
                time.sleep(0.1)
            key = (folder / "admin.key").read_text().strip()
            seconds = asyncio.run(measure(folder, run.url, key, given.rounds))
        finally:
            up.terminate()
            up.wait(30)
    result = {
        "environment": f"{platform.machine()}, {os.cpu_count()} cores",
        "rounds": given.rounds,
        "seconds": {
            name: {"median": round(statistics.median(each), 3), "worst": round(max(each), 3)}
            for name, each in seconds.items()
        },
    }
    text = json.dumps(result, indent=2)
    print(text)
    if given.json:
        given.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
