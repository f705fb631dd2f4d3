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
        raise ValueError(f"{path} is not a folder")
    return path


def _http_url(text: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", text):
        raise ValueError("write the full address, as in http://127.0.0.1:8000")
    return text


def _secrets_keys(keys: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[\w-]{43}=(,[\w-]{43}=){0,9}", keys.get_secret_value(), re.ASCII):
        raise ValueError("write keys of `flashguard secrets new-key`, with commas between them, newest first")
    return keys


def reachable_host(host: str) -> str:
    """Return the host to call for a server that listens on this address."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"[{host}]" if ":" in host else host


Origin = Annotated[str, Field(pattern=r"^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?$")]
"""One origin as a browser sends it: not `*`, without a path, not `null`."""
RateSetting = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,6}/[1-9][0-9]{0,4}$")] | None


class Settings(BaseSettings):
    """FlashGuard's settings, constructed in code or read from the environment.

    Raises:
        pydantic.ValidationError: a variable has an invalid value.
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
        """Return the sources in order: arguments, variables, then files in the folder
        FLASHGUARD_SECRETS_DIR."""
        folder = os.environ.get("FLASHGUARD_SECRETS_DIR")
        if not folder or not Path(folder).is_dir():
            return init_settings, env_settings
        return init_settings, env_settings, SecretsSettingsSource(settings_cls, secrets_dir=folder)

    host: str = Field("127.0.0.1")
    """Address that the API listens on."""
    port: int = Field(
        8000,
        ge=0,
        le=65535,
        description="Port of the API. In development mode, if it is not set and 8000 is in use, `up` "
        "chooses the next free port. A port that is set and in use is an error.",
    )
    url: Annotated[str, AfterValidator(_http_url)] | None = Field(
        None,
        description="Address of the API for commands like `flashguard sale`; unset: that of the `up` "
        "running on DATA_DIR, else HOST and PORT.",
    )
    workers: int = Field(
        1, ge=1, le=64, description="API worker processes. Use one per core, and leave one core for Valkey."
    )
    mode: Mode = Field(Mode.DEVELOPMENT)
    """development or production. In production mode every call except health checks needs a key."""
    admin_key: SecretStr | None = Field(
        None,
        description="The API's admin key; unset: generated at the first start, kept in the data directory.",
    )
    secrets_dir: Annotated[Path, AfterValidator(_folder)] | None = Field(
        None,
        description="Folder with one file per variable, named like it, for secrets; a variable that is set "
        "takes precedence.",
    )
    secrets_key: Annotated[SecretStr, AfterValidator(_secrets_keys)] | None = Field(
        None,
        description="Encrypts the secrets that PostgreSQL keeps; several with commas between them: the first "
        "encrypts, all decrypt. Unset: they are not encrypted.",
    )
    data_dir: Path = Field(
        Path(".flashguard"), description="Directory of the embedded servers' data and the admin key."
    )
    redis_url: str | None = Field(None, pattern=r"^(rediss?(\+sentinel|\+cluster)?|unix)://")
    """Your own Valkey/Redis >= 7: one server, redis+sentinel:// or redis+cluster://; unset: embedded
    Valkey."""
    database_url: str | None = Field(
        None,
        pattern=r"^postgres(ql)?://",
        description="Your own PostgreSQL >= 15; unset: embedded PostgreSQL.",
    )
    cors_origins: tuple[Origin, ...] = Field(())
    """Origins of web pages that may call the API."""
    log_level: str = Field("info")
    """debug, info, warning or error."""
    log_format: Literal["text", "json"] = Field("text")
    """Text for people, or one JSON object per line."""
    traces: bool = Field(
        False,
        description="Trace requests from click to commit; OTEL_… variables configure the export.",
    )
    access_log: bool = Field(False)
    """Log a line for every answer."""
    metrics_max_items: int = Field(
        100,
        ge=0,
        le=10_000,
        description="Maximum items of running sales whose stock /metrics shows; 0: none.",
    )
    metrics_dir: Path | None = Field(
        None, description="Folder in which worker processes add their metrics; set by `flashguard api`."
    )
    recorder_metrics_port: int | None = Field(
        None, ge=0, le=65535, description="Port of HOST on which a recorder serves /metrics; unset: none."
    )

    partitions: int = Field(
        16,
        ge=1,
        le=256,
        description="Number of partitions. Fixed at the first migration and kept in the ledger.",
    )
    max_batch: int = Field(
        512,
        ge=1,
        le=1000,
        description="Maximum requests in one script call, which keeps a call at a few milliseconds.",
    )
    max_queue: int = Field(
        20_000,
        ge=1,
        description="Maximum requests that wait for a script call, per process; more get 503 overloaded.",
    )
    memory_timeout_seconds: float = Field(2.0, gt=0)
    """Maximum seconds of a script call; then the answer is 503 recovering, and later calls get it
    immediately."""
    hold_replicas: int = Field(
        1,
        ge=1,
        le=8,
        description="Replicas that must have a hold of a sale whose hold_durability is `replicated`.",
    )
    ledger_timeout_seconds: float = Field(5.0, gt=0)
    """Maximum seconds of a statement, and of the wait for a connection to PostgreSQL."""
    record_timeout_seconds: float = Field(5.0, gt=0)
    """Maximum seconds that a buy waits for its commit; then the answer is 503, and its key returns the
    outcome."""
    ledger_connections: int = Field(8, ge=1, le=100)
    """Maximum connections of one process to PostgreSQL."""
    prepared_statements: bool | None = Field(
        None,
        description="Keep prepared statements; unset: only with the embedded server, because a pooler in "
        "transaction mode may break them.",
    )
    group_entries: int = Field(
        256, ge=1, le=5000, description="Maximum journal entries that one transaction of the recorder writes."
    )
    journal_tail_seconds: float = Field(
        300.0, ge=0, description="Seconds that recorded entries stay in the journal."
    )
    journal_tail_entries: int = Field(
        5_000, ge=1, description="Maximum recorded entries that stay in the journal, per partition."
    )
    max_backlog_entries: int = Field(
        10_000,
        ge=100,
        description="Maximum unrecorded entries per partition; with more, the answer is 503 overloaded.",
    )
    sweep_interval_seconds: float = Field(0.25, gt=0)
    """Seconds between two runs of the recorder that expire holds."""
    closed_sale_hours: float = Field(24.0, ge=0)
    """Hours that a closed sale stays in memory."""
    max_hold_seconds: int = Field(3600, ge=1)
    """Maximum age of a hold in seconds; no extension exceeds it."""
    customer_case: Literal["fold", "exact"] = Field(
        "fold",
        description="`fold`: `Ann` and `ann` are one customer; `exact`: they are two. Must be the same for "
        "every process.",
    )
    buyer_token_seconds: int = Field(
        900, ge=30, le=86_400, description="Maximum and default lifetime of a buyer's token, in seconds."
    )
    rate_per_address: RateSetting = Field(
        None, description="Calls per client address, as `100/10`: 100 in 10 s; more get 429. Unset: no limit."
    )
    rate_per_key: RateSetting = Field(None, description="Calls per API key, in the same form.")
    rate_per_customer: RateSetting = Field(
        None,
        description="Holds, orders, waiting-list joins and room tickets per customer, and all calls with a "
        "buyer's token, in the same form.",
    )
    trusted_proxies: tuple[Annotated[str, AfterValidator(_network)], ...] = Field(
        (),
        description="Networks of your proxies. `X-Forwarded-For` is trusted only from these.",
    )
    max_body_bytes: int = Field(64 * 1024, ge=1024)
    """Maximum size of a request body; a larger one gets 413."""
    max_batch_bytes: int = Field(
        1024 * 1024,
        ge=1024,
        le=16 * 1024 * 1024,
        description="Maximum size of a batch of holds or orders; a larger one gets 413.",
    )
    max_head_bytes: int = Field(
        16 * 1024,
        ge=1024,
        description="Maximum size of a request's address and headers; larger ones get 414 or 431.",
    )
    head_timeout_seconds: float = Field(
        20.0,
        gt=0,
        description="Maximum seconds to receive a request's headers; then 408, and the connection is closed.",
    )
    body_timeout_seconds: float = Field(
        20.0,
        gt=0,
        description="Maximum seconds to receive a body or send an answer; then the connection is closed.",
    )
    keep_alive_seconds: int = Field(
        75,
        ge=1,
        description="Seconds that an idle connection stays open; set it longer than a proxy in front does.",
    )
    max_connections: int = Field(
        24_000,
        ge=1,
        description="Maximum open connections per process; then the longest idle ones are closed.",
    )

    max_import_bytes: int = Field(
        2 * 1024 * 1024,
        ge=1024,
        le=16 * 1024 * 1024,
        description="Maximum size of an import of sales; a larger one gets 413.",
    )
    webhook_private_addresses: bool = Field(
        False,
        description="Allow webhooks to private, loopback and link-local addresses, and over plain http.",
    )
    webhook_timeout_seconds: float = Field(10.0, gt=0, le=60)
    """Maximum seconds of one attempt to deliver a webhook."""
    webhook_concurrency: int = Field(
        16, ge=1, le=200, description="Maximum attempts at the same time, per endpoint and deliverer."
    )
    webhook_retry_seconds: float = Field(
        5.0, gt=0, description="Seconds until the second attempt; each further wait is about twice as long."
    )
    webhook_retry_seconds_most: float = Field(3600.0, gt=0)
    """Maximum seconds between two attempts."""
    webhook_disable_days: float = Field(
        5.0,
        gt=0,
        description="Days without success after which a message is given up and an endpoint disabled.",
    )
    webhook_log_days: float = Field(14.0, gt=0)
    """Days that the delivery log keeps messages; replays can't reach back further."""
    webhook_log_messages: int = Field(10_000_000, ge=1)
    """Messages that the delivery log keeps at most, of all endpoints. The deliverer deletes the oldest, also
    those that still wait for a receiver which is slower than the sales; it logs how many these are."""
    fact_days: float = Field(14.0, ge=0.05)
    """Days that the feed keeps facts. The deliverer deletes older ones, and ends a feed that was not read for
    as long."""
    facts_kept: int = Field(10_000_000, ge=1)
    """Facts that the feed keeps at most. The deliverer deletes the oldest; who missed some is told."""

    payment_providers: tuple[str, ...] = Field(
        (),
        max_length=10,
        description="Payment providers: `stripe`, `signed`, or a class of your own as `module:Class`. None: "
        "no payments.",
    )
    stripe_key: SecretStr | None = Field(
        None, description="Stripe's secret or restricted key, of the payment provider `stripe`."
    )
    stripe_webhook_secret: SecretStr | None = Field(
        None, description="The signing secret, `whsec_…`, of the webhook endpoint at Stripe."
    )
    stripe_url: Annotated[str, AfterValidator(_http_url)] | None = Field(
        None, description="Address of Stripe's API; unset: Stripe's own. For tests with a stand-in."
    )
    payment_signed_url: Annotated[str, AfterValidator(_http_url)] | None = Field(
        None, description="Address of the provider `signed`, which speaks Standard Webhooks."
    )
    payment_signed_secret: SecretStr | None = Field(
        None, description="The secret, `whsec_…`, that signs the requests to `signed` and its events."
    )

    embedded: bool = Field(
        False, description="Set by `flashguard up` if both servers are embedded; the pages show it."
    )
    simulations: bool | None = Field(
        None, description="Whether the API runs simulations; unset: only in development mode."
    )
    max_viewers: int = Field(
        5_000, ge=1, description="Maximum open event streams per process; more get 503 overloaded."
    )
    web_dir: Path | None = Field(
        None, description="Folder of the pages; unset: that of the package or of the repository."
    )

    @property
    def api_url(self) -> str:
        """The API's address on this machine, from HOST and PORT."""
        return f"http://{reachable_host(self.host)}:{self.port}"

    @property
    def folds_case(self) -> bool:
        """Return whether customer ids that differ only in case are one customer's."""
        return self.customer_case == "fold"

    @property
    def keeps_prepared(self) -> bool:
        """Whether connections to PostgreSQL keep their prepared statements."""
        return self.embedded if self.prepared_statements is None else self.prepared_statements
