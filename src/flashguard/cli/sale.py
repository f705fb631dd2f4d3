"""`flashguard sale create|import|list|show|edit|delete|open|pause|close|restock|item`."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from flashguard.errors import FlashGuardError

from . import item
from .local_time import TIME_HELP, both, moment_of
from .output import PlainTable, console_for_tables, plain, print_json, printable
from .remote import Remote, Target, path_of, with_target
from .sale_tables import COUNTERS, items_table, locations_table, pools_table

app = typer.Typer(
    help="Sales: create, show, edit, delete, open, pause, close, restock; their items.", no_args_is_help=True
)
app.add_typer(item.app, name="item")

SaleArgument = Annotated[str, typer.Argument(help="The sale's id.")]


def _item(text: str) -> dict[str, Any]:
    """Return the item that `sku:stock[:price_minor[:currency[:name]]]` describes."""
    parts = text.split(":", 4)
    try:
        sku, stock = parts[0], int(parts[1])
        price_minor = int(parts[2]) if len(parts) > 2 else 0
    except (IndexError, ValueError) as error:
        raise FlashGuardError(
            f"--item {text!r}: write sku:stock, or sku:stock:price_minor:currency:name"
        ) from error
    return {
        "sku": sku,
        "stock": stock,
        "price_minor": price_minor,
        "currency": parts[3] if len(parts) > 3 else "EUR",
        "name": parts[4] if len(parts) > 4 else sku,
    }


@app.command()
@with_target
def create(
    name: Annotated[str | None, typer.Option(help="The name that buyers see.")] = None,
    item: Annotated[
        list[str] | None, typer.Option(help="sku:stock[:price_minor[:currency[:name]]]; repeatable.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            help="A JSON file with the whole sale, with pools or locations for example; then only --id "
            "counts beside it.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    id: Annotated[str | None, typer.Option(help="A slug; derived from the name if omitted.")] = None,
    hold_seconds: Annotated[int, typer.Option(help="Seconds that a hold lasts.")] = 120,
    limit: Annotated[int | None, typer.Option(help="Units per customer.")] = None,
    max_held: Annotated[int | None, typer.Option(help="Units per customer in unconfirmed holds.")] = None,
    cool_down: Annotated[
        int | None, typer.Option(help="Seconds without new holds after expired ones.")
    ] = None,
    waiting_list: Annotated[int | None, typer.Option(help="Maximum buyers who may wait for units.")] = None,
    waiting_list_hold: Annotated[
        int | None, typer.Option(help="Seconds that an offer from the list lasts.")
    ] = None,
    cool_down_after: Annotated[
        int | None, typer.Option(help="Holds without an order before a cool-down (3).")
    ] = None,
    room: Annotated[str | None, typer.Option(help="The sale whose waiting room it shares.")] = None,
    spread: Annotated[
        int, typer.Option(help="Partitions to spread over, for more demand than one core serves.")
    ] = 1,
    starts_at: Annotated[str | None, typer.Option(help=f"When it opens: {TIME_HELP}")] = None,
    ends_at: Annotated[str | None, typer.Option(help=f"When it ends: {TIME_HELP}")] = None,
    *,
    target: Target,
) -> None:
    """Create a sale as a draft, from options or from a file."""
    if file is not None:
        _show(target.remote().call("POST", "/v1/sales", _sale_in(file, id)), target.as_json)
        return
    if name is None or not item:
        raise FlashGuardError("write --name and --item, or --file with a whole sale")
    body = {
        "id": id,
        "name": name,
        "items": [_item(text) for text in item],
        "hold_seconds": hold_seconds,
        "limit_per_customer": limit,
        "max_held_per_customer": max_held,
        "cool_down_seconds": cool_down,
        "cool_down_after": cool_down_after,
        "waiting_list": waiting_list,
        "waiting_list_hold_seconds": waiting_list_hold,
        "room": room,
        "spread": spread,
        "starts_at": moment_of(starts_at, "--starts-at"),
        "ends_at": moment_of(ends_at, "--ends-at"),
    }
    _show(target.remote().call("POST", "/v1/sales", body), target.as_json)


def _sale_in(file: Path, id_: str | None) -> dict[str, Any]:
    """Return the sale of a JSON file, in the form of `POST /v1/sales`."""
    try:
        body = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise FlashGuardError(f"{file}: is not readable JSON: {error}") from error
    if not isinstance(body, dict):
        raise FlashGuardError(f"{file}: must be one sale, as POST /v1/sales takes it")
    return body if id_ is None else body | {"id": id_}


@app.command("import")
@with_target
def import_(
    file: Annotated[Path, typer.Argument(help="A .csv or .json file.", exists=True, dir_okay=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check the file.")] = False,
    *,
    target: Target,
) -> None:
    """Create the sales of a file as drafts: all of them, or none and the errors by line."""
    kind = {".csv": "text/csv", ".json": "application/json"}.get(file.suffix.lower())
    if kind is None:
        raise FlashGuardError(f"{file}: the name must end with .csv or .json")
    path = f"/v1/imports?dry_run={str(dry_run).lower()}"
    done = target.remote().call("POST", path, file=(file.read_bytes(), kind))
    if target.as_json:
        print_json(done)
        return
    items = sum(sale["items"] for sale in done["sales"])
    would = "would be" if dry_run else "are"
    typer.echo(f"{len(done['sales'])} sales with {items} items {would} imported, as drafts:")
    for sale in done["sales"]:
        typer.echo(f"  {printable(sale['id'])}: {sale['items']} items")


@app.command("list")
@with_target
def list_(
    *,
    target: Target,
) -> None:
    """List the newest sales."""
    page = target.remote().call("GET", "/v1/sales?limit=500")
    if target.as_json:
        print_json(page)
        return
    table = PlainTable("id", "name", "status", *COUNTERS)
    for sale in page["data"]:
        stocked = [each for each in sale["items"] if not each["uses"]] + sale["pools"]
        sums = [sum(each[field] for each in stocked) for field in COUNTERS]
        table.add_row(sale["id"], sale["name"], sale["status"], *(f"{units:,}" for units in sums))
    console_for_tables().print(table)


@app.command()
@with_target
def show(
    sale: SaleArgument,
    *,
    target: Target,
) -> None:
    """Show a sale with its current counters."""
    _show(target.remote().call("GET", path_of("sales", sale)), target.as_json)


def _state_command(verb: str, sentence: str) -> None:
    def command(
        sale: SaleArgument,
        *,
        target: Target,
    ) -> None:
        _change(target.remote(), sale, verb, target.as_json)

    command.__doc__ = sentence
    app.command(verb)(with_target(command))


_state_command("open", "Open a sale now, or at its start time.")
_state_command("pause", "Pause a sale: no new holds; live ones can still be confirmed.")


@app.command()
@with_target
def edit(
    sale: SaleArgument,
    name: Annotated[str | None, typer.Option(help="The name that buyers see.")] = None,
    item: Annotated[
        list[str] | None,
        typer.Option(help="Only of a draft, all of its items: sku:stock[:price_minor[:currency[:name]]]."),
    ] = None,
    hold_seconds: Annotated[int | None, typer.Option(help="Seconds that a hold lasts.")] = None,
    limit: Annotated[int | None, typer.Option(help="Units per customer.")] = None,
    starts_at: Annotated[str | None, typer.Option(help=f"When it opens: {TIME_HELP}")] = None,
    ends_at: Annotated[str | None, typer.Option(help=f"When it ends: {TIME_HELP}")] = None,
    *,
    target: Target,
) -> None:
    """Change a sale's name, times or rules; of a draft also its items."""
    changes = {
        "name": name,
        "items": [_item(text) for text in item] if item else None,
        "hold_seconds": hold_seconds,
        "limit_per_customer": limit,
        "starts_at": moment_of(starts_at, "--starts-at"),
        "ends_at": moment_of(ends_at, "--ends-at"),
    }
    body = {field: value for field, value in changes.items() if value is not None}
    _show(target.remote().call("PATCH", path_of("sales", sale), body), target.as_json)


