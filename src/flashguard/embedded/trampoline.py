"""The step between us and a child: it ties the child's life to ours, then becomes the child.

Run as a script, `python -I -S trampoline.py <parent pid> <signal> <uid>:<gid>|- <command…>`, so that it
imports nothing of ours and costs some 20 ms.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def die_with_parent(parent_pid: int, death_signal: int = signal.SIGKILL) -> None:
    """Has the kernel send `death_signal` to this process once its parent is gone, `kill -9` included.

    The kernel means the parent's *thread*: whoever starts a child must do so from a thread that lives on.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent_pid:  # it died before the kernel knew of our wish
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
