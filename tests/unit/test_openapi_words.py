"""The contract explains itself: each call, parameter and property has its words, and valid examples."""

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from pydantic import SecretStr

from flashguard.api.app import create_app
from flashguard.api.openapi.examples import ANSWERS
from flashguard.api.openapi.in_schemas import IN_SCHEMA
from flashguard.api.openapi.vocabulary import PARAMETERS, WORDS
from flashguard.api.responses.problems import MEDIA_TYPE
from flashguard.api.security import OPEN, rights_of
from flashguard.settings import Mode, Settings

PRODUCTION = Settings(mode=Mode.PRODUCTION, admin_key=SecretStr("fg_admin_0123456789-of-the-tests"))
DOCUMENT: dict[str, Any] = create_app().openapi()
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
CALLS = [
    (f"{method.upper()} {path}", call)
    for path, methods in DOCUMENT["paths"].items()
    for method, call in methods.items()
]


def contents(call: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """What a call takes and answers, problems excepted: which, its media type, its schema and example."""
    for kind, content in call.get("requestBody", {}).get("content", {}).items():
        yield "request", kind, content
    for status, answer in call["responses"].items():
        for kind, content in answer.get("content", {}).items():
            if kind != MEDIA_TYPE:
                yield status, kind, content


def says_nothing(example: Any) -> bool:
    """Whether an example is a placeholder or has one: null (but for a property), an empty object, "text"."""
    if isinstance(example, dict):
        return not example or any(value is not None and says_nothing(value) for value in example.values())
    if isinstance(example, list):
        return any(says_nothing(value) for value in example)
    return example in (None, "text")


def shapes(schema: Any, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """All properties of a schema and of what stands within it: where, and their shape."""
    if isinstance(schema, dict):
        for property_, shape in schema.get("properties", {}).items():
            yield f"{name}.{property_}", shape
        for keyword, inner in schema.items():
            if keyword not in ("example", "examples", "default", "const", "enum"):
                of = inner.values() if keyword == "properties" else [inner]
                for each in of:
                    yield from shapes(each, name)
    elif isinstance(schema, list):
        for each in schema:
            yield from shapes(each, name)


def test_every_call_has_a_tag_and_a_sentence() -> None:
    assert [name for name, call in CALLS if not (call.get("tags") and call.get("description"))] == []


def test_every_parameter_and_every_property_is_described() -> None:
    lacks = [
        f"{name}: {parameter['name']}"
        for name, call in CALLS
        for parameter in call.get("parameters", ())
        if not parameter.get("description")
    ]
    found = [each for name, schema in SCHEMAS.items() for each in shapes(schema, name)]
    found += [
        each
        for name, call in CALLS
        for _, _, content in contents(call)
        for each in shapes(content["schema"], name)
    ]
    assert len(found) > 400
    lacks += [where for where, shape in found if not shape.get("description")]
    assert lacks == [], "give each a description, or its name a word in api/openapi/vocabulary.py"


@pytest.mark.parametrize(("name", "call"), CALLS, ids=[name for name, _ in CALLS])
def test_every_request_and_every_answer_has_an_example_that_is_valid(name: str, call: dict[str, Any]) -> None:
    takes_or_gives = list(contents(call))
    assert takes_or_gives or "204" in call["responses"]
    for which, kind, content in takes_or_gives:
        assert "example" in content, (name, which, kind)
        assert not says_nothing(content["example"]), (name, which, content["example"])
        if kind == "application/json":
            schema = content["schema"] | {"components": DOCUMENT["components"]}
            validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
            assert [error.message for error in validator.iter_errors(content["example"])] == [], (name, which)


@pytest.mark.parametrize(("name", "call"), CALLS, ids=[name for name, _ in CALLS])
def test_every_answer_says_when_it_comes_and_a_problem_has_one_media_type(
    name: str, call: dict[str, Any]
) -> None:
    for status, answer in call["responses"].items():
        assert answer["description"], (name, status)
        kinds = set(answer.get("content", {}))
        assert kinds in ({MEDIA_TYPE}, {"application/json"}) if status >= "400" else MEDIA_TYPE not in kinds


def test_the_examples_of_properties_are_valid() -> None:
    for name, schema in SCHEMAS.items():
        for property_, shape in schema.get("properties", {}).items():
            validator = jsonschema_rs.Draft202012Validator(shape | {"components": DOCUMENT["components"]})
            assert all(validator.is_valid(each) for each in shape.get("examples", ())), f"{name}.{property_}"


def test_every_word_is_used() -> None:
    properties = {name for schema in SCHEMAS.values() for name in schema.get("properties", {})}
    assert set(WORDS) <= properties
    of_schemas = {
        f"{name}.{each}" for name, schema in SCHEMAS.items() for each in schema.get("properties", {})
    }
    assert set(IN_SCHEMA) <= of_schemas
    assert set(ANSWERS) <= {name for name, _ in CALLS}
    assert set(PARAMETERS) <= {each["name"] for _, call in CALLS for each in call.get("parameters", ())}


def test_the_contract_says_which_calls_need_no_key() -> None:
    development, production = DOCUMENT, create_app(PRODUCTION).openapi()
    for method, path, right in rights_of(create_app()):
        call = development["paths"].get(path, {}).get(method.lower())
        if call is None:  # the documentation itself
            assert path in OPEN
            continue
        bearer = [] if right is None else [{"bearer": []}]
        assert production["paths"][path][method.lower()]["security"] == bearer, path
        assert call["security"] == ([{}, *bearer] if right is not None and right.for_anonymous else bearer), (
            path
        )


def test_the_calls_are_found_at_all() -> None:
    assert len(CALLS) >= 57
    assert sum(len(list(contents(call))) for _, call in CALLS) >= 75


@pytest.mark.parametrize(("name", "call"), CALLS)
def test_a_call_whose_query_may_be_too_long_says_414(name: str, call: dict[str, Any]) -> None:
    has_query = any(parameter["in"] == "query" for parameter in call.get("parameters", ()))
    assert ("414" in call["responses"]) == (has_query and " /v1/" in name)
