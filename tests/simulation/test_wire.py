"""What the simulation reads from the real servers, without one."""

import pytest

from tests.simulation.valkey import split


@pytest.mark.parametrize(
    "answers",
    [
        [b"+OK\r\n", b"*-1\r\n"],
        [b":1\r\n", b"$-1\r\n", b"$2\r\n\r\n\r\n"],
        [b"*2\r\n*1\r\n$3\r\n*1\r\r\n:5\r\n", b"*0\r\n", b"-ERR no\r\n"],
    ],
)
def test_answers_that_come_together_are_told_apart(answers: list[bytes]) -> None:
    assert split(b"".join(answers), len(answers)) == answers
