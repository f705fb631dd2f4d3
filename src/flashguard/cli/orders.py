"""`flashguard orders list|cancel`."""

from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from .output import PlainTable, console_for_tables, print_json
from .remote import Target, path_of, with_target
from .sale import SaleArgument

app = typer.Typer(help="Orders: list and cancel.", no_args_is_help=True)


@app.command("list")
@with_target
def list_(
    sale: SaleArgument,
    status: Annotated[str | None, typer.Option(help="Only confirmed, or only cancelled orders.")] = None,
    limit: Annotated[int, typer.Option(help="Number of rows.", min=1, max=500)] = 50,
    *,
    target: Target,
) -> None:
    """List a sale's orders, newest first."""
    query = urlencode({"limit": limit, "newest": "true"} | ({"status": status} if status else {}))
    page = target.remote().call("GET", f"{path_of('sales', sale, 'orders')}?{query}")
    if target.as_json:
        print_json(page)
    else:
        _show(page["data"])


@app.command()
@with_target
def cancel(
    order: Annotated[str, typer.Argument(help="The order's id.")],
    restock: Annotated[
        bool,
        typer.Option(
            "--restock/--no-restock", help="Put its units on sale again, or remove them from the stock."
        ),
    ],
    reason: Annotated[str, typer.Option(help="Why; kept in the ledger.")] = "refund",
    *,
    target: Target,
) -> None:
    """Cancel a confirmed order."""
    body = {"restock": restock, "reason": reason}
    done = target.remote().call("POST", path_of("orders", order, "cancel"), body)
    if target.as_json:
        print_json(done)
    else:
        _show([done])


def _show(orders: list[dict[str, Any]]) -> None:
    table = PlainTable("id", "customer", "items", "status", "confirmed at", "cancelled")
    for order in orders:
        items = ", ".join(f"{line['quantity']} {line['sku']}" for line in order["items"])
        cancelled = ""
        if order["status"] == "cancelled":
            cancelled = f"{order['cancel_reason']} ({'restocked' if order['restocked'] else 'not restocked'})"
        table.add_row(
            order["id"], order["customer"], items, order["status"], order["confirmed_at"], cancelled
        )
    console_for_tables().print(table)
