"""`flashguard recover`: for a ledger that lost data, shows what each choice loses, and applies the chosen
one."""

import asyncio
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from flashguard.embedded.run_file import with_servers
from flashguard.kernel.kernel import Kernel
from flashguard.ledger import Ledger
from flashguard.ledger.admin_log import AdminLogBook, new_action
from flashguard.recorder.dilemma import Dilemma, dilemma
from flashguard.recorder.recover import take_ledger, take_memory
from flashguard.settings import Settings
from flashguard.valkey.connect import connect_kernel

from .output import PlainTable, console_for_tables
from .remote import JsonOption
from .user import user_here

app = typer.Typer()


class Take(StrEnum):
    LEDGER = "ledger"
    MEMORY = "memory"


@app.command()
def recover(
    take: Annotated[
        Take | None,
        typer.Option(help="ledger: discard what only memory has; memory: write it to the ledger."),
    ] = None,
    as_json: JsonOption = False,
    data_dir: Annotated[Path | None, typer.Option(help="The data directory of `flashguard up`.")] = None,
) -> None:
    """Decide about partitions whose ledger is older than memory. Without --take, only show them. Exit code 1
    while a decision is open."""
    choices, unwritten = asyncio.run(_recover(with_servers(Settings(), data_dir), take))
    if as_json:
        report = msgspec.json.encode({"partitions": choices, "taken": take, "unwritten_orders": unwritten})
        sys.stdout.write(msgspec.json.format(report).decode() + "\n")
    else:
        _print(console_for_tables(), choices, take, unwritten)
    raise typer.Exit(1 if choices and take is None else 0)


async def _recover(settings: Settings, take: Take | None) -> tuple[list[Dilemma], list[str]]:
    client = connect_kernel(settings.redis_url or "", settings)
    ledger = await Ledger.connect(settings.database_url or "", connections=2)
    kernel = Kernel(client)
    choices: list[Dilemma] = []
    unwritten: list[str] = []
    try:
        for partition in range((await ledger.installation()).partitions):
            choice = await dilemma(kernel, ledger, partition)
            if choice is None:
                continue
            choices.append(choice)
        if choices and take is Take.LEDGER:
            await take_ledger(kernel, ledger, choices)
        elif choices and take is Take.MEMORY:
            unwritten = await take_memory(kernel, ledger, choices)
        if choices and take is not None:
            action = new_action(f"cli:{user_here()}", f"flashguard recover --take {take}")
            action.about("", partitions=[choice.partition for choice in choices], unwritten=len(unwritten))
            await AdminLogBook(ledger).note([action])
    finally:
        await client.aclose()
        await ledger.close()
    return choices, unwritten


def _print(console: Console, choices: list[Dilemma], take: Take | None, unwritten: list[str]) -> None:
    if not choices:
        console.print("Nothing to decide: no partition's ledger is older than memory.")
        return
    for choice in choices:
        console.print(Text.assemble((f"partition {choice.partition}", "bold"), f": {choice.why}"))
        console.print(
            f"  memory is at entry {choice.memory_epoch}-{choice.memory_seq}, the ledger at "
            f"{choice.ledger_epoch}-{choice.ledger_seq}; the journal has {choice.journal_entries} more"
        )
        console.print(f"  {len(choice.lost_orders)} orders are in memory and not in the ledger")
    console.print(_items(choices))
    if take is None:
        console.print(
            "--take memory: write the data of journal and memory to the ledger. The units of orders that\n"
            "the ledger does not have leave the stock: memory keeps neither their buyer nor their basket.\n"
            "--take ledger: discard what only memory has. Its units are sold again; its orders are lost."
        )
        return
    console.print(f"Taken: {take}. A recorder now rebuilds memory from the ledger.")
    for id_ in unwritten:
        console.print(f"  not written: {id_}")


def _items(choices: list[Dilemma]) -> PlainTable:
    table = PlainTable("sale", "item", "memory: stock / held / sold", "ledger: stock / held / sold")
    for choice in choices:
        for item in choice.items:
            table.add_row(item.sale, item.sku, _three(item.memory), _three(item.ledger))
    return table


def _three(counters: tuple[Any, ...]) -> str:
    return " / ".join(f"{each:,}" for each in counters)
