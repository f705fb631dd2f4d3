"""What a shop attaches to a hold or an order, to find it again: a reference of its own, and metadata."""

from collections.abc import Mapping
from typing import Any, Final

from .names import MAX_NAME, is_name, is_str

MAX_METADATA: Final = 16
"""Names of one reservation's metadata."""
MAX_VALUE: Final = 512
"""Characters of a value."""
REFERENCE: Final = f"reference: 1 to {MAX_NAME} printable characters"
METADATA: Final = (
    f"metadata: at most {MAX_METADATA} names of 1 to {MAX_NAME} printable characters, each with a text of at "
    f"most {MAX_VALUE} characters"
)
NAMES: Final = ("reference", "metadata")


def invalid_attached(reference: object, metadata: object) -> str | None:
    """Return what is wrong with a reference and metadata, as a sentence; None when nothing is."""
    if reference is not None and not (is_str(reference) and is_name(reference)):
        return REFERENCE
    if metadata is None:
        return None
    if not isinstance(metadata, Mapping) or len(metadata) > MAX_METADATA:
        return METADATA
    is_valid = all(is_str(name) and is_name(name) and _is_value(text) for name, text in metadata.items())
    return None if is_valid else METADATA


def attached(reference: str | None, metadata: Mapping[str, str] | None) -> dict[str, Any] | None:
    """Return a valid reference and metadata as a reservation's details have them; None where there is
    nothing."""
    details: dict[str, Any] = {}
    if reference is not None:
        details["reference"] = reference
    if metadata:
        details["metadata"] = dict(metadata)
    return details or None


def _is_value(text: object) -> bool:
    """Return whether PostgreSQL keeps the text as it is: without NUL, and not half a character."""
    if not is_str(text) or len(text) > MAX_VALUE or "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
