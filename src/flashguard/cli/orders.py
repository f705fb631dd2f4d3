"""`flashguard orders list|cancel`."""

from typing import Annotated, Any
from urllib.parse import quote, urlencode

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
from flashguard.cli.sale import SaleArgument

app = typer.Typer(help="Orders: look at them, take them back.", no_args_is_help=True)


@app.command("list")
def list_(
    sale: SaleArgument,
    status: Annotated[str | None, typer.Option(help="Only confirmed, or only cancelled ones.")] = None,
    limit: Annotated[int, typer.Option(help="How many of the newest.", min=1, max=500)] = 50,
    as_json: JsonOption = False,
    url: UrlOption = None,
    admin_key: KeyOption = None,
    data_dir: DirOption = None,
) -> None:
    """List a sale's orders, newest first."""
    query = urlencode({"limit": limit, "newest": "true"} | ({"status": status} if status else {}))
    page = Remote(url, admin_key, data_dir).call("GET", f"/v1/sales/{quote(sale)}/orders?{query}")
    if as_json:
        print_json(page)
    else:
        _show(page["data"])


@app.command()
def cancel(
    order: Annotated[str, typer.Argument(help="The order's id.")],
    restock: Annotated[
        bool,
        typer.Option("--restock/--no-restock", help="Put its units on sale again, or off the stock."),
    ],
    reason: Annotated[str, typer.Option(help="Why; kept in the ledger.")] = "refund",
    as_json: JsonOption = False,
    url: UrlOption = None,
    admin_key: KeyOption = None,
    data_dir: DirOption = None,
) -> None:
    """Take a confirmed order back."""
    body = {"restock": restock, "reason": reason}
    done = Remote(url, admin_key, data_dir).call("POST", f"/v1/orders/{quote(order)}/cancel", body)
    if as_json:
        print_json(done)
    else:
        _show([done])


def _show(orders: list[dict[str, Any]]) -> None:
    table = Table("id", "customer", "items", "status", "confirmed at", "cancelled")
    for order in orders:
        items = ", ".join(f"{line['quantity']} {line['sku']}" for line in order["items"])
        cancelled = ""
        if order["status"] == "cancelled":
            cancelled = f"{order['cancel_reason']} ({'restocked' if order['restocked'] else 'not restocked'})"
        table.add_row(
            order["id"], order["customer"], items, order["status"], order["confirmed_at"], cancelled
        )
    console_for_tables().print(table)
