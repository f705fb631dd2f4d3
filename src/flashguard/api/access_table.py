"""Who may make each call, read from the routes themselves: for the documentation, and for a test."""

from collections.abc import Iterator

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts

from .auth import Access


def decisions(app: FastAPI) -> Iterator[tuple[str, str, Access | None]]:
    """Every route's method and path, and its access; None where there is none."""
    for route in iter_route_contexts(app.routes):
        dependant: Dependant | None = getattr(route, "dependant", None)
        access = None if dependant is None else _access(dependant)
        for method in sorted(set(getattr(route, "methods", None) or ("GET",)) - {"HEAD"}):
            yield method, str(getattr(route, "path_format", getattr(route, "path", route))), access


def _access(dependant: Dependant) -> Access | None:
    for each in dependant.dependencies:
        found = each.call if isinstance(each.call, Access) else _access(each)
        if found is not None:
            return found
    return None
