"""The step before a child: ties its life to its parent's, then becomes the child.

Run as a script, `python -I -S trampoline.py <parent pid> <signal> <uid>:<gid>|- <command…>`, so that it
imports none of FlashGuard's modules and costs about 20 ms.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def die_with_parent(parent_pid: int, death_signal: int = signal.SIGKILL) -> None:
    """Ask Linux to send `death_signal` to this process when its parent dies, including by `kill -9`.

    Linux watches the parent's *thread*: start a child from a thread that lives as long as the child should.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent_pid:  # the parent died before the request
        os.kill(os.getpid(), signal.SIGKILL)


def become(parent_pid: int, death_signal: int, account: str, command: list[str]) -> None:
    if account != "-":
        uid, gid = (int(part) for part in account.split(":"))
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    os.umask(0o077)
    die_with_parent(parent_pid, death_signal)  # after setuid, which would clear it
    for ignored_by_python in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored_by_python, signal.SIG_DFL)
    os.execvp(command[0], command)  # noqa: S606


if __name__ == "__main__":
    try:
        become(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:])
    except OSError as problem:
        sys.exit(f"{sys.argv[4]}: {problem}")
