"""Valkey, PostgreSQL and the recorder have short slices of the processor, and the API has the usual ones."""

import os
import re
from pathlib import Path

import asyncpg
import pytest

from flashguard.slices import SLICE_NS
from tests.support.eventually import eventually
from tests.support.real_stack import started


def slice_of(pid: int) -> int | None:
    """Returns a process' slice in nanoseconds; None where Linux doesn't show it."""
    found = re.search(r"^se\.slice\s*:\s*(\d+)", Path(f"/proc/{pid}/sched").read_text(), re.MULTILINE)
    return int(found[1]) if found else None


async def test_servers_and_recorder_take_short_slices_and_the_api_does_not(http) -> None:
    usual = slice_of(os.getpid())
    release = tuple(int(part) for part in re.findall(r"\d+", os.uname().release)[:2])
    if usual is None or release < (6, 12):
        pytest.skip("this kernel has no slices of a process' own, or doesn't show them")
    async with started(http) as stack:
        ledger = await asyncpg.connect(stack.servers.database_url)
        backend = await ledger.fetchval("SELECT pg_backend_pid()")
        servers = [backend, stack.servers.postgres.pid, stack.servers.valkey.pid]
        assert [slice_of(pid) for pid in servers] == [SLICE_NS] * 3
        await ledger.close()

        async def recorder_is_short() -> bool:
            return slice_of(stack.children["recorder"].pid) == SLICE_NS

        await eventually(recorder_is_short, "the recorder has short slices")
        assert slice_of(stack.children["api"].pid) == usual
