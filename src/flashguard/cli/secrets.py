"""`flashguard secrets new-key|encrypt`: the secrets that the ledger keeps."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from flashguard.embedded.run_file import with_servers
from flashguard.errors import ConfigurationError
from flashguard.ledger import Ledger
from flashguard.ledger.admin_log import new_action
from flashguard.ledger.sealing import SealState, new_key, sealer_of
from flashguard.ledger.secrets import SecretBook
from flashguard.settings import Settings

from .servers import server_urls
from .user import user_here

app = typer.Typer(help="The secrets that PostgreSQL keeps: encrypt them.", no_args_is_help=True)


@app.command("new-key")
def new_key_() -> None:
    """Print a new key for FLASHGUARD_SECRETS_KEY. Keep it where secrets are kept, and a copy elsewhere."""
    typer.echo(new_key())


@app.command()
def encrypt(
    data_dir: Annotated[Path | None, typer.Option(help="The data directory of `flashguard up`.")] = None,
) -> None:
    """Encrypt every secret in PostgreSQL with the newest key of FLASHGUARD_SECRETS_KEY. Exit code 1 if one
    that is in use can't be decrypted."""
    counts = asyncio.run(_encrypt(with_servers(Settings(), data_dir)))
    done = counts[SealState.PLAIN] + counts[SealState.OLDER]
    typer.echo(f"{done} secrets were encrypted; {counts[SealState.SEALED]} had the newest key already.")
    if counts[SealState.UNREADABLE]:
        typer.echo(
            f"{counts[SealState.UNREADABLE]} can't be decrypted: `flashguard doctor` names them.", err=True
        )
        raise typer.Exit(1)


async def _encrypt(settings: Settings) -> Counter[SealState]:
    if settings.secrets_key is None:
        raise ConfigurationError("Set FLASHGUARD_SECRETS_KEY; `flashguard secrets new-key` prints a key.")
    ledger = await Ledger.connect(server_urls(settings)[1], connections=1)
    try:
        book = SecretBook(ledger, sealer_of(settings.secrets_key.get_secret_value()))
        return await book.encrypt(new_action(f"cli:{user_here()}", "flashguard secrets encrypt"))
    finally:
        await ledger.close()
