"""Who runs a command."""

import getpass
import socket


def user_here() -> str:
    """Return the user and the machine, as in `ann@host`: what the admin log says of a command."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in a container
        user = "unknown"
    return "".join(each for each in f"{user}@{socket.gethostname()}" if each.isascii() and each.isprintable())
