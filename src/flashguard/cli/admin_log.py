"""`flashguard admin-log list|forget`: what operators did."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from flashguard.embedded.run_file import with_servers
from flashguard.ledger import Ledger
from flashguard.ledger.admin_log import KEPT_DAYS_LEAST, AdminLogBook, new_action
from flashguard.settings import Settings

from .local_time import TIME_HELP, moment_of
from .output import PlainTable, console_for_tables, print_json
from .remote import Target, with_target
from .servers import server_urls
from .user import user_here

app = typer.Typer(help="The admin log: what operators did, and from where.", no_args_is_help=True)


@app.command("list")
@with_target
def list_(
    actor: Annotated[str | None, typer.Option(help="Only of this key's id, or of `bootstrap`.")] = None,
    operation: Annotated[str | None, typer.Option(help="Only this call, as in 'POST /v1/keys'.")] = None,
    about: Annotated[str | None, typer.Option(help="Only about this sale, order, key or endpoint.")] = None,
    outcome: Annotated[str | None, typer.Option(help="done, replayed, refused or failed.")] = None,
    since: Annotated[str | None, typer.Option(help=f"At this time or later: {TIME_HELP}")] = None,
    until: Annotated[str | None, typer.Option(help=f"Before this time: {TIME_HELP}")] = None,
    limit: Annotated[int, typer.Option(help="Number of rows.", min=1, max=500)] = 50,
    *,
    target: Target,
) -> None:
    """List what operators did, newest first."""
    asked = {
        "limit": limit, "actor": actor, "operation": operation, "target": about, "outcome": outcome,
        "since": moment_of(since, "--since"), "until": moment_of(until, "--until"),
    }  # fmt: skip
    query = urlencode({name: value for name, value in asked.items() if value is not None})
    page = target.remote().call("GET", f"/v1/admin-log?{query}")
    if target.as_json:
        print_json(page)
        return
    table = PlainTable("at", "who", "from", "what", "about", "outcome", "detail")
    for row in page["data"]:
        table.add_row(
            row["at"], _actor(row), row["address"] or "", row["operation"], row["target"],
            row["code"] or row["outcome"], json.dumps(row["detail"]) if row["detail"] else "",
        )  # fmt: skip
    console_for_tables().print(table)


def _actor(row: dict[str, Any]) -> str:
    return f"{row['actor']} ({row['actor_name']})" if row["actor_name"] else str(row["actor"])


@app.command()
def forget(
    days: Annotated[int, typer.Option(help="Delete what is older.", min=KEPT_DAYS_LEAST)],
    data_dir: Annotated[Path | None, typer.Option(help="The data directory of `flashguard up`.")] = None,
) -> None:
    """Delete old lines. Asks PostgreSQL itself: FLASHGUARD_DATABASE_URL must name the schema's owner."""
    gone = asyncio.run(_forget(with_servers(Settings(), data_dir), days))
    typer.echo(f"{gone:,} lines older than {days} days were deleted.")


async def _forget(settings: Settings, days: int) -> int:
    ledger = await Ledger.connect(server_urls(settings)[1], connections=1)
    try:
        book = AdminLogBook(ledger)
        gone = await book.forget(datetime.now(UTC) - timedelta(days=days))
        action = new_action(f"cli:{user_here()}", "flashguard admin-log forget")
        action.about("", days=days, lines=gone)
        await book.note([action])
        return gone
    finally:
        await ledger.close()
