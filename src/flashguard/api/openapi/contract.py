"""Completes the OpenAPI document: answers that every call may give, links between calls, and which need a
key."""

import re
from functools import lru_cache
from typing import Any, Final

from fastapi import FastAPI

from flashguard.api.responses.problems import MEDIA_TYPE
from flashguard.api.schemas.answers import problems
from flashguard.api.security import rights_of
from flashguard.settings import Mode

ANY: Final = problems(401, 422, 429, 503)
WITH_BODY: Final = problems(400, 413)
WITH_QUERY: Final = problems(414)
TITLES: Final = {
    "400": "The body is not JSON",
    "401": "A valid key is required",
    "413": "The body is too large",
    "414": "The address is too long",
    "422": "The request is not valid",
    "429": "Too many requests",
    "503": "Recovering, or over a limit",
}
MADE: Final[tuple[tuple[str, str, str, dict[str, str]], ...]] = (
    ("/v1/sales", "sale", "/v1/sales/{sale}", {}),
    ("/v1/sales/{sale}/open", "sale", "/v1/sales/{sale}", {}),
    ("/v1/sales/{sale}/reservations", "id", "/v1/reservations/{id}", {}),
    ("/v1/sales/{sale}/orders", "id", "/v1/reservations/{id}", {}),
    (
        "/v1/sales/{sale}/tickets",
        "ticket",
        "/v1/sales/{sale}/tickets/{ticket}",
        {"sale": "$response.body#/sale_id"},
    ),
    ("/v1/webhooks", "id", "/v1/webhooks/{id}", {}),
    ("/v1/keys", "id", "/v1/keys/{id}", {}),
)
"""What a POST creates, and the prefix of the calls whose parameter is its `id`."""
BASKET: Final = {"customer": "ann", "items": [{"sku": "$response.body#/items/0/sku", "quantity": 1}]}
BASKET_CALLS: Final = ("/v1/sales/{sale}/reservations", "/v1/sales/{sale}/orders")
"""Calls whose link also has a body."""
FRAMEWORKS_OWN: Final = ("HTTPValidationError", "ValidationError")
"""FastAPI's schemas of an invalid request; FlashGuard answers with a problem instead."""


def install(app: FastAPI) -> None:
    """Make the app complete the document that the framework generates."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            _mark_security(app, _complete(made()))
        assert app.openapi_schema is not None  # FastAPI keeps the document there
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _complete(document: dict[str, Any]) -> dict[str, Any]:
    for path, methods in document["paths"].items():
        if not path.startswith("/v1/"):
            continue
        for call in methods.values():
            call["responses"].get("422", {}).pop("content", None)  # FastAPI's own, where a route names none
            has_query = any(parameter["in"] == "query" for parameter in call.get("parameters", ()))
            also = (WITH_BODY if "requestBody" in call else {}) | (WITH_QUERY if has_query else {})
            for status, answer in (ANY | also).items():
                said = call["responses"].setdefault(str(status), {"description": TITLES[str(status)]})
                said["content"] = answer["content"]
            call["responses"] = dict(sorted(call["responses"].items()))
    for path, name, about, more in MADE:
        if path in document["paths"]:
            _link(document["paths"], path, {name: "$response.body#/id", **more}, about)
    for methods in document["paths"].values():
        for call in methods.values():
            _keep_problem_type(call)
    for name in FRAMEWORKS_OWN:
        document["components"]["schemas"].pop(name, None)
    from .examples import add_words  # imported only when the document is generated

    add_words(document)
    return document


def _keep_problem_type(call: dict[str, Any]) -> None:
    """Remove the media type of the other answers, which the framework adds to problems."""
    for answer in call["responses"].values():
        content = answer.get("content", {})
        if MEDIA_TYPE in content:
            answer["content"] = {MEDIA_TYPE: content[MEDIA_TYPE]}


def _mark_security(app: FastAPI, document: dict[str, Any]) -> None:
    """Write into each call whether it needs a key in this service's mode."""
    production = app.state.settings.mode is Mode.PRODUCTION
    for method, path, right in rights_of(app):
        call = document["paths"].get(path, {}).get(method.lower())
        if call is not None and right is None:
            call["security"] = []
        elif call is not None and right is not None and right.for_anonymous and not production:
            call["security"] = [{}, *call["security"]]


def _link(paths: dict[str, Any], path: str, parameters: dict[str, str], about: str) -> None:
    answers = paths[path]["post"]["responses"]
    made = answers.get("201") or answers["200"]
    for other, methods in paths.items():
        named = {f"{{{name}}}" for name in parameters}
        if f"{other}/".startswith(f"{about}/") and named == set(re.findall(r"{\w+}", other)):
            for call in methods.values():
                link: dict[str, Any] = {"operationId": call["operationId"], "parameters": parameters}
                if other in BASKET_CALLS and "requestBody" in call:
                    link["requestBody"] = BASKET
                made.setdefault("links", {})[call["summary"]] = link


def methods_of(app: FastAPI, path: str) -> list[str]:
    """Return the methods of all routes of a path; the framework's own `Allow` names those of one route."""
    paths = app.openapi()["paths"]
    fitting = [template for template in paths if _pattern(template).fullmatch(path)]
    return sorted(method.upper() for method in paths[max(fitting, key=len)]) if fitting else []


@lru_cache(maxsize=256)
def _pattern(template: str) -> re.Pattern[str]:
    anything = re.escape(template).replace(r"\{sku\}", ".+")  # a sku may contain slashes
    return re.compile(re.sub(r"\\{\w+\\}", "[^/]+", anything))
