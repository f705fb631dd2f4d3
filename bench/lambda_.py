"""Measures AWS Lambda with its real runtime client: `python -m bench.lambda_`, two minutes.

Cold start (import, from process start to the first answer, and the same from the restore of a snapshot); warm
latency of a durable buy, with and without freezing the instance in between; CPU per buy beside the server's
at one connection; and the cost of subscribing only while a buy waits, compared with a permanent subscription.
"""

import asyncio
import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from flashguard import FlashGuard, Item, Line, NewSale, Settings
from flashguard.embedded import EmbeddedServers
from flashguard.ledger import Ledger
from flashguard.model import MinorUnits, SaleId, Sku
from tests.support.stacks.lambda_runtime import Instance

OUT = Path(__file__).parent / "results" / "lambda.json"
COLD, BARE, WARM = 10, 3, 300
PORT = 18_765
TIMEOUT_SECONDS = 30.0
IMPORT = "import sys; sys.modules['opentelemetry.sdk'] = None; import flashguard.aws.handler"
"""Lambda's package has no OpenTelemetry SDK."""


def ms(seconds: float) -> float:
    return round(seconds * 1000, 2)


def spread(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {"p50_ms": ms(statistics.median(ordered)), "p99_ms": ms(ordered[int(len(ordered) * 0.99)])}


def importing(env: dict[str, str], rounds: int, *options: str) -> dict[str, float]:
    """Return wall and CPU time of a new Python that imports the handler, interpreter start included."""
    walls, cpus = [], []
    for _ in range(rounds):
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run([sys.executable, *options, "-c", IMPORT], env=env, check=True)
        walls.append(time.perf_counter() - started)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpus.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return {
        "wall_ms": ms(statistics.median(walls)),
        "wall_ms_least": ms(min(walls)),
        "cpu_ms": ms(statistics.median(cpus)),
    }


def buying(customer: str) -> dict[str, Any]:
    return {
        "version": "2.0", "rawPath": "/v1/sales/bench/orders", "rawQueryString": "", "isBase64Encoded": False,
        "headers": {"content-type": "application/json"},
        "requestContext": {"http": {"method": "POST", "sourceIp": "127.0.0.1"}, "stage": "$default"},
        "body": json.dumps({"customer": customer, "items": [{"sku": "unit", "quantity": 1}]}),
    }  # fmt: skip


async def cold(env: dict[str, str]) -> dict[str, float]:
    """Return the time from the start of the process, with the runtime client, to its first answer."""
    walls = []
    for number in range(COLD):
        instance, started = Instance(env, freezes=False), time.perf_counter()
        await instance.start()
        answer = await instance.invoke(buying(f"cold-{number}"), TIMEOUT_SECONDS)
        walls.append(time.perf_counter() - started)
        assert answer["statusCode"] == 201, answer
        await instance.stop()
    return spread(walls)


RESTORE = """
import json, os, signal, sys
sys.modules['opentelemetry.sdk'] = None
from flashguard.aws import handler
class Context:
    def get_remaining_time_in_millis(self):
        return 20_000
handler._instance.start()
handler._instance.before_snapshot()
os.kill(os.getpid(), signal.SIGSTOP)
handler._instance.after_restore()
print(handler.handler(json.loads(sys.argv[1]), Context())["statusCode"], flush=True)
"""
"""An instance that is stopped where SnapStart would copy it, and goes on where a copy would."""


def restored(env: dict[str, str]) -> dict[str, float]:
    """Return the time from the restore of a snapshot to the first answer, with new connections."""
    walls = []
    for number in range(COLD):
        command = [sys.executable, "-c", RESTORE, json.dumps(buying(f"restored-{number}"))]
        child = subprocess.Popen(command, env=env, stdout=subprocess.PIPE)
        assert child.stdout is not None
        os.waitpid(child.pid, os.WUNTRACED)
        started = time.perf_counter()
        child.send_signal(signal.SIGCONT)
        assert child.stdout.readline() == b"201\n"
        walls.append(time.perf_counter() - started)
        child.wait(TIMEOUT_SECONDS)
    return spread(walls)


async def warm(env: dict[str, str], *, freezes: bool) -> dict[str, float]:
    instance = Instance(env, freezes=freezes)
    await instance.start()
    try:
        assert instance.process is not None
        process = psutil.Process(instance.process.pid)

        async def buy(number: int) -> None:
            answer = await instance.invoke(buying(f"warm-{freezes}-{number}"), TIMEOUT_SECONDS)
            assert answer["statusCode"] == 201, answer

        return await measured(buy, process)
    finally:
        await instance.stop()


async def measured(
    buy: Callable[[int], Awaitable[None]], process: psutil.Process | None = None
) -> dict[str, float]:
    """Return latencies of buys, one after the other."""
    await buy(-1)
    before = sum(process.cpu_times()[:2]) if process else 0.0
    seconds = []
    for number in range(WARM):
        started = time.perf_counter()
        await buy(number)
        seconds.append(time.perf_counter() - started)
    found = spread(seconds) | {"per_second": round(WARM / sum(seconds))}
    if process:
        found["cpu_us"] = round((sum(process.cpu_times()[:2]) - before) / WARM * 1e6)
    return found


async def server(env: dict[str, str]) -> dict[str, float]:
    """Measure `flashguard api` with one connection."""
    child = subprocess.Popen(
        [sys.executable, "-m", "flashguard", "api"], env=env | {"FLASHGUARD_PORT": str(PORT)}
    )
    url = f"http://127.0.0.1:{PORT}"
    try:
        async with aiohttp.ClientSession() as http:
            for _ in range(300):
                try:
                    async with http.get(f"{url}/healthz") as answer:
                        assert answer.status == 200
                        break
                except aiohttp.ClientError:
                    await asyncio.sleep(0.1)

            async def buy(number: int) -> None:
                body = {"customer": f"server-{number}", "items": [{"sku": "unit", "quantity": 1}]}
                async with http.post(f"{url}/v1/sales/bench/orders", json=body) as answer:
                    assert answer.status == 201

            return await measured(buy, psutil.Process(child.pid))
    finally:
        child.terminate()
        child.wait(10)


async def listening(settings: Settings) -> dict[str, dict[str, float]]:
    """Measure a buy by the library: subscribed only while it waits (`lone`), and permanently, in turns."""
    seconds: dict[str, list[float]] = {"while waiting": [], "always": []}
    async with (
        await FlashGuard.connect(settings, lone=True) as lone,
        await FlashGuard.connect(settings) as always,
    ):
        for number in range(WARM + 1):
            for name, guard in (("while waiting", lone), ("always", always)):
                started = time.perf_counter()
                await guard.buy("bench", f"{name}-{number}", [Line(Sku("unit"), 1)])
                seconds[name].append(time.perf_counter() - started)
    return {name: spread(all_[1:]) for name, all_ in seconds.items()}


async def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="fg-bench-", dir="/tmp"))
    folder.chmod(0o755)
    async with EmbeddedServers(folder / "data") as servers:
        ledger = await Ledger.connect(servers.database_url)
        await ledger.migrate(16)
        await ledger.close()
        env = {name: value for name, value in os.environ.items() if not name.startswith("FLASHGUARD_")} | {
            "FLASHGUARD_REDIS_URL": servers.redis_url,
            "FLASHGUARD_DATABASE_URL": servers.database_url,
            "FLASHGUARD_ADMIN_KEY": "fg_admin_of-the-bench-0123456789",
            "FLASHGUARD_LOG_LEVEL": "warning",
        }
        recorder = subprocess.Popen([sys.executable, "-m", "flashguard", "recorder"], env=env)
        try:
            settings = Settings(redis_url=servers.redis_url, database_url=servers.database_url)
            async with await FlashGuard.connect(settings) as guard:
                unit = Item(
                    sku=Sku("unit"), name="Unit", price_minor=MinorUnits(100), currency="EUR", stock=100_000
                )
                async with asyncio.timeout(TIMEOUT_SECONDS):
                    new = NewSale("Bench", (unit,), id="bench")
                    while not isinstance(await guard.shop.create_sale(new, key="bench"), tuple):
                        await asyncio.sleep(0.1)  # the recorder is starting
                    while not isinstance(await guard.shop.change(SaleId("bench"), "open"), tuple):
                        await asyncio.sleep(0.1)
            with tempfile.TemporaryDirectory() as empty:
                unready = env | {"PYTHONPYCACHEPREFIX": empty, "PYTHONDONTWRITEBYTECODE": "1"}
                report = {
                    "machine": {"cores": os.cpu_count(), "python": sys.version.split()[0],
                                "load_before": round(os.getloadavg()[0], 1)},
                    "import": importing(env, COLD),
                    "import_without_pyc": importing(unready, BARE),
                    "bare_python_cpu_ms": bare(env),
                    "start_to_first_answer": await cold(env),
                    "restore_to_first_answer": restored(env),
                    "warm_frozen_between": await warm(env, freezes=True),
                    "warm": await warm(env, freezes=False),
                    "server_one_connection": await server(env),
                    "library_listening": await listening(settings),
                }  # fmt: skip
        finally:
            recorder.terminate()
            recorder.wait(10)
    report["machine"]["load_after"] = round(os.getloadavg()[0], 1)  # type: ignore[index]
    OUT.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


def bare(env: dict[str, str]) -> float:
    """Return the CPU time of a Python that does nothing: it shows how busy the machine was."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(COLD):
        subprocess.run([sys.executable, "-c", "pass"], env=env, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ms((after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / COLD)


if __name__ == "__main__":
    asyncio.run(main())