@app.command()
@with_target
def delete(
    sale: SaleArgument,
    *,
    target: Target,
) -> None:
    """Delete a draft. Its id can be used again."""
    remote, path = target.remote(), path_of("sales", sale)
    remote.call("GET", path)  # fails if the sale does not exist
    remote.call("DELETE", path)
    typer.echo(f"{printable(sale)} was deleted.")


@app.command()
@with_target
def close(
    sale: SaleArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Close it without asking.")] = False,
    *,
    target: Target,
) -> None:
    """Close a sale permanently. Asks first."""
    remote = target.remote()
    if not yes:
        confirm_closing(sale)
    _change(remote, sale, "close", target.as_json)


def confirm_closing(sale: str) -> None:
    """Ask the operator whether to close the sale; return if the answer is yes.

    Raises:
        FlashGuardError: the answer is no, or there is no terminal.
    """
    what = f"Closing {printable(sale)} can't be undone: it never opens again."
    if not sys.stdin.isatty():
        raise FlashGuardError(f"{what} Use --yes to close it without asking.")
    if not typer.confirm(f"{what} Close it?", err=True):
        raise FlashGuardError(f"{printable(sale)} was not closed.")


def _change(remote: Remote, sale: str, verb: str, as_json: bool) -> None:
    _show(remote.call("POST", path_of("sales", sale, verb)), as_json)


