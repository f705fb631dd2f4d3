"""What a Valkey/Redis answers in place of an answer, and what it is called when none comes.

The same as redis-py's exceptions, without redis-py: importing that takes longer than all of the kernel, and a
Lambda instance imports it while a buyer waits.
"""


class RedisError(Exception):
    """A command has no answer, or its answer is an error."""


class LostConnection(RedisError):
    """The connection is gone; whether the command took effect is not known."""


class AnswerTimeout(RedisError):
    """None came in time; whether the command took effect is not known."""


class AuthenticationError(LostConnection):
    """The server wants another user or password."""


class BusyLoadingError(LostConnection):
    """The server still reads its data; nothing was done."""


class ResponseError(RedisError):
    """The server says that it did not do it, or not all of it."""


class NoScriptError(ResponseError):
    """The server does not have this script; nothing was done."""


class ReadOnlyError(ResponseError):
    """It is a replica; nothing was done."""


class TryAgainError(ResponseError):
    """The keys of this slot are just being moved; nothing was done."""


class ClusterDownError(ResponseError):
    """No node has the slot; nothing was done."""


class AskError(ResponseError):
    """The key is, for this once, at another node: `<slot> <host>:<port>`; nothing was done."""

    def __init__(self, where: str) -> None:
        super().__init__(where)
        slot, _, place = where.partition(" ")
        host, _, port = place.rpartition(":")
        self.slot = int(slot)
        self.host = host
        self.port = int(port)


class MovedError(AskError):
    """The key has moved to another node for good; nothing was done."""
