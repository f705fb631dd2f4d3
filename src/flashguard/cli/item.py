"""`flashguard sale item`: the items of a sale that exists."""

from typing import Annotated, Any

import typer

from flashguard.errors import FlashGuardError
from flashguard.model.whole import whole_number

from .output import console_for_tables, print_json, printable
from .remote import Target, path_of, with_target
from .sale_tables import items_table

app = typer.Typer(no_args_is_help=True, help="Add, change and remove items of a sale that is not closed.")

SaleArgument = Annotated[str, typer.Argument(help="The sale's id.")]
SkuArgument = Annotated[str, typer.Argument(help="The item.")]


def _use(text: str) -> dict[str, Any]:
    """Return what `pool` or `pool:quantity` describes."""
    pool, _, digits = text.rpartition(":")
    quantity = whole_number(digits)
    return {"pool": text, "quantity": 1} if quantity is None else {"pool": pool, "quantity": quantity}


@app.command()
@with_target
def add(
    sale: SaleArgument,
    sku: SkuArgument,
    price: Annotated[int, typer.Option(help="Price in the currency's minor unit.")],
    stock: Annotated[int | None, typer.Option(help="Its own stock; an item with --use needs none.")] = None,
    use: Annotated[
        list[str] | None, typer.Option(help="pool[:quantity] that a unit draws; repeatable.")
    ] = None,
    currency: Annotated[str, typer.Option(help="Three capital letters.")] = "EUR",
    name: Annotated[str | None, typer.Option(help="The name that buyers see; else the SKU.")] = None,
    limit: Annotated[int | None, typer.Option(help="The most units of it for one customer.")] = None,
    *,
    target: Target,
) -> None:
    """Add an item."""
    body: dict[str, Any] = {
        "sku": sku, "name": name or sku, "price_minor": price, "currency": currency, "stock": stock,
        "uses": [_use(text) for text in use or ()], "limit_per_customer": limit,
    }  # fmt: skip
    _show(target.remote().call("POST", path_of("sales", sale, "items"), body), target.as_json)


@app.command("set")
@with_target
def change(
    sale: SaleArgument,
    sku: SkuArgument,
    price: Annotated[int | None, typer.Option(help="The price of holds from now on, in minor units.")] = None,
    name: Annotated[str | None, typer.Option(help="The name that buyers see.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=0, help="The most units of it for one customer; 0: no limit.")
    ] = None,
    on_sale: Annotated[
        bool | None,
        typer.Option("--on-sale/--off-sale", help="Off sale: no new holds; what is held goes on."),
    ] = None,
    *,
    target: Target,
) -> None:
    """Change an item's price, name or limit, or take it off sale."""
    changes = {"price_minor": price, "name": name, "on_sale": on_sale}
    body: dict[str, Any] = {field: value for field, value in changes.items() if value is not None}
    if limit is not None:
        body["limit_per_customer"] = limit or None
    if not body:
        raise FlashGuardError("Say what to change: --price, --name, --limit, --on-sale or --off-sale.")
    _show(target.remote().call("PATCH", path_of("sales", sale, "items", sku), body), target.as_json)


@app.command()
@with_target
def remove(sale: SaleArgument, sku: SkuArgument, *, target: Target) -> None:
    """Remove an item of which nothing was ever held or sold."""
    target.remote().call("DELETE", path_of("sales", sale, "items", sku))
    typer.echo(f"{printable(sku)} was removed.")


def _show(item: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(item)
    else:
        console_for_tables().print(items_table([item]))
