"""The command line: one file per group of commands."""

import logging
import sys

import typer
from rich.console import Console
from rich.text import Text

from flashguard.cli import audit, sale, service
from flashguard.cli.bench import bench
from flashguard.cli.simulate import simulate
from flashguard.cli.up import up
from flashguard.errors import FlashGuardError

app = typer.Typer(
    name="flashguard",
    help="An inventory engine that never oversells and never loses an order that it confirmed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(up)
app.command()(service.api)
app.command()(service.recorder)
app.command()(service.migrate)
app.add_typer(sale.app, name="sale")
app.command()(simulate)
app.command("audit")(audit.audit)
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(bench)


def main() -> None:
    """Runs the command line. What an operator must act on is one sentence on stderr and exit code 1."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    try:
        app()
    except FlashGuardError as error:
        Console(stderr=True, soft_wrap=True, highlight=False).print(Text(str(error)))
        sys.exit(1)
