"""`flashguard sale create|import|list|show|edit|delete|open|pause|close|restock|item`."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from flashguard.errors import FlashGuardError

from . import item
from .output import PlainTable, console_for_tables, print_json, printable
from .remote import Remote, Target, path_of, with_target
from .room_options import RoomFields, with_room
from .sale_form import (
    Clearable,
    CoolDown,
    CoolDownAfter,
    EndsAt,
    Limit,
    MaxHeld,
    Room,
    StartsAt,
    WaitingList,
    WaitingListHold,
    item_of,
    object_in,
    rules_of,
    times_of,
)  # fmt: skip
from .sale_tables import COUNTERS, items_table, locations_table, pools_table, show_sale

app = typer.Typer(
    help="Sales: create, show, edit, delete, open, pause, close, restock; their items.", no_args_is_help=True
)
app.add_typer(item.app, name="item")

SaleArgument = Annotated[str, typer.Argument(help="The sale's id.")]


@app.command()
@with_target
@with_room
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
    limit: Limit = None,
    max_held: MaxHeld = None,
    cool_down: CoolDown = None,
    cool_down_after: CoolDownAfter = None,
    waiting_list: WaitingList = None,
    waiting_list_hold: WaitingListHold = None,
    room: Room = None,
    spread: Annotated[
        int, typer.Option(help="Partitions to spread over, for more demand than one core serves.")
    ] = 1,
    starts_at: StartsAt = None,
    ends_at: EndsAt = None,
    *,
    waiting_room: RoomFields,
    target: Target,
) -> None:
    """Create a sale as a draft, from options or from a file."""
    if file is not None:
        show_sale(target.remote().call("POST", "/v1/sales", _sale_in(file, id)), target.as_json)
        return
    if name is None or not item:
        raise FlashGuardError("write --name and --item, or --file with a whole sale")
    body = {
        "id": id,
        "name": name,
        "items": [item_of(text) for text in item],
        "hold_seconds": hold_seconds,
        "waiting_room": waiting_room or None,
        "room": room,
        "spread": spread,
        **rules_of(limit, max_held, cool_down, cool_down_after, waiting_list, waiting_list_hold),
        **times_of(starts_at, ends_at),
    }
    show_sale(target.remote().call("POST", "/v1/sales", body), target.as_json)


def _sale_in(file: Path, id_: str | None) -> dict[str, Any]:
    """Return the sale of a JSON file, in the form of `POST /v1/sales`."""
    body = object_in(file, "one sale, as POST /v1/sales takes it")
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
    show_sale(target.remote().call("GET", path_of("sales", sale)), target.as_json)


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
@with_room
def edit(
    sale: SaleArgument,
    name: Annotated[str | None, typer.Option(help="The name that buyers see.")] = None,
    item: Annotated[
        list[str] | None,
        typer.Option(help="Only of a draft, all of its items: sku:stock[:price_minor[:currency[:name]]]."),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            help="A JSON file with changes, with limits or hold_durability for example; other options win.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    hold_seconds: Annotated[int | None, typer.Option(help="Seconds that a hold lasts.")] = None,
    limit: Limit = None,
    max_held: MaxHeld = None,
    cool_down: CoolDown = None,
    cool_down_after: CoolDownAfter = None,
    waiting_list: WaitingList = None,
    waiting_list_hold: WaitingListHold = None,
    room: Room = None,
    no_room: Annotated[
        bool,
        typer.Option("--no-room", help="Only of a draft: it has no waiting room, and shares none."),
    ] = False,
    open_to_all: Annotated[
        bool, typer.Option("--open-to-all", help="Open the waiting room's doors for good: all are admitted.")
    ] = False,
    starts_at: StartsAt = None,
    ends_at: EndsAt = None,
    clear: Annotated[
        list[Clearable] | None, typer.Option(help="End a rule, or take a time away; repeatable.")
    ] = None,
    *,
    waiting_room: RoomFields,
    target: Target,
) -> None:
    """Change a sale's name, times, rules or waiting room; of a draft also its items."""
    if open_to_all:
        waiting_room["open_to_all"] = True
    if no_room and (room or waiting_room):
        raise FlashGuardError("--no-room takes the room away: leave the other options about a room out")
    rules = rules_of(limit, max_held, cool_down, cool_down_after, waiting_list, waiting_list_hold)
    times = times_of(starts_at, ends_at)
    changes = {
        "name": name,
        "items": [item_of(text) for text in item] if item else None,
        "hold_seconds": hold_seconds,
        "waiting_room": waiting_room or None,
        "room": room,
        **rules,
        **times,
    }
    body = {} if file is None else object_in(file, "changes, as PATCH /v1/sales/{id} takes them")
    body |= {field: value for field, value in changes.items() if value is not None}
    if no_room:
        body |= {"room": None, "waiting_room": None}
    cleared = {
        field: None
        for option, field in zip(Clearable, (*rules, *times), strict=True)
        if option in (clear or ())
    }
    if both_ways := [field for field in cleared if changes[field] is not None]:
        raise FlashGuardError(f"{both_ways[0]}: set it or clear it, not both")
    show_sale(target.remote().call("PATCH", path_of("sales", sale), body | cleared), target.as_json)


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
    show_sale(remote.call("POST", path_of("sales", sale, verb)), as_json)


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
