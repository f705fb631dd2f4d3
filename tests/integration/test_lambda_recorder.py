"""The recorder on AWS: as a container that tells CloudWatch, and as a Lambda every minute."""

import asyncio
import json
import signal
import subprocess
import sys

from flashguard import FlashGuard, Line, NewSale
from flashguard.aws.emf import NAMESPACE, UNITS
from flashguard.model import Item, MinorUnits, SaleId, Sku
from flashguard.settings import Settings
from tests.integration.test_lambda import env_of
from tests.support.ports import free_port
from tests.support.service import ADMIN_KEY, clean_env, migrated_servers
from tests.support.stacks.lambda_runtime import Instance

RECORDER = "flashguard.aws.recorder_handler.handler"
SECONDS = 60.0


async def test_a_run_records_what_waited_hands_over_and_ends_before_its_time():
    async with migrated_servers() as servers:
        env = clean_env(
            FLASHGUARD_REDIS_URL=servers.redis_url,
            FLASHGUARD_DATABASE_URL=servers.database_url,
            FLASHGUARD_ADMIN_KEY=ADMIN_KEY,
            FLASHGUARD_AWS_IDLE_SECONDS="0.5",
        )
        instance = Instance(env, handler=RECORDER)
        await instance.start()
        try:
            assert await instance.invoke({}, SECONDS) == {"lag_entries": 0}, "memory is loaded by a first run"
            settings = Settings(redis_url=servers.redis_url, database_url=servers.database_url)
            async with await FlashGuard.connect(settings) as guard:
                unit = Item(
                    sku=Sku("unit"), name="Unit", price_minor=MinorUnits(100), currency="EUR", stock=10
                )
                await guard.shop.create_sale(NewSale("A drop", (unit,), id="drop"))
                await guard.shop.change(SaleId("drop"), "open")
                hold = await guard.reserve("drop", "ada", [Line("unit", 1)])
                asked = asyncio.ensure_future(guard.confirm(hold.reservation.id))
                await asyncio.sleep(0)
                assert await instance.invoke({}, SECONDS) == {"lag_entries": 0}
                assert (await asked).reservation.status == "confirmed"
        finally:
            await instance.stop()


async def test_the_container_says_how_it_does_in_lines_that_cloudwatch_reads_and_ends_when_told(service):
    port = free_port()
    program = (
        "import asyncio; from flashguard.aws import recorder, settings; "
        f"asyncio.run(recorder.serve(settings.settings_on_aws(), {port}))"
    )
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, env=env_of(service), stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    async with asyncio.timeout(SECONDS):
        line = json.loads(await child.stdout.readline())
    (about,) = line["_aws"]["CloudWatchMetrics"]
    assert about["Namespace"] == NAMESPACE
    assert {metric["Name"] for metric in about["Metrics"]} == set(UNITS)
    assert all(isinstance(line[name], int | float) for name in UNITS)
    assert line["Recorders"] >= 1
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /healthz HTTP/1.1\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.close()
    child.send_signal(signal.SIGTERM)
    async with asyncio.timeout(SECONDS):
        assert await child.wait() == 0
