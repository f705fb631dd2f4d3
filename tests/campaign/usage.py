"""Measures what each part of an installation uses: memory, files, connections, the journal's length."""

import re
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from flashguard.kernel import keys
from tests.campaign.processes import children
from tests.campaign.up_stack import UpStack

ESTABLISHED = "01"
Sample = dict[str, float]


def memory_mb(pid: int) -> float:
    """Return a process's memory; shared memory is divided among its users."""
    found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


def files(pid: int) -> list[str]:
    """Return the targets of a process's file descriptors."""
    found = []
    for each in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.append(str(each.readlink()))
        except FileNotFoundError:  # closed at this moment
            continue
    return found


def accepted(port: int) -> set[str]:
    """Return the sockets of connections to this port, at the listening side, as `files` names them."""
    found = set()
    for family in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{family}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == ESTABLISHED and int(fields[1].rpartition(":")[2], 16) == port:
                found.add(f"socket:[{fields[9]}]")
    return found


async def sample(stack: UpStack, partitions: int) -> Sample:
    """Return what each part uses now. The api's client connections are separate: clients control them."""
    seen: Sample = {}
    clients = accepted(stack.port)
    for part, pid in stack.run.pids.items():
        family = [pid, *children(pid)]
        try:
            open_files = [name for each in family for name in files(each)]
            seen[f"{part} MB"] = round(sum(map(memory_mb, family)), 1)
        except OSError:  # it has just ended
            continue
        served = sum(name in clients for name in open_files)
        seen[f"{part} files"] = len(open_files) - served
        if part == "api":
            seen["api clients"] = served
    client = Redis(unix_socket_path=stack.memory_socket)
    try:
        seen["journal entries"] = max([await client.xlen(keys.journal(each)) for each in range(partitions)])
    except (OSError, RedisError):
        pass
    finally:
        await client.aclose()
    return seen
