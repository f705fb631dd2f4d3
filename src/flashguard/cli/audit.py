"""`flashguard audit`: checks stock = available + held + sold, one row per item and pool; exit code 1 on a
difference."""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from .output import PlainTable, console_for_tables, print_json, shown
from .remote import Remote, Target, path_of, with_target

app = typer.Typer()


@app.command()
@with_target
def audit(
    sale: Annotated[str | None, typer.Argument(help="One sale; default: all.")] = None,
    *,
    target: Target,
) -> None:
    """Check stock = available + held + sold across memory, journal and ledger. Exit code 1 on a
    difference."""
    remote = target.remote()
    names = [sale] if sale else _all_sales(remote)
    reports = [remote.call("GET", path_of("sales", name, "audit")) for name in names]
    ok = all(report["ok"] for report in reports)
    if target.as_json:
        print_json({"ok": ok, "sales": reports})
    else:
        _print(reports, ok)
    raise typer.Exit(0 if ok else 1)


def _all_sales(remote: Remote) -> list[str]:
    names: list[str] = []
    path = "/v1/sales?limit=500"
    while True:
        page = remote.call("GET", path)
        names += [sale["id"] for sale in page["data"]]
        if page["next_cursor"] is None:
            return names
        path = f"/v1/sales?limit=500&cursor={quote(page['next_cursor'], safe='')}"


def _verdict(item: dict[str, Any]) -> str:
    if not item["ok"]:
        return "; ".join(item["differences"])
    moving = item["in_transit"]
    return f"ok, {moving:,} units moving between shards" if moving else "ok"


def _print(reports: list[dict[str, Any]], ok: bool) -> None:
    console = console_for_tables()
    counters = ("stock", "available", "held", "sold")
    table = PlainTable("sale", "item", *counters, "memory", "journal tail", "verdict")
    for report in reports:
        for item in report["items"]:
            memory = (
                "not loaded"
                if item["memory_held"] is None
                else f"{shown(item['memory_stock'])} / {item['memory_held']} / {item['memory_sold']}"
            )
            name = f"{item['sku']} (pool)" if item["kind"] == "pool" else item["sku"]
            name = f"{name} at {item['location']}" if item["location"] else name
            table.add_row(
                report["sale_id"], name,
                *(shown(item[field]) for field in counters),
                memory, str(item["tail_entries"]), _verdict(item),
            )  # fmt: skip
        for difference in report["differences"]:
            table.add_row(report["sale_id"], "", "", "", "", "", "", "", difference)
    console.print(table)
    console.print("memory: stock / held / sold in Valkey; journal tail: entries not in the ledger yet.")
    console.print(
        "stock = available + held + sold holds everywhere." if ok else "Memory and ledger do not agree."
    )
