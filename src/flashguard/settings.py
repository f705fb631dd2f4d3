"""Every setting, from `FLASHGUARD_*` variables, with its default and the reason for it."""

import ipaddress
import os
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)


class Mode(StrEnum):
    DEVELOPMENT = "development"
    PRODUCTION = "production"


def _network(text: str) -> str:
    ipaddress.ip_network(text)
    return text


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise ValueError(f"{path} is no folder")
    return path


def _http_url(text: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", text):
        raise ValueError("write the whole address, as in http://127.0.0.1:8000")
    return text


def reachable_host(host: str) -> str:
    """Return where to call a server that listens on this address."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"[{host}]" if ":" in host else host


Origin = Annotated[str, Field(pattern=r"^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?$")]
"""One origin as a browser says it: no `*`, no path, not `null`."""
RateSetting = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,6}/[1-9][0-9]{0,4}$")] | None


class Settings(BaseSettings):
    """FlashGuard's settings. Construct it in code, or let it read the environment.

    Raises:
        pydantic.ValidationError: a variable has a value that its setting can't take.
    """

    model_config = SettingsConfigDict(env_prefix="FLASHGUARD_", extra="ignore", frozen=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What code gives, then variables, then files; which folder they are in is a variable itself."""
        folder = os.environ.get("FLASHGUARD_SECRETS_DIR")
        if not folder or not Path(folder).is_dir():
            return init_settings, env_settings
        return init_settings, env_settings, SecretsSettingsSource(settings_cls, secrets_dir=folder)

    host: str = Field("127.0.0.1")
    """Address the API listens on."""
    port: int = Field(
        8000,
        ge=0,
        le=65535,
        description="Port of the API. Unset, in development, `up` takes the next free one if 8000 is "
        "taken; a port that is set and taken is an error.",
    )
    url: Annotated[str, AfterValidator(_http_url)] | None = Field(
        None,
        description="Where commands such as `flashguard sale` find the API; unset: the `up` that runs on "
        "DATA_DIR, else HOST and PORT.",
    )
    workers: int = Field(
        1, ge=1, le=64, description="API worker processes. One core serves one; leave one for Valkey."
    )
    mode: Mode = Field(Mode.DEVELOPMENT)
    """In production every call but health needs a key."""
    admin_key: SecretStr | None = Field(
        None, description="Unset: made at first start and kept in the data directory."
    )
    secrets_dir: Annotated[Path, AfterValidator(_folder)] | None = Field(
        None,
        description="Folder of files named as the variables, for what no variable should show; a variable "
        "that is set counts more.",
    )
    data_dir: Path = Field(
        Path(".flashguard"), description="Where the embedded servers and the admin key live."
    )
    redis_url: str | None = Field(None, pattern=r"^(rediss?(\+sentinel|\+cluster)?|unix)://")
    """Valkey/Redis >= 7 of your own: one server, redis+sentinel:// or redis+cluster://; unset: embedded."""
    database_url: str | None = Field(
        None,
        pattern=r"^postgres(ql)?://",
        description="PostgreSQL >= 15 of your own; unset: embedded PostgreSQL.",
    )
    cors_origins: tuple[Origin, ...] = Field(())
    """Origins whose browsers may call the API."""
    log_level: str = Field("info")
    """debug, info, warning or error."""
    log_format: Literal["text", "json"] = Field("text")
    """Lines for people, or one JSON object per line."""
    traces: bool = Field(
        False,
        description="Whether requests are traced, from click to commit; where to, OTEL_… variables say.",
    )
    access_log: bool = Field(False)
    """Whether every answer is a line of the log."""
    metrics_max_items: int = Field(
        100, ge=0, le=10_000, description="Items of running sales that /metrics shows the stock of; 0: none."
    )
    metrics_dir: Path | None = Field(
        None, description="Where worker processes add up their metrics; set by `flashguard api`."
    )
    recorder_metrics_port: int | None = Field(
        None, ge=0, le=65535, description="Port of HOST where a recorder answers /metrics; unset: nowhere."
    )

    partitions: int = Field(
        16, ge=1, le=256, description="Fixed at the installation's first migration; kept in the ledger."
    )
    max_batch: int = Field(
        512, ge=1, le=1000, description="Requests in one script call; keeps a call in the low milliseconds."
    )
    max_queue: int = Field(
        20_000, ge=1, description="Requests waiting for a script call, per process; beyond: 503 overloaded."
    )
    memory_timeout_seconds: float = Field(2.0, gt=0)
    """How long a script call may take before the answer is 503 recovering; later ones get that at once."""
    hold_replicas: int = Field(
        1, ge=1, le=8, description="Replicas that must have a hold of a sale with hold_durability replicated."
    )
    ledger_timeout_seconds: float = Field(5.0, gt=0)
    """How long a statement, or the wait for a connection to PostgreSQL, may take."""
    record_timeout_seconds: float = Field(5.0, gt=0)
    """How long a buy waits for its commit before the answer is 503; its outcome stays knowable by key."""
    ledger_connections: int = Field(8, ge=1, le=100)
    """Connections of one process to PostgreSQL."""
    prepared_statements: bool | None = Field(
        None,
        description="Keep prepared statements; unset: with the embedded server only, for a transaction-mode "
        "pooler may break them.",
    )
    group_entries: int = Field(
        256, ge=1, le=5000, description="Journal entries that one recorder transaction takes at most."
    )
    journal_tail_seconds: float = Field(
        300.0, ge=0, description="How long recorded entries stay in the journal."
    )
    journal_tail_entries: int = Field(
        5_000, ge=1, description="How many recorded entries stay in the journal, per partition."
    )
    max_backlog_entries: int = Field(
        10_000, ge=100, description="Unrecorded entries per partition; beyond: 503 overloaded."
    )
    sweep_interval_seconds: float = Field(0.25, gt=0)
    """How often ended holds are given back."""
    closed_sale_hours: float = Field(24.0, ge=0)
    """How long a closed sale's keys stay in memory."""
    max_hold_seconds: int = Field(3600, ge=1)
    """No extension carries a hold past this age."""
    customer_case: Literal["fold", "exact"] = Field(
        "fold",
        description="Whether `Ann` and `ann` are one customer; `exact` where your ids tell capitals from "
        "small letters. The same for every process.",
    )
    buyer_token_seconds: int = Field(
        900, ge=30, le=86_400, description="How long a buyer's token counts, at most and by default."
    )
    rate_per_address: RateSetting = Field(
        None, description="Calls per client address, as `100/10`: 100 in 10 s; beyond: 429. Unset: no limit."
    )
    rate_per_key: RateSetting = Field(None, description="Calls per API key, likewise.")
    rate_per_customer: RateSetting = Field(
        None,
        description="Holds, orders, waiting-list joins and room tickets per customer, and all calls of a "
        "buyer's token, likewise.",
    )
    trusted_proxies: tuple[Annotated[str, AfterValidator(_network)], ...] = Field(
        (),
        description="Networks of your proxies: from these `X-Forwarded-For` is believed, from no one else.",
    )
    max_body_bytes: int = Field(64 * 1024, ge=1024)
    """Largest request body; beyond: 413."""
    max_head_bytes: int = Field(
        16 * 1024, ge=1024, description="Largest address and headers of a request; beyond: 414 or 431."
    )
    head_timeout_seconds: float = Field(
        20.0, gt=0, description="How long a request's headers may take to come; beyond: 408, and the end."
    )
    body_timeout_seconds: float = Field(
        20.0, gt=0, description="How long a body may take to come, or an answer to be taken; beyond: the end."
    )
    keep_alive_seconds: int = Field(
        75,
        ge=1,
        description="How long an idle connection stays open: longer than a proxy in front keeps its own.",
    )
    max_connections: int = Field(
        24_000, ge=1, description="Open connections per process; beyond, the longest idle ones are closed."
    )

    max_import_bytes: int = Field(
        2 * 1024 * 1024, ge=1024, le=16 * 1024 * 1024, description="Largest import of sales; beyond: 413."
    )
    webhook_private_addresses: bool = Field(
        False,
        description="Let webhooks go to private, loopback and link-local addresses, and by plain http.",
    )
    webhook_timeout_seconds: float = Field(10.0, gt=0, le=60)
    """How long one attempt to deliver a webhook may take."""
    webhook_concurrency: int = Field(
        16, ge=1, le=200, description="Attempts under way at a time, per endpoint and deliverer."
    )
    webhook_retry_seconds: float = Field(
        5.0, gt=0, description="After a first failed attempt; each further wait is about twice as long."
    )
    webhook_retry_seconds_most: float = Field(3600.0, gt=0)
    """The longest wait between two attempts."""
    webhook_disable_days: float = Field(
        5.0, gt=0, description="After so long without success a message is given up, an endpoint disabled."
    )
    webhook_log_days: float = Field(14.0, gt=0)
    """How long the delivery log reaches back, and with it replays."""

    embedded: bool = Field(
        False, description="Set by `flashguard up` when both servers are its own; pages show it."
    )
    simulations: bool | None = Field(
        None, description="Whether the API runs simulations; unset: in development only."
    )
    max_viewers: int = Field(
        5_000, ge=1, description="Open event streams per process; beyond: 503 overloaded."
    )
    web_dir: Path | None = Field(
        None, description="Where the pages are; unset: those of the package, or of the repository."
    )

    @property
    def api_url(self) -> str:
        """Where the API answers on this machine, by HOST and PORT."""
        return f"http://{reachable_host(self.host)}:{self.port}"

    @property
    def keeps_prepared(self) -> bool:
        """Whether connections to PostgreSQL keep their prepared statements."""
        return self.embedded if self.prepared_statements is None else self.prepared_statements
