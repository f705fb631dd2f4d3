"""The errors that a Valkey/Redis answers, and those of an answer that is lost.

The names are redis-py's. Importing redis-py takes longer than importing the whole kernel, and a Lambda
instance imports while a buyer waits.
"""


class RedisError(Exception):
    """A command has no answer, or its answer is an error."""


class LostConnection(RedisError):
    """The connection is gone; whether the command took effect is not known."""


class AnswerTimeout(RedisError):
    """The answer is late; whether the command took effect is not known."""


class AuthenticationError(LostConnection):
    """The server refuses the user or the password."""


class BusyLoadingError(LostConnection):
    """The server is still loading its data; nothing was done."""


class ResponseError(RedisError):
    """The server answers that it did not do it, or not all of it."""


class NoScriptError(ResponseError):
    """The server does not have this script; nothing was done."""


class ReadOnlyError(ResponseError):
    """The server is a replica; nothing was done."""


class TryAgainError(ResponseError):
    """The keys of this slot are being moved; nothing was done."""


class ClusterDownError(ResponseError):
    """No node has the slot; nothing was done."""


class AskError(ResponseError):
    """Another node has the key for this one command: `<slot> <host>:<port>`; nothing was done."""

    def __init__(self, where: str) -> None:
        super().__init__(where)
        slot, _, place = where.partition(" ")
        host, _, port = place.rpartition(":")
        self.slot = int(slot)
        self.host = host
        self.port = int(port)


class MovedError(AskError):
    """Another node has the slot of the key from now on; nothing was done."""
