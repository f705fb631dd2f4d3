"""Write the tables that the code makes, and every figure of the benchmark, into the pages: `make docs`.

A block is between `<!-- from the code: NAME -->`, or `from the bench`, and `<!-- end -->`; the text around it
is written by hand. A test keeps the pages and their sources equal.
"""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import annotated_types
import typer
from pydantic.fields import FieldInfo
from typer.core import TyperArgument, TyperGroup, TyperOption

from flashguard.api.access import Scope
from flashguard.api.app import create_app
from flashguard.api.security import OPEN, rights_of
from flashguard.cli import app as command_line
from flashguard.errors import PROBLEMS, Code
from flashguard.settings import Settings

ROOT: Final = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # `bench` and `docs` are not installed

from docs import figures  # noqa: E402

PAGES: Final = (
    *sorted((ROOT / "docs" / "reference").glob("*.md")),
    ROOT / "README.md",
    ROOT / "docs" / "explanation" / "performance.md",
    ROOT / "docs" / "explanation" / "growth.md",
    ROOT / "docs" / "explanation" / "cost.md",
    ROOT / "docs" / "how-to" / "runbook.md",
)
BLOCK: Final = re.compile(r"(<!-- from the (?:code|bench): (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

WHAT_TO_DO: Final[dict[Code, str]] = {
    Code.SOLD_OUT: "Try again when a hold may have expired; `sku` and `available` say what is short.",
    Code.LIMIT_REACHED: "`sku` says of which item, `by` by which identity; neither: of the customer. "
    "Expired and released holds do not count.",
    Code.IDENTITY_REQUIRED: "Name `by` in `identities`, or in those of the buyer's token.",
    Code.HOLD_BUDGET_REACHED: "Confirm or release one; `limit` is the sale's. A direct order stays possible.",
    Code.COOLING_DOWN: "Hold again after `retry_after_seconds`. A direct order stays possible.",
    Code.NO_WAITING_LIST: "The shop can set `waiting_list`.",
    Code.WAITING_LIST_FULL: "`limit` is the size of the list.",
    Code.ALREADY_WAITING: "`detail` names the entry; leave it to join for another item.",
    Code.UNKNOWN_ENTRY: "Check the id.",
    Code.SALE_NOT_OPEN: "`detail` names the sale's status. Wait for `starts_at`, or give up.",
    Code.SALE_NOT_DRAFT: "pause it and restock, or close it and create another",
    Code.RESERVATION_EXPIRED: "Reserve again, with a new key.",
    Code.RESERVATION_RELEASED: "Reserve again, with a new key.",
    Code.RESERVATION_CONFIRMED: "It is an order; read it.",
    Code.RESERVATION_CANCELLED: "Reserve again, with a new key, while units are left.",
    Code.RESERVATION_HELD: "Release it; only an order can be cancelled.",
    Code.RESERVATION_AMENDED: "Read it, amend it again, then confirm.",
    Code.REQUEST_IN_FLIGHT: "Send the same request with the same key after `retry_after_seconds`.",
    Code.UNKNOWN_SALE: "Check the sale's id.",
    Code.UNKNOWN_ITEM: "`sku` names what the sale does not have.",
    Code.UNKNOWN_POOL: "Use a pool of the sale.",
    Code.UNKNOWN_LOCATION: "Use a location of the sale, for an item that has its stock at locations.",
    Code.ITEM_NOT_ON_SALE: "Tell the customer; holds of it can still be confirmed.",
    Code.ITEM_EXISTS: "Use another sku, or change the item.",
    Code.ITEM_IN_USE: "Take the item off sale instead.",
    Code.ROOM_IN_USE: "Close the sales that `detail` names first; of a draft, `room` can be set to null.",
    Code.UNKNOWN_RESERVATION: "Check the id.",
    Code.UNKNOWN_WEBHOOK: "Check the endpoint's id.",
    Code.UNKNOWN_PROVIDER: "Use a provider of FLASHGUARD_PAYMENT_PROVIDERS.",
    Code.UNKNOWN_PAYMENT: "Take the id from `GET /v1/payments`.",
    Code.PROVIDER_AWAY: "Nothing is lost: send the same request after `retry_after_seconds`.",
    Code.CURSOR_EXPIRED: "`detail` says why. Read what you need from the orders, then read the feed "
    "without a cursor.",
    Code.IDEMPOTENCY_MISMATCH: "Correct the caller: use one key for one request.",
    Code.INVALID_REQUEST: "`errors` says where and what. Also the code of unknown calls (404), wrong methods "
    "(405) and bodies that are too large (413).",
    Code.UNAUTHENTICATED: "Send `Authorization: Bearer` and a valid key.",
    Code.FORBIDDEN: "The key is valid, but not for this call; or the feature is turned off.",
    Code.RATE_LIMITED: "Wait for `retry_after_seconds`. `RateLimit` says which limit: "
    "per address, key or customer.",
    Code.OVERLOADED: "Nothing is lost: retry with the same key after `retry_after_seconds`.",
    Code.RECOVERING: "Nothing is lost: retry with the same key after `retry_after_seconds`.",
    Code.QUEUE_REQUIRED: "Get a ticket and wait for its `admission`. If you sent one, it has expired, or is "
    "for another buyer or sale.",
    Code.UNKNOWN_TICKET: "The buyer left, the session is over, or memory was lost: get a ticket again, and "
    "send the signed `ticket`, which keeps the place.",
    Code.PROOF_REQUIRED: "Get a challenge, solve it, and send the solution as `proof`; each is valid once.",
    Code.LEDGER_REFUSED: "Memory had lost data and granted what the ledger refused. Retry with a new key.",
}


def problems() -> Iterator[str]:
    yield "| code | status | means | what to do |"
    yield "|---|---|---|---|"
    for code, kind in PROBLEMS.items():
        yield f"| `{code}` | {kind.status} | {kind.title} | {WHAT_TO_DO[code]} |"


def settings() -> Iterator[str]:
    yield "| variable | default | bounds | what it is |"
    yield "|---|---|---|---|"
    told = _docstrings()
    for name, field in Settings.model_fields.items():
        text = " ".join((field.description or told[name]).split())
        yield f"| `FLASHGUARD_{name.upper()}` | {_default(field)} | {_bounds(field)} | {text} |"


def _docstrings() -> dict[str, str]:
    """Return the docstring under each field of the settings class."""
    source = Path(Settings.__module__.replace(".", "/"))
    text = (ROOT / "src" / source.with_suffix(".py")).read_text()
    return dict(re.findall(r'^    (\w+): [^\n]*\n    """(.*?)"""$', text, re.MULTILINE | re.DOTALL))


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is None or value == ():
        return "unset"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _bounds(field: FieldInfo) -> str:
    signs = {
        annotated_types.Ge: ("≥", "ge"),
        annotated_types.Gt: (">", "gt"),
        annotated_types.Le: ("≤", "le"),
    }
    parts = [
        f"{sign} {getattr(bound, name)}"
        for bound in field.metadata
        for sign, name in [signs.get(type(bound), ("", ""))]
        if sign
    ]
    return ", ".join(parts)


def calls() -> Iterator[str]:
    yield "| call | what it does | answers |"
    yield "|---|---|---|"
    for path, methods in create_app().openapi()["paths"].items():
        for method, call in methods.items():
            sentence = " ".join(call.get("description", call["summary"]).split("\n\n")[0].split())
            yield f"| `{method.upper()} {path}` | {sentence} | {' '.join(sorted(call['responses']))} |"


LOGGED_IN_PART: Final = {("POST", "/v1/reservations/{id}/amend"): "of an order"}


def access() -> Iterator[str]:
    yield "| call | `admin` | `shop` | `read` | buyer's token | no key, in development | in the admin log |"
    yield "|---|---|---|---|---|---|---|"
    for method, path, right in rights_of(create_app()):
        if right is None:
            if path in OPEN and path != "/openapi.json":
                open_to_all = f"yes | yes | yes | yes | yes, in production too: {OPEN[path]}"
                yield f"| `{method} {path}` | {open_to_all} | |"
            continue
        cells = [scope in right.scopes for scope in Scope] + [right.for_buyers, right.for_anonymous]
        row = ["yes" if cell else "" for cell in cells]
        logged = "yes" if right.is_logged and method != "GET" else LOGGED_IN_PART.get((method, path), "")
        yield f"| `{method} {path}` | {' | '.join((*row, logged))} |"


def keyless() -> Iterator[str]:
    yield "| needs no key, in production either | why |"
    yield "|---|---|"
    for path, why in OPEN.items():
        yield f"| `GET {path}` | {why} |"
    yield "| `GET /docs`, the pages | files; the calls that they make need keys as any call does |"


SHAPES: Final = {
    "SaleView": "A sale",
    "ItemView": "An item of a sale: always `stock = available + held + sold`",
    "WaitingRoomView": "The rules of a sale's waiting room",
    "ReservationView": "A reservation; an order is the confirmed reservation, with the same `id`",
    "PlaceView": "A ticket of a waiting room",
    "WaitingView": "An entry of a waiting list",
    "Page_SaleView_": "A list, here of sales; `?limit=` is 500 at most",
    "ProblemView": "A problem (RFC 9457, `application/problem+json`); its [`code`](problems.md) is stable",
}


def shapes() -> Iterator[str]:
    schemas = create_app().openapi()["components"]["schemas"]
    for name, title in SHAPES.items():
        yield f"**{title}**\n"
        yield "| property | is | means |"
        yield "|---|---|---|"
        always = schemas[name].get("required", ())
        for property_, shape in schemas[name]["properties"].items():
            kind = _kind(shape) + ("" if property_ in always else ", may be left out")
            yield f"| `{property_}` | {kind} | {' '.join(shape['description'].split())} |"
        yield ""


def _kind(shape: dict[str, Any]) -> str:
    """Return the type of a property in a word or two."""
    if "$ref" in shape:
        name = shape["$ref"].rpartition("/")[2].removesuffix("View")
        return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
    if "anyOf" in shape:
        return " or ".join(_kind(each) for each in shape["anyOf"])
    if "enum" in shape or "const" in shape:
        return ", ".join(f"`{each}`" for each in shape.get("enum", [shape.get("const")]))
    if shape.get("type") == "array":
        return f"list of {_kind(shape['items'])}"
    return "time" if shape.get("format") == "date-time" else str(shape["type"])


def idempotent() -> Iterator[str]:
    for path, methods in create_app().openapi()["paths"].items():
        for method, call in methods.items():
            if any(each["name"].lower() == "idempotency-key" for each in call.get("parameters", ())):
                yield f"- `{method.upper()} {path}`"


def commands() -> Iterator[str]:
    group = typer.main.get_command(command_line)
    assert isinstance(group, TyperGroup)
    yield from _commands(group, "flashguard")


def _commands(group: TyperGroup, above: str) -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from _commands(command, f"{above} {name}")
            continue
        arguments = [f"<{each.name}>" for each in command.params if isinstance(each, TyperArgument)]
        yield f"### `{' '.join([above, name, *arguments])}`\n"
        yield f"{' '.join((command.help or '').split())}\n"
        options = [each for each in command.params if isinstance(each, TyperOption)]
        for option in options:
            default = "" if option.default in (None, False, True) else f" Default: {option.default}."
            yield f"- `{' / '.join([*option.opts, *option.secondary_opts])}`: {option.help}{default}"
        if options:
            yield ""


BLOCKS: Final[dict[str, Callable[[], Iterator[str]]]] = {
    "problems": problems,
    "settings": settings,
    "calls": calls,
    "access": access,
    "keyless": keyless,
    "shapes": shapes,
    "idempotent": idempotent,
    "commands": commands,
    **figures.BLOCKS,
}


def filled(page: str) -> str:
    """Return the page with its tables as the code has them now."""
    return BLOCK.sub(
        lambda block: block[1] + "\n" + "\n".join(BLOCKS[block[2]]()).rstrip() + "\n\n" + block[3], page
    )


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(filled(path.read_text()))
