"""`flashguard payments list|show|retry|providers`."""

from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from .output import PlainTable, console_for_tables, print_json, printable
from .remote import Target, path_of, with_target

app = typer.Typer(help="Payments and refunds: list, show, retry refunds; providers.", no_args_is_help=True)

PaymentArgument = Annotated[str, typer.Argument(help="The payment's id.")]


@app.command("list")
@with_target
def list_(
    sale: Annotated[str | None, typer.Option(help="Only this sale's.")] = None,
    status: Annotated[str | None, typer.Option(help="open, paid, order, refused or ended.")] = None,
    reservation: Annotated[str | None, typer.Option(help="Only those for this hold or order.")] = None,
    refund: Annotated[
        str | None, typer.Option(help="Only those with a pending, done or failed refund.")
    ] = None,
    limit: Annotated[int, typer.Option(help="Number of rows.", min=1, max=500)] = 50,
    *,
    target: Target,
) -> None:
    """List payments, newest first."""
    asked = {"limit": limit, "sale": sale, "status": status, "reservation": reservation, "refund": refund}
    query = urlencode({name: value for name, value in asked.items() if value is not None})
    page = target.remote().call("GET", f"{path_of('payments')}?{query}")
    if target.as_json:
        print_json(page)
    else:
        _show(page["data"])


@app.command()
@with_target
def show(payment: PaymentArgument, *, target: Target) -> None:
    """Show a payment with its refunds."""
    _print(target, target.remote().call("GET", path_of("payments", payment)))


@app.command()
@with_target
def retry(payment: PaymentArgument, *, target: Target) -> None:
    """Ask the provider again for the refunds of a payment that failed or wait."""
    _print(target, target.remote().call("POST", path_of("payments", payment, "refund")))


@app.command()
@with_target
def providers(*, target: Target) -> None:
    """List the payment providers that buyers can pay with."""
    page = target.remote().call("GET", path_of("payment-providers"))
    if target.as_json:
        print_json(page)
        return
    for row in page["data"]:
        typer.echo(printable(row["name"]))
    if not page["data"]:
        typer.echo("There is none: holds are confirmed without a payment.")


def _print(target: Target, payment: Any) -> None:
    if target.as_json:
        print_json(payment)
        return
    _show([payment])
    if payment["refunds"]:
        table = PlainTable("refund", "status", "amount", "reason", "created at", "note")
        for row in payment["refunds"]:
            note = f"retried as {row['retried_as']}" if row["retried_as"] else row["error"] or ""
            table.add_row(row["id"], row["status"], _money(row), row["reason"], row["created_at"], note)
        console_for_tables().print(table)


def _money(row: dict[str, Any]) -> str:
    return f"{row['amount_minor']} {row['currency']}"


def _show(payments: list[dict[str, Any]]) -> None:
    table = PlainTable("id", "reservation", "provider", "status", "minor units", "created at", "refunds")
    for row in payments:
        refunds = ", ".join(each["status"] for each in row["refunds"] if not each["retried_as"])
        status = row["status"] if row["why"] is None else f"{row['status']} ({row['why']})"
        table.add_row(
            row["id"], row["reservation_id"], row["provider"], status, _money(row), row["created_at"], refunds
        )
    console_for_tables().print(table)
