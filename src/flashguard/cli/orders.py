"""`flashguard orders list|show|holds|amend|cancel`."""

from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from flashguard.errors import FlashGuardError
from flashguard.model.whole import whole_number

from .output import PlainTable, console_for_tables, print_json
from .remote import Target, path_of, with_target
from .sale import SaleArgument

app = typer.Typer(help="Orders and holds: list, show, amend, cancel.", no_args_is_help=True)


@app.command("list")
@with_target
def list_(
    sale: SaleArgument,
    status: Annotated[str | None, typer.Option(help="Only confirmed, or only cancelled orders.")] = None,
    limit: Annotated[int, typer.Option(help="Number of rows.", min=1, max=500)] = 50,
    reference: Annotated[str | None, typer.Option(help="Only those with this reference.")] = None,
    *,
    target: Target,
) -> None:
    """List a sale's orders, newest first."""
    asked = {"limit": limit, "newest": "true", "status": status, "reference": reference}
    query = urlencode({name: value for name, value in asked.items() if value is not None})
    page = target.remote().call("GET", f"{path_of('sales', sale, 'orders')}?{query}")
    if target.as_json:
        print_json(page)
    else:
        _show(page["data"])


@app.command()
@with_target
def show(
    order: Annotated[str, typer.Argument(help="The order's id.")],
    *,
    target: Target,
) -> None:
    """Show an order."""
    found = target.remote().call("GET", path_of("orders", order))
    if target.as_json:
        print_json(found)
    else:
        _show([found])


@app.command()
@with_target
def holds(
    sale: SaleArgument,
    customer: Annotated[str | None, typer.Option(help="Only this customer's.")] = None,
    status: Annotated[
        str | None, typer.Option(help="held, confirmed, released, expired or cancelled; all: every one.")
    ] = "held",
    limit: Annotated[int, typer.Option(help="Number of rows.", min=1, max=500)] = 50,
    *,
    target: Target,
) -> None:
    """List a sale's live holds, or its reservations in another state."""
    asked = {"limit": limit, "customer": customer, "status": None if status == "all" else status}
    query = urlencode({name: value for name, value in asked.items() if value is not None})
    page = target.remote().call("GET", f"{path_of('sales', sale, 'reservations')}?{query}")
    if target.as_json:
        print_json(page)
        return
    table = PlainTable("id", "customer", "items", "status", "created at", "expires at")
    for row in page["data"]:
        times = [row["created_at"], row["expires_at"] or ""]
        table.add_row(row["id"], row["customer"], _items(row), row["status"], *times)
    console_for_tables().print(table)


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
    item: Annotated[
        list[str] | None, typer.Option(help="sku:quantity; cancels only this; repeatable.")
    ] = None,
    *,
    target: Target,
) -> None:
    """Cancel a confirmed order, or items of it."""
    body: dict[str, Any] = {"restock": restock, "reason": reason}
    if item:
        body["items"] = _lines(item)
    _print(target, target.remote().call("POST", path_of("orders", order, "cancel"), body))


@app.command()
@with_target
def amend(
    order: Annotated[str, typer.Argument(help="The id of the order, or of a hold.")],
    item: Annotated[list[str], typer.Option(help="sku:quantity of the new basket; repeatable.")],
    restock: Annotated[
        bool,
        typer.Option(
            "--restock/--no-restock",
            help="Put units that it has fewer on sale again, or remove them from the stock.",
        ),
    ] = True,
    reason: Annotated[str, typer.Option(help="Why; kept in the ledger.")] = "amend",
    *,
    target: Target,
) -> None:
    """Replace the basket of a confirmed order, or of a hold."""
    body = {"items": _lines(item), "restock": restock, "reason": reason}
    _print(target, target.remote().call("POST", path_of("reservations", order, "amend"), body))


def _lines(items: list[str]) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for text in items:
        sku, _, digits = text.rpartition(":")
        quantity = whole_number(digits)
        if not sku or quantity is None:
            raise FlashGuardError(f"--item {text!r}: write sku:quantity")
        lines.append({"sku": sku, "quantity": quantity})
    return lines


def _print(target: Target, order: Any) -> None:
    if target.as_json:
        print_json(order)
    else:
        _show([order])


def _items(row: dict[str, Any]) -> str:
    return ", ".join(f"{line['quantity']} {line['sku']}" for line in row["items"])


def _show(orders: list[dict[str, Any]]) -> None:
    table = PlainTable("id", "customer", "items", "status", "confirmed at", "cancelled")
    for order in orders:
        cancelled = _items({"items": order.get("cancelled_items") or ()})
        if order["status"] == "cancelled":
            cancelled = f"{order['cancel_reason']} ({'restocked' if order['restocked'] else 'not restocked'})"
        table.add_row(
            order["id"], order["customer"], _items(order), order["status"], order["confirmed_at"], cancelled
        )
    console_for_tables().print(table)
