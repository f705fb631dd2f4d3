"""`flashguard room`: verifies a waiting room's lottery from its published data."""

from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from flashguard.model.lottery import commitment, order

from .output import console_for_tables, plain, print_json
from .remote import Remote, Target, path_of, with_target

app = typer.Typer(help="Waiting rooms.", no_args_is_help=True)
PAGE = 5_000


@app.callback()
def room() -> None:
    """Waiting rooms."""


@app.command()
@with_target
def verify(
    sale: Annotated[str, typer.Argument(help="The sale.")],
    promised: Annotated[
        str | None, typer.Option("--commitment", help="The one published when the sale was created.")
    ] = None,
    ticket: Annotated[str | None, typer.Option(help="A ticket of the lottery; its place is shown.")] = None,
    *,
    target: Target,
) -> None:
    """Repeat a sale's lottery from its published seed. Exit code 1 if the order differs."""
    drawn = _drawing(target.remote(), sale)
    wrong = differences(drawn, promised, ticket)
    place = drawn["data"].index(ticket) + 1 if ticket in drawn["data"] else None
    if target.as_json:
        found = {"sale_id": sale, "ok": not wrong, "differences": wrong, "place": place}
        print_json(found | {"tickets": len(drawn["data"]), "seed": drawn["seed"]})
    else:
        console = console_for_tables()
        for line in wrong:
            console.print(plain(line))
        if not wrong:
            console.print(f"{len(drawn['data']):,} tickets are in the order that the seed gives them.")
        if place is not None:
            console.print(plain(f"{ticket} has place {place:,}."))
    raise typer.Exit(1 if wrong else 0)


def differences(drawn: dict[str, Any], promised: str | None, ticket: str | None) -> list[str]:
    """Return what differs from the commitment; an empty list if nothing does."""
    seed, tickets = drawn["seed"], drawn["data"]
    if seed is None:
        return ["The lottery is not drawn yet: its seed is still secret."]
    wrong = []
    if commitment(seed) != (promised or drawn["commitment"]):
        wrong.append("The seed is not the one that was committed to.")
    if (
        tickets != order(seed, tickets)
        or len(tickets) != len(set(tickets))
        or len(tickets) != drawn["tickets"]
    ):
        wrong.append("The tickets are not in the order that the seed gives them.")
    if ticket is not None and ticket not in tickets:
        wrong.append(f"The ticket {ticket} is not in the lottery.")
    return wrong


def _drawing(remote: Remote, sale: str) -> dict[str, Any]:
    """Return the lottery with all its pages."""
    tickets: list[str] = []
    cursor: str | None = "0"
    drawn: dict[str, Any] = {}
    while cursor is not None:
        query = urlencode({"limit": PAGE, "cursor": cursor})
        drawn = remote.call("GET", f"{path_of('sales', sale, 'lottery')}?{query}")
        tickets += drawn["data"]
        cursor = drawn["next_cursor"]
    return drawn | {"data": tickets}
