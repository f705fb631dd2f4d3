"""Shapes answers as redis-py does, where that differs from the protocol."""

from collections.abc import Callable
from typing import Any, Final


def _pairs(flat: list[Any]) -> dict[Any, Any]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _entries(raw: list[Any] | None) -> list[tuple[bytes, dict[bytes, bytes]]]:
    return [(id_, _pairs(fields)) for id_, fields in raw or ()]


def _streams(raw: list[Any] | None) -> list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]:
    return [(name, _entries(entries)) for name, entries in raw or ()]


def _info(raw: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in raw.decode().splitlines() if not line.startswith("#"))
    return {name: value for name, colon, value in lines if colon}


SHAPES: Final[dict[str, Callable[[Any], Any]]] = {
    "HGETALL": _pairs,
    "SMEMBERS": set,
    "XRANGE": _entries,
    "XREAD": _streams,
    "INFO": _info,
}


def shaped(command: tuple[Any, ...], answer: Any) -> Any:
    """Return a command's answer in redis-py's shape."""
    shape = SHAPES.get(command[0])
    return shape(answer) if shape is not None else answer
