"""The API as AWS Lambda runs it, frozen between its requests, on the embedded servers."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from flashguard.embedded import EmbeddedServers
from tests.support.stacks import ONE_PROCESS, Stack, folder, migrate
from tests.support.stacks.lambda_runtime import Function, http_api

INSTANCES = 4
PATIENCE_SECONDS = 60.0
"""The contract's races have more requests at once than this machine can have instances: here they wait."""
LACKS = frozenset({ONE_PROCESS})


def api(env: Mapping[str, str]) -> AbstractAsyncContextManager[str]:
    """The function, behind its HTTP API."""
    return http_api(Function(env, most=INSTANCES, patience_seconds=PATIENCE_SECONDS))


@asynccontextmanager
async def running() -> AsyncIterator[Stack]:
    with folder() as place:
        async with EmbeddedServers(place / "data") as servers:
            await migrate(servers.database_url)
            yield Stack(servers.redis_url, servers.database_url, api=api)
