"""Turns exceptions into problems."""

from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from flashguard.api.openapi.contract import methods_of
from flashguard.api.responses.problems import RefusedError, away_problem, invalid_body, problem
from flashguard.errors import Code
from flashguard.kernel.errors import MemoryAway
from flashguard.ledger import LedgerAway
from flashguard.model import Refused

PARSING_FAILED: Final = "There was an error parsing the body"
"""The framework's message for JSON that fails for another reason than its grammar."""
UNREADABLE: Final = "body: can't read this JSON; it is nested too deeply, or a number has too many digits"
NO_JSON: Final = "Content-Type: must be application/json"


def _validation_problem(_: Request, error: RequestValidationError) -> Response:
    found = error.errors()
    if any(item["loc"] == ("body",) and isinstance(item.get("input"), bytes) for item in found):
        return problem(
            Refused(code=Code.INVALID_REQUEST, detail=NO_JSON)
        )  # the framework did not parse the body as JSON
    return _problem_error(_, invalid_body(found))


def _http_problem(request: Request, error: HTTPException) -> Response:
    status = error.status_code
    if status == 405:
        methods = methods_of(request.app, request.url.path)
        error.headers = {"Allow": ", ".join(methods)} if methods else error.headers
    detail = UNREADABLE if error.detail == PARSING_FAILED else str(error.detail)
    response = problem(
        Refused(code=Code.INVALID_REQUEST, detail=detail), status=status, title=str(error.detail)
    )
    response.more += [
        (name.lower().encode(), value.encode()) for name, value in (error.headers or {}).items()
    ]
    return response


def _away_problem(_: Request, error: Exception) -> Response:
    return away_problem(error)


def _problem_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    return problem(error.refused, **error.more)


def install(app: FastAPI) -> None:
    """Register the handlers that make every error of the app a problem."""
    app.add_exception_handler(RequestValidationError, _validation_problem)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, _http_problem)  # type: ignore[arg-type]
    app.add_exception_handler(RefusedError, _problem_error)
    app.add_exception_handler(MemoryAway, _away_problem)
    app.add_exception_handler(LedgerAway, _away_problem)
