"""Adds a description to each name and an example to each request and answer of the OpenAPI document.

Imported when the document is generated. Examples are composed from the examples of their names, so that a new
field needs only one entry in `vocabulary`.
"""

from typing import Any, Final

from .in_schemas import IN_SCHEMA
from .vocabulary import LATER, NOW, PARAMETERS, WORDS

JSON: Final = "application/json"
TEXTS: Final = {
    "text/csv": "sale,sku,price_minor,currency,stock\nmugs,mug,999,EUR,500\n",
    "text/plain": "flashguard_script_calls_total 1234.0\n",
    "text/event-stream": 'event: ping\ndata: {"at":"2027-05-01T10:00:00.123000Z"}\n\n',
}
MAX_DEPTH: Final = 12
"""Levels of nested schemas; an audit contains audits."""
CONFIRMED: Final = {"status": "confirmed", "confirmed_at": NOW, "receipt": None}
TEST_EVENT: Final = {
    "type": "webhook.test", "sale_id": "", "reservation_id": None, "state": "pending", "attempts": 0,
    "next_attempt_at": NOW, "last_attempt_at": None, "status": None, "took_ms": None,
}  # fmt: skip
ANSWERS: Final[dict[str, dict[str, Any]]] = {
    "POST /v1/sales": {"status": "draft"},
    "POST /v1/sales/{sale}/pause": {"status": "paused"},
    "POST /v1/sales/{sale}/close": {"status": "closed"},
    "POST /v1/sales/{sale}/orders": CONFIRMED | {"expires_at": None},
    "POST /v1/reservations/{id}/confirm": CONFIRMED,
    "POST /v1/reservations/{id}/release": {"status": "released", "receipt": None},
    "POST /v1/orders/{id}/cancel": CONFIRMED
    | {"status": "cancelled", "cancelled_at": LATER, "restocked": True, "cancel_reason": "wrong size"},
    "DELETE /v1/waiting-list/{id}": {"status": "left", "place": None},
    "POST /v1/keys/{id}/revoke": {"status": "revoked", "revoked_at": LATER},
    "POST /v1/simulations/{id}/stop": {"status": "stopped"},
    "POST /v1/webhooks": {"secret": "whsec_c2hvd24gb25jZQ=="},
    "POST /v1/webhooks/{id}/test": TEST_EVENT,
    "POST /v1/webhooks/{id}/rotate-secret": {"secret": "whsec_c2hvd24gb25jZQ==", "old_secret_until": LATER},
}
"""By call: the fields in which its answer differs from other answers of the same schema."""


def add_words(document: dict[str, Any]) -> None:
    """Give every property and parameter a description, and every request and answer an example."""
    schemas: dict[str, Any] = document["components"]["schemas"]
    for schema, shape in schemas.items():
        for name, property_ in shape.get("properties", {}).items():
            _describe(property_, schema, name)
    for path, methods in document["paths"].items():
        for method, call in methods.items():
            for parameter in call.get("parameters", ()):
                _describe_parameter(parameter)
            body = call.get("requestBody", {}).get("content", {})
            for kind, content in body.items():
                _add(content, kind, schemas, {})
            for status, answer in call["responses"].items():
                if status < "300":
                    different = ANSWERS.get(f"{method.upper()} {path}", {})
                    for kind, content in answer.get("content", {}).items():
                        _add(content, kind, schemas, different)


def _describe(property_: dict[str, Any], schema: str, name: str) -> None:
    own = IN_SCHEMA.get(f"{schema}.{name}")
    words = own or WORDS.get(name)
    if words is None:
        return
    if own or "description" not in property_:
        property_["description"] = words[0]
    example = words[1]
    if example is not None and (own or "examples" not in property_) and _fits(property_, example):
        property_["examples"] = [example]


def _fits(property_: dict[str, Any], example: object) -> bool:
    """Return whether an example fits the type: the same name may be a list in one schema and a number in
    another."""
    types = {each.get("type") for each in property_.get("anyOf", [property_])}
    types |= {"string" for each in property_.get("anyOf", [property_]) if "enum" in each}
    kinds = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}
    named = kinds[type(example)]
    values = [value for each in property_.get("anyOf", [property_]) for value in each.get("enum", ())]
    return (named in types or (named == "integer" and "number" in types)) and (
        not values or example in values
    )


def _describe_parameter(parameter: dict[str, Any]) -> None:
    words = PARAMETERS.get(parameter["name"])
    if words is not None:
        parameter.setdefault("description", words[0])
        if words[1] is not None:
            parameter.setdefault("example", words[1])


def _add(content: dict[str, Any], kind: str, schemas: dict[str, Any], different: dict[str, Any]) -> None:
    if "example" in content or "examples" in content:
        return
    if kind in TEXTS:
        content["example"] = TEXTS[kind]
        return
    example = example_of(content.get("schema", {}), schemas)
    content["example"] = example | different if isinstance(example, dict) else example


def example_of(schema: dict[str, Any], schemas: dict[str, Any], depth: int = 0) -> Any:
    """Return an example of the schema: its own, or one composed of the examples of its parts."""
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].rpartition("/")[2]], schemas, depth + 1)
    if schema.get("examples"):
        return schema["examples"][0]
    for name in ("const", "default"):
        if name in schema:
            return schema[name]
    if "enum" in schema:
        return schema["enum"][0]
    kinds = [each for name in ("anyOf", "oneOf", "allOf") for each in schema.get(name, ())]
    if kinds:
        nothing = any(each.get("type") == "null" for each in kinds)
        return None if nothing and depth else example_of(kinds[0], schemas, depth + 1)
    return _of_type(schema, schemas, depth)


def _of_type(schema: dict[str, Any], schemas: dict[str, Any], depth: int) -> Any:
    kind = schema.get("type")
    if kind == "object" or "properties" in schema:
        properties = schema.get("properties", {}).items()
        return {name: example_of(each, schemas, depth + 1) for name, each in properties}
    if kind == "array":
        if depth > MAX_DEPTH or (depth and _is_own(schema, schemas)):
            return []
        return [example_of(each, schemas, depth + 1) for each in _items(schema)]
    return {"integer": schema.get("minimum", 1), "number": 1.0, "boolean": True}.get(kind or "")


def _items(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return schema.get("prefixItems") or [schema.get("items", {})]


def _is_own(schema: dict[str, Any], schemas: dict[str, Any]) -> bool:
    """Return whether the schema lists its own kind, as an audit lists the audits of its shards."""
    name = schema.get("items", {}).get("$ref", "").rpartition("/")[2]
    properties = schemas.get(name, {}).get("properties", {}).values()
    return any(each.get("items", {}).get("$ref", "").endswith(f"/{name}") for each in properties)
