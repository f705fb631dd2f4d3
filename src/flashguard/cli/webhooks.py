"""`flashguard webhooks …`: endpoints, their secrets, the delivery log, replays."""

from datetime import datetime
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

app = typer.Typer(help="Webhooks: who is told what happens.", no_args_is_help=True)

IdArgument = Annotated[str, typer.Argument(help="The endpoint's id.")]
EventOption = Annotated[
    list[str] | None, typer.Option("--event", help="A type of event; repeatable; default: all.")
]


@app.command()
def create(
    to: Annotated[str, typer.Argument(help="Where messages go: an https URL.")],
    event: EventOption = None,
    description: Annotated[str, typer.Option(help="For whoever looks at the list.")] = "",
    as_json: JsonOption = False,
    url: UrlOption = None,
    admin_key: KeyOption = None,
    data_dir: DirOption = None,
) -> None:
    """Make an endpoint; its secret is shown now and never again."""
    body: dict[str, Any] = {"url": to, "description": description}
    if event:
        body["events"] = event
    _show(Remote(url, admin_key, data_dir).call("POST", "/v1/webhooks", body), as_json)


@app.command("list")
def list_(
    as_json: JsonOption = False,
    url: UrlOption = None,
    admin_key: KeyOption = None,
    data_dir: DirOption = None,
) -> None:
    """List endpoints, and how they do."""
    page = Remote(url, admin_key, data_dir).call("GET", "/v1/webhooks")
    if as_json:
        print_json(page)
        return
    table = Table("id", "url", "events", "state", "waiting", "delivered at")
    for each in page["data"]:
        events = "all" if len(each["events"]) == 9 else ", ".join(each["events"])
        table.add_row(
            each["id"],
            each["url"],
            events,
            _state(each),
            f"{each['pending']:,}",
            each["delivered_at"] or "never",
        )
    console_for_tables().print(table)


@app.command()
def change(
    endpoint: IdArgument,
    to: Annotated[str | None, typer.Option(help="Another URL.")] = None,
    event: EventOption = None,
    description: Annotated[str | None, typer.Option(help="Another description.")] = None,
    enable: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Enabled again, it is sent what still waits.")
    ] = None,
    as_json: JsonOption = False,
    url: UrlOption = None,
    admin_key: KeyOption = None,
    data_dir: DirOption = None,
) -> None:
    """Change an endpoint, disable it, or enable it again."""
    given = {"url": to, "events": event, "description": description, "enabled": enable}
    body = {name: value for name, value in given.items() if value is not None}
    _show(Remote(url, admin_key, data_dir).call("PATCH", f"/v1/webhooks/{quote(endpoint)}", body), as_json)


@app.command()
def delete(
    endpoint: IdArgument,
    url: UrlOption = None,
    admin_key: KeyOption = None,
    data_dir: DirOption = None,
) -> None:
    """Delete an endpoint, with all that waits for it."""
    Remote(url, admin_key, data_dir).call("DELETE", f"/v1/webhooks/{quote(endpoint)}")
    typer.echo(f"{endpoint} is deleted.")


@app.command()
def rotate(
    endpoint: IdArgument,
    overlap_seconds: Annotated[int, typer.Option(help="How long the old secret signs as well.")] = 86_400,
    as_json: JsonOption = False,
    url: UrlOption = None,
    admin_key: KeyOption = None,
    data_dir: DirOption = None,
) -> None:
    """Give an endpoint a new secret; for a while messages carry signatures of both."""
    body = {"overlap_seconds": overlap_seconds}
    path = f"/v1/webhooks/{quote(endpoint)}/rotate-secret"
    _show(Remote(url, admin_key, data_dir).call("POST", path, body), as_json)


@app.command()
def log(
    endpoint: IdArgument,
    state: Annotated[str | None, typer.Option(help="pending, delivered or failed.")] = None,
    limit: Annotated[int, typer.Option(help="How many of the newest.", min=1, max=500)] = 50,
    as_json: JsonOption = False,
    url: UrlOption = None,
    admin_key: KeyOption = None,
    data_dir: DirOption = None,
) -> None:
    """Show the delivery log, newest first."""
    query = urlencode({"limit": limit} | ({"state": state} if state else {}))
    page = Remote(url, admin_key, data_dir).call("GET", f"/v1/webhooks/{quote(endpoint)}/deliveries?{query}")
    if as_json:
        print_json(page)
        return
    table = Table("id", "type", "about", "state", "attempts", "status", "last attempt", "error")
    for each in page["data"]:
        table.add_row(
            str(each["id"]), each["type"], each["reservation_id"] or each["sale_id"], each["state"],
            str(each["attempts"]), str(each["status"] or ""), each["last_attempt_at"] or "",
            each["error"] or "",
        )  # fmt: skip
    console_for_tables().print(table)


@app.command()
def replay(
    endpoint: IdArgument,
    delivery: Annotated[list[int] | None, typer.Option(help="A line of the log; repeatable.")] = None,
    since: Annotated[datetime | None, typer.Option(help="Written since, in local time.")] = None,
    until: Annotated[datetime | None, typer.Option(help="Written before, in local time.")] = None,
    state: Annotated[str | None, typer.Option(help="Only delivered, or only failed ones.")] = None,
    url: UrlOption = None,
    admin_key: KeyOption = None,
    data_dir: DirOption = None,
) -> None:
    """Deliver messages of the log once more, at most 10,000."""
    body: dict[str, Any] = {
        "deliveries": delivery or None,
        "since": since.astimezone().isoformat() if since else None,
        "until": until.astimezone().isoformat() if until else None,
        "state": state,
    }
    path = f"/v1/webhooks/{quote(endpoint)}/replay"
    answer = Remote(url, admin_key, data_dir).call("POST", path, body)
    typer.echo(f"{answer['replayed']:,} messages will be delivered once more.")


def _state(endpoint: dict[str, Any]) -> str:
    if not endpoint["enabled"]:
        return f"disabled: {endpoint['disabled_why']}"
    return f"failing since {endpoint['failing_since']}" if endpoint["failing_since"] else "ok"


def _show(endpoint: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(endpoint)
        return
    console = console_for_tables()
    console.print(f"[bold]{endpoint['id']}[/] to {endpoint['url']}: {_state(endpoint)}")
    console.print(f"events: {', '.join(endpoint['events'])}")
    if endpoint["secret"]:
        console.print(f"secret (shown once): [bold]{endpoint['secret']}[/]")
