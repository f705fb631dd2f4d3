"""`flashguard prune`: removes sales that ended long ago from the ledger."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from flashguard.embedded.run_file import with_servers
from flashguard.errors import FlashGuardError
from flashguard.kernel.kernel import Kernel
from flashguard.ledger import Ledger
from flashguard.ledger.pruning import EndedSale
from flashguard.settings import Settings
from flashguard.shop.pruning import Pruning
from flashguard.valkey.connect import connect_kernel

from .local_time import TIME_HELP, moment_of
from .output import PlainTable, console_for_tables, printable
from .servers import server_urls
from .user import user_here

DATE_LENGTH = len("2027-06-30")
SHOWN = 100
"""Sales in the table of a run without --yes."""
PROGRESS_ROWS = 100_000

app = typer.Typer()


@app.command()
def prune(
    before: Annotated[
        str, typer.Option(help=f"Sales that closed before: a date as in 2027-06-30, or {TIME_HELP}")
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove them.")] = False,
    data_dir: Annotated[Path | None, typer.Option(help="The data directory of `flashguard up`.")] = None,
) -> None:
    """Remove sales that ended long ago, with all of their rows. Without --yes, only list them. Asks the
    servers themselves: FLASHGUARD_DATABASE_URL must name the schema's owner."""
    text = moment_of(f"{before} 00:00" if len(before) == DATE_LENGTH else before, "--before")
    asyncio.run(_prune(with_servers(Settings(), data_dir), datetime.fromisoformat(text or ""), yes=yes))


async def _prune(settings: Settings, before: datetime, *, yes: bool) -> None:
    redis_url, database_url = server_urls(settings)
    client = connect_kernel(redis_url, settings)
    ledger = await Ledger.connect(database_url, connections=1, timeout=60)
    try:
        pruning = Pruning(Kernel(client), ledger, settings, f"cli:{user_here()}")
        try:
            sales = await pruning.ended(before)
        except ValueError as error:
            raise FlashGuardError(f"--before: {error}.") from error
        if yes:
            await _remove(pruning, sales, before)
        else:
            _list(sales)
    finally:
        await client.aclose()
        await ledger.close()


async def _remove(pruning: Pruning, sales: list[EndedSale], before: datetime) -> None:
    for sale in sales:
        if sale.why_kept is not None:
            typer.echo(f"{printable(sale.id)} stays: {sale.why_kept}")
    rows = shown = gone = 0
    async for step in pruning.run(sales, before):
        if step.why_kept is not None:
            typer.echo(f"{printable(step.sale)} stays: {step.why_kept}")
        elif step.is_over:
            typer.echo(f"{printable(step.sale)} is gone, with {step.rows:,} rows")
            gone += 1
        elif step.rows - shown >= PROGRESS_ROWS:
            typer.echo(f"{printable(step.sale)}: {step.rows:,} rows are gone so far")
            shown = step.rows
        if step.is_over:
            rows, shown = rows + step.rows, 0
    typer.echo(f"{gone:,} sales are gone, with {rows:,} rows.")


def _list(sales: list[EndedSale]) -> None:
    table = PlainTable("sale", "closed", "units sold", "what --yes does")
    for sale in sales[:SHOWN]:
        what = "removes it" if sale.why_kept is None else f"keeps it: {sale.why_kept}"
        table.add_row(sale.id, f"{sale.closed_at:%Y-%m-%d %H:%M}", f"{sale.sold:,}", what)
    if sales:
        console_for_tables().print(table)
    if len(sales) > SHOWN:
        typer.echo(f"... and {len(sales) - SHOWN:,} more.")
    go = sum(sale.why_kept is None for sale in sales)
    typer.echo(f"{go:,} sales would be removed, and {len(sales) - go:,} stay. Nothing was changed.")
