"""`flashguard keys create|list|revoke|rotate|signing|rotate-signing|revoke-token`."""

import sys
from typing import Annotated, Any, Final

import typer

from flashguard.errors import FlashGuardError
from flashguard.model.whole import whole_number

from .output import PlainTable, console_for_tables, print_json, printable
from .remote import Target, path_of, with_target

app = typer.Typer(
    help="API keys, and the keys that sign buyers' tokens: create, list, rotate, revoke.",
    no_args_is_help=True,
)

IdArgument = Annotated[str, typer.Argument(help="The key's id, as `keys list` shows it.")]
DAY_SECONDS: Final = 86_400
UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": DAY_SECONDS}


def _seconds(text: str) -> int:
    """Return a duration such as 30m, 24h or 90d in seconds."""
    number, unit = whole_number(text[:-1]), text[-1:]
    if unit not in UNITS or number is None:
        raise FlashGuardError(f"{text!r}: write a number and s, m, h or d, as in 90d")
    return number * UNITS[unit]


@app.command()
@with_target
def create(
    name: Annotated[str, typer.Option(help="The user of the key.")],
    scope: Annotated[list[str], typer.Option(help="admin, shop or read; repeatable.")],
    expires_in: Annotated[str | None, typer.Option(help="How long it is valid, as in 90d or 12h.")] = None,
    *,
    target: Target,
) -> None:
    """Create a key. It is shown only once: keep it where secrets are kept."""
    body: dict[str, Any] = {"name": name, "scopes": scope}
    if expires_in is not None:
        body["expires_in_seconds"] = _seconds(expires_in)
    _show_new(target.remote().call("POST", "/v1/keys", body), target.as_json)


@app.command("list")
@with_target
def list_(
    *,
    target: Target,
) -> None:
    """List the newest keys, including expired and revoked ones."""
    page = target.remote().call("GET", "/v1/keys?limit=500")
    if target.as_json:
        print_json(page)
    else:
        console_for_tables().print(_table(page["data"]))


@app.command()
@with_target
def revoke(
    id: IdArgument,
    *,
    target: Target,
) -> None:
    """Revoke a key: within seconds no process accepts it."""
    key = target.remote().call("POST", path_of("keys", id, "revoke"))
    if target.as_json:
        print_json(key)
    else:
        console_for_tables().print(_table([key]))


@app.command()
@with_target
def rotate(
    id: IdArgument,
    grace: Annotated[str, typer.Option(help="How long the old key stays valid, as in 24h.")] = "24h",
    *,
    target: Target,
) -> None:
    """Create a key with the same name and scopes; the old one expires after the grace period."""
    body = {"grace_seconds": _seconds(grace)}
    _show_new(target.remote().call("POST", path_of("keys", id, "rotate"), body), target.as_json)


@app.command()
@with_target
def signing(
    *,
    target: Target,
) -> None:
    """List the keys that sign tokens; never their secrets."""
    _show_signing(target.remote().call("GET", "/v1/signing-keys"), target.as_json)


@app.command()
@with_target
def rotate_signing(
    revoke: Annotated[
        bool, typer.Option("--revoke", help="Also make all tokens minted so far invalid: after a leak.")
    ] = False,
    *,
    target: Target,
) -> None:
    """Sign tokens with a new key; tokens of the old keys stay valid until they expire."""
    remote = target.remote()
    _show_signing(remote.call("POST", "/v1/signing-keys/rotate", {"revoke": revoke}), target.as_json)


@app.command()
@with_target
def revoke_token(
    id: Annotated[str, typer.Argument(help="The token's id, from the answer that minted it: its `jti`.")],
    *,
    target: Target,
) -> None:
    """Revoke one buyer's token."""
    done = target.remote().call("POST", path_of("buyer-tokens", id, "revoke"))
    if target.as_json:
        print_json(done)
    else:
        console_for_tables().print(f"{printable(id)} is revoked.")


def _show_new(key: dict[str, Any], as_json: bool) -> None:
    """Show a key that was just created.

    Raises:
        FlashGuardError: it was created, but the answer with the key was lost.
    """
    if key["key"] is None:
        raise FlashGuardError(
            f"The key {key['id']} was created, but the answer with the key was lost, and it can't be shown "
            f"again. Revoke it with `flashguard keys revoke {key['id']}`, and create another."
        )
    if as_json:
        print_json(key)
        return
    console_for_tables().print(_table([key]))
    sys.stdout.write(f"\n{key['key']}\n\nThis is the key; it can't be shown again.\n")


def _table(keys: list[dict[str, Any]]) -> PlainTable:
    table = PlainTable("id", "name", "key", "scopes", "status", "created", "expires", "last used")
    for key in keys:
        table.add_row(
            key["id"], key["name"], f"…{key['hint']}", " ".join(key["scopes"]), key["status"],
            *(_minute(key[field]) for field in ("created_at", "expires_at", "last_used_at")),
        )  # fmt: skip
    return table


def _show_signing(page: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(page)
        return
    table = PlainTable("id", "signs from", "verifies until")
    for key in page["data"]:
        table.add_row(key["id"], _minute(key["signs_from"]), _minute(key["ends_at"]))
    console_for_tables().print(table)


def _minute(at: str | None) -> str:
    return "" if at is None else at[:16].replace("T", " ")
