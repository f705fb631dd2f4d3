"""How an instance of AWS Lambda starts: with what the hot calls need, and nothing more."""

import asyncio
import json
import resource
import subprocess
import sys

from tests.integration.test_lambda import buying, env_of

HEAVY = (
    "fastapi", "starlette.routing", "uvicorn", "uvloop", "httptools", "typer", "rich", "prometheus_client",
    "redis", "aiohttp", "jwt", "altcha", "psutil", "logging.config", "flashguard.api.app",
    "flashguard.embedded", "flashguard.recorder.partition", "flashguard.recorder.process", "flashguard.cli",
)  # fmt: skip
"""What the server has and a hot call needs not."""
WITHOUT_EXTRAS = "import sys; sys.modules['opentelemetry.sdk'] = None; "
"""Lambda's package has no OpenTelemetry SDK."""
ANSWER = (
    WITHOUT_EXTRAS
    + """
import json, os
from flashguard.aws import handler
class Context:
    def get_remaining_time_in_millis(self):
        return 20_000
asked = json.loads(sys.argv[1])
answers = [handler.handler(asked, Context())]
made = json.loads(answers[0]["body"])
for verb in ("extend", "confirm", "release", ""):
    path = f"/v1/reservations/{made['id']}" + (f"/{verb}" if verb else "")
    method = "POST" if verb else "GET"
    about = asked["requestContext"] | {"http": asked["requestContext"]["http"] | {"method": method}}
    answers.append(handler.handler(asked | {"rawPath": path, "requestContext": about, "body": ""}, Context()))
print(json.dumps([[answer["statusCode"] for answer in answers], sorted(sys.modules)]))
"""
)
MOST_CPU_SECONDS = 0.8
"""Half of it is the rule on a quiet machine; see bench/results/lambda.json."""
SHARE = 0.6
"""Of what importing the whole application takes; about a third here."""
ROUNDS = 5


COPIED = (
    WITHOUT_EXTRAS
    + """
import json, os, types
hooks = {}
runtime = types.ModuleType("snapshot_restore_py")
runtime.register_before_snapshot = lambda hook: hooks.update(before=hook)
runtime.register_after_restore = lambda hook: hooks.update(after=hook)
sys.modules["snapshot_restore_py"] = runtime
os.environ["AWS_LAMBDA_RUNTIME_API"] = "127.0.0.1:1"
from flashguard.aws import handler
class Context:
    def get_remaining_time_in_millis(self):
        return 20_000
def sockets():
    links = (f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd"))
    return sum(os.readlink(link).startswith("socket:") for link in links if os.path.islink(link))
connected = sockets()
hooks["before"]()
in_snapshot, has_application = sockets(), "flashguard.api.app" in sys.modules
copies = []
for _ in range(2):
    pid = os.fork()
    if pid == 0:
        handler._instance._shared.identities._refreshed_at = 0.0  # as of a snapshot of long ago
        hooks["after"]()
        print(json.dumps(handler.handler(json.loads(sys.argv[1]), Context())), flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
print(json.dumps([connected, in_snapshot, has_application]))
"""
)


async def test_a_snapshot_has_no_connections_and_its_copies_connect_and_have_ids_of_their_own(service):
    sale = await service.create_sale()
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", COPIED, json.dumps(buying(sale, "ada", verb="orders")),
        env=env_of(service), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    out, said = await child.communicate()
    assert said == b""  # a copy uses nothing of the connections that are closed
    *answers, (connected, in_snapshot, has_application) = map(json.loads, out.splitlines())
    assert [answer["statusCode"] for answer in answers] == [201, 201]
    one, other = (answer["headers"]["x-request-id"].partition("-")[0] for answer in answers)
    assert one != other
    assert connected > in_snapshot == 2  # the event loop's own pair
    assert has_application
    assert (await service.item(sale))["sold"] == 2


async def test_the_hot_calls_are_answered_without_the_framework(service):
    sale = await service.create_sale()
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ANSWER, json.dumps(buying(sale, "ada", verb="reservations")),
        env=env_of(service), stdout=subprocess.PIPE,
    )  # fmt: skip
    out, _ = await child.communicate()
    statuses, modules = json.loads(out)
    assert statuses == [201, 200, 200, 409, 200], "hold, extend, confirm, release and a look"
    assert sorted(set(HEAVY) & set(modules)) == []


def test_importing_the_handler_costs_a_fraction_of_the_whole_application(service):
    """CPU and a ratio, so that a busy machine does not count; bench/lambda_.py has the milliseconds."""
    env = env_of(service)
    handler = min(cpu_seconds("flashguard.aws.handler", env) for _ in range(ROUNDS))
    assert handler < cpu_seconds("flashguard.api.app", env) * SHARE
    assert handler < MOST_CPU_SECONDS


def cpu_seconds(module: str, env: dict[str, str]) -> float:
    """CPU of a fresh Python that imports this."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-I", "-c", f"{WITHOUT_EXTRAS}import {module}"], env=env, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
