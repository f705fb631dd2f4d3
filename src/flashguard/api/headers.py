"""Request headers, as the framework's endpoints declare them."""

from typing import Annotated

from fastapi import Header

from flashguard.model import MAX_KEY

IdempotencyKey = Annotated[
    str | None,
    Header(
        description="The same key again answers the first outcome; another body is refused.",
        json_schema_extra={"minLength": 1, "maxLength": MAX_KEY, "pattern": '^(?!""$)[!-~]([ -~]*[!-~])?$'},
    ),
]
