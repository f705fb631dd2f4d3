"""`flashguard bench`: runs the benchmark, which is part of the repository and not of the package."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from flashguard.errors import ConfigurationError

app = typer.Typer()
ROOT = Path(__file__).parents[3]


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def bench(
    context: typer.Context,
    what: Annotated[str, typer.Argument(help="all, quick, or one scenario.")] = "all",
) -> None:
    """Measure FlashGuard beside its rivals. More options: see `python -m bench --help`."""
    if not (ROOT / "bench" / "__main__.py").is_file():
        raise ConfigurationError(
            "The benchmark is part of FlashGuard's repository, not of the installed package: clone it, "
            "then run `make bench` there."
        )
    command = [sys.executable, "-m", "bench", what, *context.args]
    raise typer.Exit(subprocess.run(command, cwd=ROOT).returncode)
