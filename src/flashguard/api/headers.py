"""Request headers, as the framework's endpoints declare them."""

from typing import Annotated, Any

from fastapi import Header

from flashguard.model import MAX_KEY


def _key(description: str) -> Any:
    return Header(
        description=description,
        json_schema_extra={"minLength": 1, "maxLength": MAX_KEY, "pattern": '^(?!""$)[!-~]([ -~]*[!-~])?$'},
    )


IdempotencyKey = Annotated[
    str | None, _key("The same key again answers the first outcome; another body is refused.")
]
TokenKey = Annotated[
    str | None,
    _key(
        "The same key with the same request makes a token of the same id; with another request, of another."
    ),
]
"""Of a token, which is not stored: there is no first outcome to compare another request with."""
