"""PostgreSQL: whether the secrets that it keeps are encrypted, and can be decrypted."""

import asyncpg

from flashguard.ledger import Ledger
from flashguard.ledger.sealing import SealState, sealer_of
from flashguard.ledger.secrets import SecretBook
from flashguard.settings import Mode, Settings

from .finding import Finding, State, ok

NAME = "ledger: secrets"
SHOWN = 5
KEPT = {
    SealState.PLAIN: "plain",
    SealState.OLDER: "encrypted with an older key",
    SealState.SEALED: "encrypted",
    SealState.UNREADABLE: "of a lost key, replaced since",
}


async def examine_secrets(settings: Settings, ledger: Ledger) -> list[Finding]:
    """Check how PostgreSQL has the secrets of webhooks and the signing keys.

    Raises:
        LedgerAway: it does not answer.
    """
    key = settings.secrets_key
    try:
        how = await SecretBook(ledger, sealer_of(key.get_secret_value() if key else None)).how()
    except (asyncpg.UndefinedTableError, asyncpg.InsufficientPrivilegeError):
        return []  # a migration is pending, or a right is missing: each is a finding of its own
    counted = ", ".join(f"{len(rows)} {KEPT[kept]}" for kept, rows in how.items() if rows) or "none yet"
    if locked := [each.owner for each in how[SealState.UNREADABLE] if each.is_needed]:
        more = f" and {len(locked) - SHOWN} more" if len(locked) > SHOWN else ""
        todo = (
            "Give FLASHGUARD_SECRETS_KEY the key that encrypted them, or make new ones: `flashguard keys "
            "rotate-signing --revoke`, `flashguard webhooks rotate`."
        )
        found = f"can't be decrypted: {', '.join(locked[:SHOWN])}{more}"
        return [Finding(NAME, State.FAILED, found, todo)]
    if key is None:
        todo = "Set FLASHGUARD_SECRETS_KEY (`flashguard secrets new-key`), then `flashguard secrets encrypt`."
        state = State.WARNING if settings.mode is Mode.PRODUCTION else State.OK
        return [Finding(NAME, state, f"not encrypted: {counted}", todo)]
    if how[SealState.PLAIN] or how[SealState.OLDER]:
        todo = "Run `flashguard secrets encrypt`: it encrypts all with the newest key."
        return [Finding(NAME, State.WARNING, counted, todo)]
    return [ok(NAME, counted)]
