"""Calls a running FlashGuard over its HTTP API."""

import asyncio
import functools
import re
import secrets
import time
from collections.abc import Callable
from importlib.metadata import version
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, Final, get_type_hints
from urllib.parse import quote

import aiohttp
import msgspec
import typer
from yarl import URL

from flashguard.embedded.admin_key import read_admin_key
from flashguard.embedded.run_file import find_run
from flashguard.errors import Code, ConfigurationError, FlashGuardError
from flashguard.settings import Settings

from .output import printable
from .user import user_here

TIMEOUT_SECONDS: Final = 60.0
"""For one call with all its attempts."""
MAX_ATTEMPTS: Final = 4
FIRST_WAIT_SECONDS: Final = 0.2
MAX_WAIT_SECONDS: Final = 5.0
TRANSIENT: Final = (429, 500, 502, 503, 504)
"""Temporary errors. The request may have taken effect; with the same key it does so only once."""
CHANGES: Final = ("POST", "PATCH", "PUT", "DELETE")

ADDRESS: Final = re.compile(r"https?://[^\s/?#]+(/[^\s?#]*)?")
KEY: Final = re.compile(r"[\x21-\x7e]+")
DOTS: Final = (".", "..")

UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url",
        help="The API's address, as in http://127.0.0.1:8000; default: FLASHGUARD_URL, or the one that runs "
        "here.",
    ),
]
KeyOption = Annotated[
    str | None, typer.Option("--admin-key", help="Its admin key; default: FLASHGUARD_ADMIN_KEY.")
]
DirOption = Annotated[Path | None, typer.Option("--data-dir", help="The data directory of `flashguard up`.")]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """The options that all commands share: which FlashGuard to call, and how to show the answer."""

    as_json: bool = False
    url: str | None = None
    admin_key: str | None = None
    data_dir: Path | None = None

    def remote(self) -> "Remote":
        """Return the FlashGuard to call.

        Raises:
            ConfigurationError: the address or the key is missing or malformed.
        """
        return Remote(self.url, self.admin_key, self.data_dir)


TARGET_OPTIONS: Final = tuple(
    Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
    for name, default, annotation in (
        ("as_json", False, JsonOption),
        ("url", None, UrlOption),
        ("admin_key", None, KeyOption),
        ("data_dir", None, DirOption),
    )
)


