"""`flashguard webhooks …`: endpoints, their secrets, the delivery log, and replays."""

import time
from typing import Annotated, Any, Final
from urllib.parse import urlencode

import typer
from rich.text import Text

from .local_time import TIME_HELP, moment_of
from .output import PlainTable, console_for_tables, plain, print_json, printable
from .remote import Target, path_of, with_target

app = typer.Typer(help="Webhooks: endpoints that get messages about events.", no_args_is_help=True)

IdArgument = Annotated[str, typer.Argument(help="The endpoint's id.")]
TEST_SECONDS: Final = 20.0
"""Seconds that `test` waits for the first attempt: twice the receiver's default timeout."""
POLL_SECONDS: Final = 0.25
EventOption = Annotated[
    list[str] | None, typer.Option("--event", help="A type of event; repeatable; default: all.")
]


@app.command()
@with_target
def create(
    to: Annotated[str, typer.Argument(help="The https URL that gets the messages.")],
    event: EventOption = None,
    description: Annotated[str, typer.Option(help="A note for people.")] = "",
    *,
    target: Target,
) -> None:
    """Create an endpoint. Its secret is shown only once."""
    body: dict[str, Any] = {"url": to, "description": description}
    if event:
        body["events"] = event
    _show(target.remote().call("POST", "/v1/webhooks", body), target.as_json)


@app.command("list")
@with_target
def list_(
    *,
    target: Target,
) -> None:
    """List endpoints and the state of their deliveries."""
    page = target.remote().call("GET", "/v1/webhooks")
    if target.as_json:
        print_json(page)
        return
    table = PlainTable("id", "url", "events", "state", "waiting", "delivered at")
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
@with_target
def change(
    endpoint: IdArgument,
    to: Annotated[str | None, typer.Option(help="Another URL.")] = None,
    event: EventOption = None,
    description: Annotated[str | None, typer.Option(help="Another description.")] = None,
    enable: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Enabling it again delivers waiting messages.")
    ] = None,
    *,
    target: Target,
) -> None:
    """Change an endpoint, disable it, or enable it again."""
    given = {"url": to, "events": event, "description": description, "enabled": enable}
    body = {name: value for name, value in given.items() if value is not None}
    _show(target.remote().call("PATCH", path_of("webhooks", endpoint), body), target.as_json)


@app.command()
@with_target
def delete(
    endpoint: IdArgument,
    *,
    target: Target,
) -> None:
    """Delete an endpoint and the messages that wait for it."""
    remote, path = target.remote(), path_of("webhooks", endpoint)
    remote.call("GET", path)  # fails if the endpoint does not exist
    remote.call("DELETE", path)
    typer.echo(f"{printable(endpoint)} was deleted.")


@app.command()
@with_target
def rotate(
    endpoint: IdArgument,
    overlap_seconds: Annotated[int, typer.Option(help="Seconds that the old secret also signs.")] = 86_400,
    *,
    target: Target,
) -> None:
    """Give an endpoint a new secret; until the overlap ends messages carry signatures of both."""
    body = {"overlap_seconds": overlap_seconds}
    path = path_of("webhooks", endpoint, "rotate-secret")
    _show(target.remote().call("POST", path, body), target.as_json)


@app.command()
@with_target
def log(
    endpoint: IdArgument,
    state: Annotated[str | None, typer.Option(help="pending, delivered or failed.")] = None,
    limit: Annotated[int, typer.Option(help="Number of rows.", min=1, max=500)] = 50,
    *,
    target: Target,
) -> None:
    """Show the delivery log, newest first."""
    query = urlencode({"limit": limit} | ({"state": state} if state else {}))
    page = target.remote().call("GET", f"{path_of('webhooks', endpoint, 'deliveries')}?{query}")
    if target.as_json:
        print_json(page)
        return
    table = PlainTable("id", "type", "about", "state", "attempts", "status", "last attempt", "error")
    for each in page["data"]:
        table.add_row(
            str(each["id"]), each["type"], each["reservation_id"] or each["sale_id"], each["state"],
            str(each["attempts"]), str(each["status"] or ""), each["last_attempt_at"] or "",
            each["error"] or "",
        )  # fmt: skip
    console_for_tables().print(table)


@app.command()
@with_target
def test(
    endpoint: IdArgument,
    *,
    target: Target,
) -> None:
    """Send a signed test event, wait for the first attempt, and show the receiver's answer."""
    remote = target.remote()
    sent = remote.call("POST", path_of("webhooks", endpoint, "test"))
    log_path = f"{path_of('webhooks', endpoint, 'deliveries')}?limit=1&cursor={sent['id'] + 1}"
    deadline, line = time.monotonic() + TEST_SECONDS, sent
    while time.monotonic() < deadline:
        found = remote.call("GET", log_path)["data"]
        if not found or found[0]["id"] != sent["id"]:
            break  # the endpoint was deleted, or the log was trimmed
        line = found[0]
        if line["state"] != "pending" or line["last_attempt_at"] != sent["last_attempt_at"]:
            break
        time.sleep(POLL_SECONDS)
    if target.as_json:
        print_json(line)
    else:
        typer.echo(printable(_outcome(line, tried=line["last_attempt_at"] != sent["last_attempt_at"])))
    if line["state"] != "delivered":
        raise typer.Exit(1)


def _outcome(line: dict[str, Any], *, tried: bool) -> str:
    name = f"Test event {line['message_id']}"
    if line["state"] == "delivered":
        return f"{name} was delivered: status {line['status']} after {line['took_ms']} ms."
    if tried:
        return f"{name} was not delivered: {line['error']}. Next attempt at {line['next_attempt_at']}."
    return f"{name} was not sent within {TEST_SECONDS:g} s: check that `flashguard deliverer` runs."


@app.command()
@with_target
def replay(
    endpoint: IdArgument,
    delivery: Annotated[list[int] | None, typer.Option(help="A line of the log; repeatable.")] = None,
    since: Annotated[str | None, typer.Option(help=f"Written since: {TIME_HELP}")] = None,
    until: Annotated[str | None, typer.Option(help=f"Written before: {TIME_HELP}")] = None,
    state: Annotated[str | None, typer.Option(help="Only delivered, or only failed messages.")] = None,
    *,
    target: Target,
) -> None:
    """Deliver messages of the log again, at most 10,000."""
    body: dict[str, Any] = {
        "deliveries": delivery or None,
        "since": moment_of(since, "--since"),
        "until": moment_of(until, "--until"),
        "state": state,
    }
    path = path_of("webhooks", endpoint, "replay")
    answer = target.remote().call("POST", path, body, once=True)
    typer.echo(f"{answer['replayed']:,} messages will be delivered again.")


def _state(endpoint: dict[str, Any]) -> str:
    if not endpoint["enabled"]:
        return f"disabled: {endpoint['disabled_why']}"
    return f"failing since {endpoint['failing_since']}" if endpoint["failing_since"] else "ok"


def _show(endpoint: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(endpoint)
        return
    console = console_for_tables()
    console.print(
        Text.assemble(plain(endpoint["id"], "bold"), plain(f" to {endpoint['url']}: {_state(endpoint)}"))
    )
    console.print(plain(f"events: {', '.join(endpoint['events'])}"))
    if endpoint["secret"]:
        console.print(Text.assemble("secret (shown once): ", (endpoint["secret"], "bold")))
