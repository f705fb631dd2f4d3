"""`flashguard audit`: proves the always-line, one row per item; exit code 1 on any difference."""

import json
import sys
from typing import Annotated, Any

import typer
from rich.table import Table

from flashguard.cli.remote import DirOption, JsonOption, KeyOption, Remote, UrlOption, console_for_tables


def audit(
    sale: Annotated[str | None, typer.Argument(help="One sale; default: all.")] = None,
    as_json: JsonOption = False,
    url: UrlOption = None,
    admin_key: KeyOption = None,
    data_dir: DirOption = None,
) -> None:
    """Check stock = available + held + sold on memory, journal and ledger. Exit code 1 on a difference."""
    remote = Remote(url, admin_key, data_dir)
    names = [sale] if sale else _all_sales(remote)
    reports = [remote.call("GET", f"/v1/sales/{name}/audit") for name in names]
    ok = all(report["ok"] for report in reports)
    if as_json:
        json.dump({"ok": ok, "sales": reports}, sys.stdout, indent=2)
        sys.stdout.write("\n")
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
        path = f"/v1/sales?limit=500&cursor={page['next_cursor']}"


def _verdict(item: dict[str, Any]) -> str:
    if not item["ok"]:
        return "; ".join(item["differences"])
    moving = item["in_transit"]
    return f"ok, {moving:,} units on their way between parts" if moving else "ok"


def _print(reports: list[dict[str, Any]], ok: bool) -> None:
    console = console_for_tables()
    table = Table("sale", "item", "stock", "available", "held", "sold", "memory", "journal tail", "verdict")
    for report in reports:
        for item in report["items"]:
            memory = (
                "not loaded"
                if item["memory_stock"] is None
                else f"{item['memory_stock']} / {item['memory_held']} / {item['memory_sold']}"
            )
            table.add_row(
                report["sale_id"], item["sku"],
                *(f"{item[field]:,}" for field in ("stock", "available", "held", "sold")),
                memory, str(item["tail_entries"]), _verdict(item),
            )  # fmt: skip
        for difference in report["differences"]:
            table.add_row(report["sale_id"], "", "", "", "", "", "", "", difference)
    console.print(table)
    console.print("stock = available + held + sold holds everywhere." if ok else "The books do not agree.")