def with_target(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a `Target`, which it gets as its argument `target`."""
    hints = get_type_hints(function, include_extras=True)
    own = [
        each.replace(annotation=hints[each.name], kind=Parameter.KEYWORD_ONLY)
        for each in signature(function).parameters.values()
        if each.name != "target"
    ]

    @functools.wraps(function)
    def command(**given: Any) -> None:
        target = Target(**{each.name: given.pop(each.name) for each in TARGET_OPTIONS})
        function(target=target, **given)

    parameters = [*own, *TARGET_OPTIONS]
    command.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    return command


def path_of(*parts: str) -> str:
    """Return the path `/v1/...` of these parts, quoted so that every id stays one part.

    Raises:
        FlashGuardError: a part is empty, `.` or `..`, which a path can't contain.
    """
    for part in parts:
        if not part or part in DOTS:
            raise FlashGuardError(f"{part!r} can't be an id.")
    return "/".join(("/v1", *(quote(part, safe="") for part in parts)))


def is_address(text: str) -> bool:
    """Return whether this is a valid address: http or https, a host, a valid port."""
    try:
        return ADDRESS.fullmatch(text) is not None and bool(URL(text).host)
    except ValueError:
        return False


class ProblemAnswer(FlashGuardError):
    """The API answered with a problem."""

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.status = status


class NotFlashGuard(FlashGuardError):
    """The server that answered is not FlashGuard's API."""


IN_DETAIL: Final = 3
"""Number of errors in a problem's detail."""


def _sentence(answer: dict[str, Any], status: int) -> str:
    """Return a problem in words; with more errors than fit into its detail, all of them, one per line."""
    summary = printable(f"{answer.get('code', status)}: {answer.get('detail', '')}")
    errors = answer.get("errors") or []
    if len(errors) <= IN_DETAIL:
        return summary
    return "\n".join([summary, *(printable(f"{each['where']}: {each['what']}") for each in errors)])


class Remote:
    """A running FlashGuard: its address and its admin key.

    Raises:
        ConfigurationError: the address or the key is missing or malformed.
    """

    def __init__(self, url: str | None, admin_key: str | None, data_dir: Path | None) -> None:
        settings = Settings()
        directory = data_dir or settings.data_dir
        self.url = (url or _address(settings, data_dir)).rstrip("/")
        if not is_address(self.url):
            raise ConfigurationError(
                f"{self.url!r} is not an address. Write it in full, as in --url http://127.0.0.1:8000."
            )
        key = admin_key or (settings.admin_key.get_secret_value() if settings.admin_key else None)
        key = key or read_admin_key(directory)
        if key is None:
            raise ConfigurationError("No admin key: use --admin-key or set FLASHGUARD_ADMIN_KEY.")
        if not KEY.fullmatch(key):
            raise ConfigurationError(
                "The admin key contains a space, a line end, or a character such as … that no key has. Copy "
                "the whole key: lists show only its end, and it can't be shown again."
            )
        self.admin_key = key

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        file: tuple[bytes, str] | None = None,
        once: bool = False,
    ) -> dict[str, Any]:
        """Make one call and return the answer's JSON.

        A call that changes something carries an idempotency key. If the answer is lost or says to retry, the
        call is retried with the same key, so that it takes effect once. A DELETE of what no longer exists is
        not an error.

        Parameters:
            path: with every part quoted: see `path_of`.
            file: content and media type, sent unchanged in place of a body.
            once: never retry, because the API takes no key for this call.

        Raises:
            ProblemAnswer: the answer is a problem.
            FlashGuardError: no server answered, or one that is not FlashGuard.
        """
        return asyncio.run(self._call(method, path, body, file, 1 if once else MAX_ATTEMPTS))

    async def _call(
        self, method: str, path: str, body: object, file: tuple[bytes, str] | None, max_attempts: int
    ) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.admin_key}", "User-Agent": _agent()}
        if method in CHANGES:
            headers["Idempotency-Key"] = secrets.token_hex(16)
        sent: dict[str, Any] = {"json": body}
        if file is not None:
            headers["Content-Type"] = file[1]
            sent = {"data": file[0]}
        url = URL(f"{self.url}{path}", encoded=True)
        deadline = time.monotonic() + TIMEOUT_SECONDS
        async with aiohttp.ClientSession(headers=headers) as http:
            for attempt in range(1, max_attempts + 1):
                left = aiohttp.ClientTimeout(total=max(0.1, deadline - time.monotonic()))
                wait_seconds = min(MAX_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** (attempt - 1))
                try:
                    async with http.request(method, url, timeout=left, **sent) as response:
                        status, body_read = response.status, await response.read()
                    answer = self._read(response, body_read)
                    if status < 400:
                        return answer
                    if method == "DELETE" and status == 404:
                        return {}  # deleted by an earlier attempt, perhaps one that aiohttp made itself
                    error: FlashGuardError = ProblemAnswer(_sentence(answer, status), status)
                    again = status in TRANSIENT or answer["code"] == Code.REQUEST_IN_FLIGHT
                    retry_after = answer.get("retry_after_seconds")
                    if isinstance(retry_after, int | float):
                        wait_seconds = max(wait_seconds, retry_after)
                except NotFlashGuard as other:  # a proxy may answer while the API restarts
                    error, again = other, status in TRANSIENT
                except (aiohttp.ClientError, TimeoutError) as problem:
                    error, again = self._no_answer(method, problem), _is_retryable(problem)
                if not again or attempt == max_attempts or time.monotonic() + wait_seconds > deadline:
                    raise error
                await asyncio.sleep(min(wait_seconds, MAX_WAIT_SECONDS))
        raise AssertionError("the last attempt returns or raises")

    def _read(self, response: aiohttp.ClientResponse, body: bytes) -> dict[str, Any]:
        if response.status == 204:
            return {}
        try:
            answer = msgspec.json.decode(body, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            answer = {}
        if not answer or (response.status >= 400 and "code" not in answer):
            kind = printable(response.headers.get("Content-Type", "no type"))
            raise NotFlashGuard(
                f"{response.url} answered HTTP {response.status} with {kind}: this is not FlashGuard's API. "
                "Check --url or FLASHGUARD_URL: the address without a path, as in http://127.0.0.1:8000."
            )
        return answer

    def _no_answer(self, method: str, problem: Exception) -> FlashGuardError:
        words = f"{self.url} does not answer: {problem or type(problem).__name__}."
        if isinstance(problem, aiohttp.ClientConnectorError):
            return FlashGuardError(f"{words} Check the address: use --url or set FLASHGUARD_URL.")
        if method in CHANGES:
            words += " The change may have taken effect: check before you retry."
        return FlashGuardError(words)


def _agent() -> str:
    """Return what the command line says it is: the admin log keeps it, with the user and the machine."""
    return f"flashguard-cli/{version('flashguard')} ({user_here()})"


def _is_retryable(problem: Exception) -> bool:
    """Return whether a retry may help: the connection broke or was slow. A refused connection is not
    retried."""
    return not isinstance(problem, aiohttp.ClientConnectorError | aiohttp.InvalidURL)


def _address(settings: Settings, data_dir: Path | None) -> str:
    """Return the API's address where `--url` is not used.

    Raises:
        ConfigurationError: there is none.
    """
    if data_dir is None and settings.url is not None:
        return settings.url
    directory = data_dir or settings.data_dir
    if (run := find_run(directory)) is not None:
        return run.url
    separate = settings.redis_url or settings.database_url or {"host", "port"} & settings.model_fields_set
    if data_dir is None and separate:
        return settings.api_url
    raise ConfigurationError(
        f"No FlashGuard runs on {directory.absolute()}. Start one with `flashguard up`, go to the folder in "
        "which one runs, or give its address with --url or FLASHGUARD_URL."
    )
