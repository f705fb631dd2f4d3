"""Runs wrk and reads the counts of its script."""

import asyncio
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec

from flashguard.errors import ConfigurationError, FlashGuardError

LUA = Path(__file__).parent / "lua"
TIMEOUT_SECONDS = 30
"""An answer that takes longer counts as broken."""
MARK = "BENCH "


class Count(msgspec.Struct):
    """One run of wrk: answers by outcome, latencies over all of them, and broken connections."""

    seconds: float
    answers: dict[str, int]
    by_second: dict[str, int]
    """The same, with the second in front: "1700000000 201"; empty unless it was asked for."""
    p50_ms: float
    p99_ms: float
    max_ms: float
    broken: dict[str, int]


def needed() -> str:
    """Return the path of wrk.

    Raises:
        ConfigurationError: it is not installed.
    """
    found = shutil.which("wrk")
    if found is None:
        raise ConfigurationError(
            "The benchmark's load comes from wrk, which is not installed. On Debian and Ubuntu: "
            "apt-get install wrk (as root; `make bench` then does it by itself)."
        )
    return found


async def run(
    url: str, script: str, variables: Mapping[str, str], *, connections: int, seconds: int
) -> Count:
    """Run wrk against one address.

    Parameters:
        script: a file of `lua/`.
        variables: what the script reads, without the prefix BENCH_.

    Raises:
        FlashGuardError: wrk failed.
    """
    env = os.environ | {f"BENCH_{name}": value for name, value in variables.items()}
    process = await asyncio.create_subprocess_exec(
        needed(), "-t1", f"-c{connections}", f"-d{seconds}s", f"--timeout={TIMEOUT_SECONDS}s",
        "-s", str(LUA / f"{script}.lua"), url,
        env=env | {"BENCH_LUA": str(LUA)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(seconds + TIMEOUT_SECONDS):
            output, _ = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    text = output.decode(errors="replace")
    line = next((line for line in text.splitlines() if line.startswith(MARK)), None)
    if line is None:
        raise FlashGuardError(f"wrk failed on {url}:\n{text}")
    return msgspec.json.decode(line.removeprefix(MARK), type=Count)
