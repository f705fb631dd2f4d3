"""When a request is sent again, and after how long: decided here; the clients only wait and send."""

import random
from email.utils import parsedate_to_datetime
from time import monotonic, time
from typing import Final

from msgspec import Struct

from flashguard.errors import Code

from .answers import Answer, NoAnswer, code_of, problem_of

TRANSIENT: Final = (500, 502, 503, 504)
"""The service, or a proxy in front of it, for the moment. Whether the request took effect is not known."""


class Retry(Struct, frozen=True, kw_only=True):
    """How patient a client is.

    Parameters:
        most_tries: how often a request is sent at most.
        most_seconds: how long it may take in all, waits included.
        first_wait_seconds: before the second try, where the service did not say; then it doubles.
        longest_wait_seconds: the bound on that.
    """

    most_tries: int = 10
    most_seconds: float = 30.0
    first_wait_seconds: float = 0.1
    longest_wait_seconds: float = 5.0


class Tries:
    """The tries of one request."""

    def __init__(self, retry: Retry, key: str | None) -> None:
        self._retry = retry
        self._key = key
        self._deadline = monotonic() + retry.most_seconds
        self._made = 0

    @property
    def seconds_left(self) -> float:
        """How long the next try may take."""
        return max(0.05, self._deadline - monotonic())

    def wait_after(self, got: Answer | Exception) -> float | None:
        """How long to wait before the next try; None when what came is the answer.

        Parameters:
            got: the answer, or why there is none.

        Raises:
            NoAnswer: that was the last try.
            ProblemError: the service asks for more patience than there is, and did nothing.
        """
        self._made += 1
        if isinstance(got, Answer) and not _again(got):
            return None
        told = _retry_after(got) if isinstance(got, Answer) else None
        wait = self._backoff() if told is None else told
        if self._made < self._retry.most_tries and monotonic() + wait < self._deadline:
            return wait
        if isinstance(got, Answer) and got.status == 429:
            raise problem_of(got)
        last = str(problem_of(got)) if isinstance(got, Answer) else f"{type(got).__name__}: {got}"
        raise NoAnswer(last, self._key)

    def _backoff(self) -> float:
        """Doubling and bounded; half of it by chance, so that buyers who were cut off together spread out."""
        whole: float = min(
            self._retry.longest_wait_seconds, self._retry.first_wait_seconds * 2.0 ** min(self._made - 1, 20)
        )
        return whole * random.uniform(0.5, 1.0)  # noqa: S311 this spreads load, it guards nothing


def _again(answer: Answer) -> bool:
    if answer.status == 409:
        return code_of(answer) == Code.REQUEST_IN_FLIGHT
    return answer.status == 429 or answer.status in TRANSIENT


def _retry_after(answer: Answer) -> float | None:
    """The header's seconds, or its date as seconds from now (RFC 9110)."""
    text = answer.headers.get("retry-after", "").strip()
    if text.isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time())
    except ValueError:
        return None
