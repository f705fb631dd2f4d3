"""Short slices of the processor, for processes whose work on it is short.

A buy passes through five processes and waits for two of them to write to disk. Where they share processors,
each wake-up may wait for the rest of another process' slice: up to 4 ms, on a kernel with 250 ticks per
second. Since 6.12, Linux lets a process with a shorter slice go first. Its share of the processor stays the
same; see docs/decisions/0024.
"""

import ctypes
import os
import struct
import sys
from typing import Final

SLICE_NS: Final = 100_000
"""The shortest slice that Linux takes."""
CALLS: Final = {"x86_64": (315, 314), "aarch64": (275, 274)}
"""The numbers of sched_getattr and sched_setattr, by machine: Python has neither."""
ATTRIBUTES: Final = struct.Struct("=IIQiIQQQ")
"""`struct sched_attr`: size, policy, flags, nice, priority, runtime (here the slice), deadline, period."""


def take_short_slices(pid: int = 0) -> None:
    """Ask Linux for short slices for a process and those that it starts; 0 is this one.

    An older kernel ignores it, and a process with another policy than the usual one keeps what it has.
    """
    calls = CALLS.get(os.uname().machine)
    if calls is None or sys.platform != "linux":
        return
    get_attributes, set_attributes = calls
    syscall = ctypes.CDLL(None).syscall
    found = ctypes.create_string_buffer(ATTRIBUTES.size)
    if syscall(get_attributes, pid, found, ATTRIBUTES.size, 0) != 0:
        return
    size, policy, flags, nice, priority, _, deadline, period = ATTRIBUTES.unpack(found.raw)
    if policy == os.SCHED_OTHER:
        wanted = ATTRIBUTES.pack(size, policy, flags, nice, priority, SLICE_NS, deadline, period)
        syscall(set_attributes, pid, wanted, 0)