# Otherwise "-1" would be an unknown option.
@app.command(context_settings={"ignore_unknown_options": True})
@with_target
def restock(
    sale: SaleArgument,
    sku: Annotated[str, typer.Argument(help="The item; with --pool, the pool.")],
    delta: Annotated[int | None, typer.Argument(help="Units to add; negative: to remove.")] = None,
    stock: Annotated[int | None, typer.Option(help="In place of DELTA: the units that were counted.")] = None,
    reason: Annotated[str, typer.Option(help="Why; kept in the ledger.")] = "by hand",
    pool: Annotated[bool, typer.Option("--pool", help="Restock a pool.")] = False,
    location: Annotated[str | None, typer.Option(help="Where, of an item with stock at locations.")] = None,
    *,
    target: Target,
) -> None:
    """Change an item's stock by a number of units, or to what was counted (with those held and sold)."""
    change = {"delta": delta, "stock": stock, "location": location}
    body = {name: value for name, value in change.items() if value is not None} | {"reason": reason}
    path = path_of("sales", sale, "pools" if pool else "items", sku, "restock")
    after = target.remote().call("POST", path, body)
    if target.as_json:
        print_json(after)
    else:
        table = pools_table if pool else items_table if location is None else locations_table
        console_for_tables().print(table([after]))


def _show(sale: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(sale)
        return
    console = console_for_tables()
    console.print(Text.assemble(plain(sale["id"], "bold"), plain(f" {sale['name']}: {sale['status']}")))
    for name, value in _facts(sale):
        console.print(plain(f"  {name}: {value}"), soft_wrap=True)
    console.print(items_table(sale["items"]))
    if sale["pools"]:
        console.print(pools_table(sale["pools"]))
    if sale["locations"]:
        console.print(locations_table(sale["items"]))


def _facts(sale: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the times and rules of a sale, by name, without rules that it does not have."""
    facts = [
        ("opens", both(sale["starts_at"])),
        ("ends", both(sale["ends_at"])),
        ("created", both(sale["created_at"])),
        ("holds last", f"{sale['hold_seconds']} s, durability {sale['hold_durability']}"),
        ("limit per customer", _or_none(sale["limit_per_customer"], "units")),
    ]
    if sale["max_held_per_customer"] is not None:
        facts.append(("held per customer at most", f"{sale['max_held_per_customer']} units"))
    if sale["cool_down_seconds"] is not None:
        after = sale["cool_down_after"]
        facts.append(("cool-down", f"{sale['cool_down_seconds']} s after {after} expired holds"))
    if sale["waiting_list"] is not None:
        hold = sale["waiting_list_hold_seconds"] or sale["hold_seconds"]
        facts.append(("waiting list", f"{sale['waiting_list']} places; offers last {hold} s"))
    if (room := sale["waiting_room"]) is not None:
        parts = (f"{name.replace('_', ' ')} {value}" for name, value in room.items() if value is not None)
        facts.append(("waiting room", ", ".join(parts)))
    if sale["room"] is not None:
        facts.append(("shares the room of", sale["room"]))
    if sale["locations"]:
        order = ", then ".join(f"{each['name']} ({each['id']})" for each in sale["locations"])
        facts.append(("taken from", order + (", or from several" if sale["split"] else "")))
    if sale["spread"] > 1:
        facts.append(("spread over", f"{sale['spread']} partitions"))
    return facts


def _or_none(value: int | None, unit: str) -> str:
    return "none" if value is None else f"{value} {unit}"
