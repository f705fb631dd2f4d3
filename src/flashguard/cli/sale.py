"""`flashguard sale create|list|show|open|pause|close|restock`."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from flashguard.cli.remote import (
    DirOption,
    JsonOption,
    KeyOption,
    Remote,
    UrlOption,
    console_for_tables,
    print_json,
)
from flashguard.errors import FlashGuardError

app = typer.Typer(help="Sales: create, look at, open, pause, close, restock.", no_args_is_help=True)

SaleArgument = Annotated[str, typer.Argument(help="The sale's id.")]


def _item(text: str) -> dict[str, Any]:
    """sku:stock[:price_minor[:currency[:name]]] as an item."""
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
def create(
    name: Annotated[str, typer.Option(help="What buyers see.")],
    item: Annotated[list[str], typer.Option(help="sku:stock[:price_minor[:currency[:name]]]; repeatable.")],
    id: Annotated[str | None, typer.Option(help="A slug; made from the name if left out.")] = None,
    hold_seconds: Annotated[int, typer.Option(help="How long a hold lasts.")] = 120,
    limit: Annotated[int | None, typer.Option(help="Units per customer.")] = None,
    max_held: Annotated[int | None, typer.Option(help="Units per customer in unconfirmed holds.")] = None,
    cool_down: Annotated[int | None, typer.Option(help="Seconds without holds after lapses.")] = None,
    waiting_list: Annotated[int | None, typer.Option(help="How many may wait for units.")] = None,
    waiting_list_hold: Annotated[int | None, typer.Option(help="Seconds they have to confirm.")] = None,
    cool_down_after: Annotated[int | None, typer.Option(help="How many lapses that takes (3).")] = None,
    spread: Annotated[int, typer.Option(help="Over how many partitions, if it is hotter than one core.")] = 1,
    starts_at: Annotated[datetime | None, typer.Option(help="When it opens, in local time.")] = None,
    ends_at: Annotated[datetime | None, typer.Option(help="When it ends, in local time.")] = None,
    as_json: JsonOption = False,
    url: UrlOption = None,
    admin_key: KeyOption = None,
    data_dir: DirOption = None,
) -> None:
    """Create a sale as a draft."""
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
        "spread": spread,
        "starts_at": starts_at.astimezone().isoformat() if starts_at else None,
        "ends_at": ends_at.astimezone().isoformat() if ends_at else None,
    }
    _show(Remote(url, admin_key, data_dir).call("POST", "/v1/sales", body), as_json)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A .csv or .json file.", exists=True, dir_okay=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check the file.")] = False,
    as_json: JsonOption = False,
    url: UrlOption = None,
    admin_key: KeyOption = None,
    data_dir: DirOption = None,
) -> None:
    """Create the sales of a file as drafts: all of them, or none and what is wrong with which line."""
    kind = {".csv": "text/csv", ".json": "application/json"}.get(file.suffix.lower())
    if kind is None:
        raise FlashGuardError(f"{file}: the name must end with .csv or .json")
    path = f"/v1/imports?dry_run={str(dry_run).lower()}"
    done = Remote(url, admin_key, data_dir).call("POST", path, file=(file.read_bytes(), kind))
    if as_json:
        print_json(done)
        return
    items = sum(sale["items"] for sale in done["sales"])
    would = "would be" if dry_run else "are"
    typer.echo(f"{len(done['sales'])} sales with {items} items {would} imported, as drafts:")
    for sale in done["sales"]:
        typer.echo(f"  {sale['id']}: {sale['items']} items")


@app.command("list")
def list_(
    as_json: JsonOption = False,
    url: UrlOption = None,
    admin_key: KeyOption = None,
    data_dir: DirOption = None,
) -> None:
    """List the newest sales."""
    page = Remote(url, admin_key, data_dir).call("GET", "/v1/sales?limit=500")
    if as_json:
        print_json(page)
        return
    table = Table("id", "name", "status", "stock", "available", "held", "sold")
    for sale in page["data"]:
        sums = [
            sum(item[field] for item in sale["items"]) for field in ("stock", "available", "held", "sold")
        ]
        table.add_row(sale["id"], sale["name"], sale["status"], *(f"{units:,}" for units in sums))
    console_for_tables().print(table)


@app.command()
def show(
    sale: SaleArgument,
    as_json: JsonOption = False,
    url: UrlOption = None,
    admin_key: KeyOption = None,
    data_dir: DirOption = None,
) -> None:
    """Show a sale with its counters of this moment."""
    _show(Remote(url, admin_key, data_dir).call("GET", f"/v1/sales/{sale}"), as_json)


def _state_command(verb: str, sentence: str) -> None:
    def command(
        sale: SaleArgument,
        as_json: JsonOption = False,
        url: UrlOption = None,
        admin_key: KeyOption = None,
        data_dir: DirOption = None,
    ) -> None:
        _show(Remote(url, admin_key, data_dir).call("POST", f"/v1/sales/{sale}/{verb}"), as_json)

    command.__doc__ = sentence
    app.command(verb)(command)


_state_command("open", "Open a sale now, or at its start time.")
_state_command("pause", "Pause a sale: no new holds; live ones can still be confirmed.")
_state_command("close", "Close a sale for good.")


# Else "-1" would be an option that is not there.
@app.command(context_settings={"ignore_unknown_options": True})
def restock(
    sale: SaleArgument,
    sku: Annotated[str, typer.Argument(help="The item.")],
    delta: Annotated[int, typer.Argument(help="Units to add; below zero: to take away.")],
    reason: Annotated[str, typer.Option(help="Why; kept in the ledger.")] = "by hand",
    as_json: JsonOption = False,
    url: UrlOption = None,
    admin_key: KeyOption = None,
    data_dir: DirOption = None,
) -> None:
    """Change an item's stock."""
    body = {"delta": delta, "reason": reason}
    item = Remote(url, admin_key, data_dir).call("POST", f"/v1/sales/{sale}/items/{sku}/restock", body)
    if as_json:
        print_json(item)
    else:
        console_for_tables().print(_items_table([item]))


def _show(sale: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(sale)
        return
    limit = sale["limit_per_customer"] or "none"
    console_for_tables().print(
        f"[bold]{sale['id']}[/] {sale['name']}: {sale['status']}, holds last {sale['hold_seconds']} s, "
        f"limit per customer {limit}"
    )
    console_for_tables().print(_items_table(sale["items"]))


def _items_table(items: list[dict[str, Any]]) -> Table:
    table = Table("sku", "name", "price", "stock", "available", "held", "sold")
    for item in items:
        table.add_row(
            item["sku"], item["name"], f"{item['price_minor']} {item['currency']} minor",
            *(f"{item[field]:,}" for field in ("stock", "available", "held", "sold")),
        )  # fmt: skip
    return table
