"""`flashguard doctor`: checks whether this deployment can keep the guarantees; one row per finding."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from flashguard.doctor import Finding, State, examine
from flashguard.embedded.run_file import with_servers
from flashguard.kernel.kernel import Kernel
from flashguard.ledger import Ledger, LedgerAway
from flashguard.settings import Settings
from flashguard.valkey.connect import connect_kernel

from .output import PlainTable, console_for_tables
from .remote import JsonOption

app = typer.Typer()

_STYLE = {State.OK: "green", State.WARNING: "yellow", State.FAILED: "bold red"}


@app.command()
def doctor(
    as_json: JsonOption = False,
    data_dir: Annotated[Path | None, typer.Option(help="The data directory of `flashguard up`.")] = None,
) -> None:
    """Check a deployment before the sale: servers, durability, recorder, clocks. Exit code 1 on a failure."""
    findings = asyncio.run(_examine(with_servers(Settings(), data_dir)))
    healthy = all(each.state is not State.FAILED for each in findings)
    if as_json:
        sys.stdout.write(
            msgspec.json.format(msgspec.json.encode({"ok": healthy, "findings": findings})).decode()
        )
        sys.stdout.write("\n")
    else:
        _print(console_for_tables(), findings, healthy)
    raise typer.Exit(0 if healthy else 1)


async def _examine(settings: Settings) -> list[Finding]:
    client = connect_kernel(settings.redis_url or "", settings)
    try:
        try:
            ledger = await Ledger.connect(
                settings.database_url or "", connections=2, timeout=settings.ledger_timeout_seconds
            )
        except LedgerAway as error:
            return [
                Finding(
                    "ledger",
                    State.FAILED,
                    str(error),
                    "Check that the server runs and that the address is right.",
                )
            ]
        try:
            return await examine(settings, Kernel(client), ledger)
        finally:
            await ledger.close()
    finally:
        await client.aclose()


def _print(console: Console, findings: list[Finding], healthy: bool) -> None:
    table = PlainTable("finding", "state", "what was found", "what to do")
    for each in findings:
        table.add_row(each.name, Text(each.state, style=_STYLE[each.state]), each.found, each.todo)
    console.print(table)
    warnings = sum(each.state is State.WARNING for each in findings)
    if not healthy:
        console.print("Not all guarantees can be kept here: see the failed checks.")
    elif warnings:
        console.print(f"All guarantees can be kept here. Warnings: {warnings}.")
    else:
        console.print("All guarantees can be kept here.")
