"""Which problems the clients return as values, and which they raise, is decided in one place."""

import re
from pathlib import Path

import msgspec
import pytest

from flashguard.client.answers import Answer, ProblemError, outcome
from flashguard.errors import ERRORS, OUTCOMES, Code, Problem
from flashguard.model import Refused

TYPESCRIPT = Path(__file__).parents[2] / "clients/typescript/src/answers.ts"


def answer(code: Code, problem: Problem) -> Answer:
    body = {"code": code, "detail": problem.title}
    return Answer(problem.status, {}, msgspec.json.encode(body))


def test_every_code_is_an_outcome_or_an_error() -> None:
    assert sorted([*OUTCOMES, *ERRORS]) == sorted(Code)


def test_the_python_client_returns_outcomes_and_raises_errors() -> None:
    for code, problem in OUTCOMES.items():
        found = outcome(answer(code, problem))
        assert isinstance(found, Refused)
        assert found.code == code
    for code, problem in ERRORS.items():
        with pytest.raises(ProblemError):
            outcome(answer(code, problem))


def test_the_typescript_client_returns_the_same_outcomes() -> None:
    text = TYPESCRIPT.read_text()
    [statuses] = re.findall(r"const OUTCOME_STATUS = new Set\(\[(.*)\]\);", text)
    [codes] = re.findall(r"const OUTCOME_CODES = new Set\(\[(.*)\]\);", text)
    returned = {
        code
        for code, problem in (OUTCOMES | ERRORS).items()
        if str(problem.status) in statuses.split(", ") or f'"{code}"' in codes.split(", ")
    }
    assert returned == set(OUTCOMES)
