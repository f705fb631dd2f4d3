"""Decides whether and when a request is retried; the clients only wait and send."""

import random
from email.utils import parsedate_to_datetime
from time import monotonic, time
from typing import Final

from msgspec import Struct

from flashguard.errors import Code
from flashguard.model.whole import whole_number

from .answers import Answer, NoAnswer, code_of, problem_of

TRANSIENT: Final = (500, 502, 503, 504)
"""Temporary errors of the service or of a proxy. The request may have taken effect."""


class Retry(Struct, frozen=True, kw_only=True):
    """Bounds on the retries of a client.

    Parameters:
        most_tries: maximum attempts of a request.
        most_seconds: maximum seconds in all, including waits.
        first_wait_seconds: wait before the second attempt where the service names none; then it doubles.
        longest_wait_seconds: maximum of these waits.
    """

    most_tries: int = 10
    most_seconds: float = 30.0
    first_wait_seconds: float = 0.1
    longest_wait_seconds: float = 5.0


class Attempts:
    """The attempts of one request."""

    def __init__(self, retry: Retry, key: str | None) -> None:
        self._retry = retry
        self._key = key
        self._deadline = monotonic() + retry.most_seconds
        self._made = 0

    @property
    def seconds_left(self) -> float:
        """Seconds that the next attempt may take."""
        return max(0.05, self._deadline - monotonic())

    def wait_after(self, got: Answer | Exception) -> float | None:
        """Return how long to wait before the next attempt; None if `got` is the final answer.

        Parameters:
            got: the answer, or the error in its place.

        Raises:
            NoAnswer: that was the last attempt.
            ProblemError: the service refused the request and asks for a longer wait than allowed.
        """
        self._made += 1
        if isinstance(got, Answer) and not _is_retryable(got):
            return None
        retry_after = _retry_after(got) if isinstance(got, Answer) else None
        wait = self._backoff() if retry_after is None else retry_after
        if self._made < self._retry.most_tries and monotonic() + wait < self._deadline:
            return wait
        if isinstance(got, Answer) and got.status == 429:
            raise problem_of(got)
        last = str(problem_of(got)) if isinstance(got, Answer) else f"{type(got).__name__}: {got}"
        raise NoAnswer(last, self._key)

    def _backoff(self) -> float:
        """Return a doubling, bounded wait; half of it random, so that buyers who failed together spread
        out."""
        whole: float = min(
            self._retry.longest_wait_seconds, self._retry.first_wait_seconds * 2.0 ** min(self._made - 1, 20)
        )
        return whole * random.uniform(0.5, 1.0)  # noqa: S311 spreads load, protects nothing


def _is_retryable(answer: Answer) -> bool:
    if answer.status == 409:
        return code_of(answer) == Code.REQUEST_IN_FLIGHT
    return answer.status == 429 or answer.status in TRANSIENT


def _retry_after(answer: Answer) -> float | None:
    """Return the header's seconds, or its date as seconds from now (RFC 9110)."""
    text = answer.headers.get("retry-after", "").strip()
    seconds = whole_number(text)
    if seconds is not None:
        return float(seconds)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time())
    except ValueError:
        return None
