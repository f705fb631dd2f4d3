"""What is deployed beside the service speaks of metrics that the service has."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD = DEPLOY / "grafana" / "flashguard.json"
ALERTS = DEPLOY / "prometheus" / "alerts.yaml"
SPOKEN_OF = re.compile(r"\bflashguard_\w+")
GRAFANAS_OWN = (("$__rate_interval", "1m"), ("$job", ".*"))
PROMTOOL = pytest.mark.skipif(shutil.which("promtool") is None, reason="there is no promtool here")


@pytest.fixture
async def known(service, http: aiohttp.ClientSession) -> set[str]:
    """The names under which the API's and the recorder's samples can be asked for."""
    names = set()
    for url in (f"{service.url}/metrics", service.recorder_metrics_url):
        async with http.get(url) as answer:
            for family in text_string_to_metric_families(await answer.text()):
                names |= {sample.name for sample in family.samples} or {family.name}
                if family.type == "histogram":
                    names |= {f"{family.name}_{part}" for part in ("bucket", "sum", "count")}
                if family.type == "counter":
                    names.add(f"{family.name}_total")
    return names


def panels() -> Iterator[dict[str, Any]]:
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        if panel["type"] != "row":
            yield panel


def queries() -> list[str]:
    return [target["expr"] for panel in panels() for target in panel["targets"]]


async def test_every_query_of_the_dashboard_names_a_metric_that_exists(known):
    for query in queries():
        names = set(SPOKEN_OF.findall(query))
        assert names, query
        assert names <= known, query


async def test_every_alert_names_a_metric_that_exists(known):
    expressions = re.findall(r"^ +expr: (.*)$", ALERTS.read_text(), re.MULTILINE)
    assert len(expressions) == ALERTS.read_text().count("- alert:")
    for expression in expressions:
        names = set(SPOKEN_OF.findall(expression))
        assert names, expression
        assert names <= known, expression


async def test_the_runbook_names_only_metrics_that_exist(known):
    text = (DEPLOY.parent / "docs" / "how-to" / "runbook.md").read_text()
    names = set(re.findall(r"`(flashguard_[a-z_]+)`", text))
    assert len(names) > 3
    assert {name for name in names if not {name, f"{name}_bucket"} & known} == set()


def test_the_dashboards_panels_have_ids_of_their_own_and_do_not_overlap():
    every = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in every}) == len(every)
    cells = [
        (x, y)
        for panel in every
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert all(0 <= x < 24 for x, _ in cells)


@PROMTOOL
def test_promtool_finds_nothing_wrong_with_the_alerts():
    found = subprocess.run(["promtool", "check", "rules", str(ALERTS)], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr
    assert "SUCCESS" in found.stdout


def raised(tmp_path: Path, name: str, series: dict[str, str]) -> bool:
    """Whether Prometheus raises this alarm three minutes after these samples began."""
    lines = [f"      - {{series: '{each}', values: '{values}'}}" for each, values in series.items()]
    tried = tmp_path / "tried.yaml"
    tried.write_text(
        f"rule_files: [{ALERTS}]\nevaluation_interval: 5s\ntests:\n  - interval: 5s\n    input_series:\n"
        + "\n".join(lines)
        + f"\n    alert_rule_test: [{{eval_time: 3m, alertname: {name}, exp_alerts: []}}]\n"
    )
    return subprocess.run(["promtool", "test", "rules", str(tried)], capture_output=True).returncode != 0


@PROMTOOL
def test_a_ledger_that_is_away_raises_an_alarm_and_so_do_retries_that_wait_for_it(tmp_path):
    """Both were found silent when somebody stopped PostgreSQL during a sale."""
    lag = "flashguard_recorder_lag_seconds"
    assert raised(tmp_path, "FlashGuardLedgerAway", {lag: "0x10 stale"})
    assert not raised(tmp_path, "FlashGuardLedgerAway", {lag: "0x60"})
    sold, waiting = (
        f'flashguard_outcomes_total{{verb="buy",outcome="{each}"}}'
        for each in ("confirmed", "request-in-flight")
    )
    assert raised(tmp_path, "FlashGuardRefusesForLoad", {sold: "0+100x60", waiting: "0+5x60"})
    assert not raised(tmp_path, "FlashGuardRefusesForLoad", {sold: "0+100x60", waiting: "0x60"})


@PROMTOOL
def test_refunds_that_wait_or_failed_and_payments_without_a_deliverer_raise_alarms(tmp_path):
    oldest = "flashguard_payment_refund_oldest_seconds"
    raised_by = {
        "FlashGuardPaymentsUndecided": (
            {"flashguard_payment_undecided_seconds": "0+5x60"},
            {f'{oldest}{{provider="signed",status="waiting"}}': "0+5x60"},
        ),
        "FlashGuardRefundsFail": ({f'{oldest}{{provider="signed",status="failing"}}': "1000x60"},),
        "FlashGuardRefundFailed": (
            {'flashguard_payment_refunds{provider="signed",status="failed"}': "1x60"},
        ),
    }
    quiet = {
        "flashguard_payment_undecided_seconds": "1x60",
        f'{oldest}{{provider="signed",status="pending"}}': "100000x60",
        f'{oldest}{{provider="signed",status="failing"}}': "10x60",
        'flashguard_payment_refunds{provider="signed",status="done"}': "9x60",
    }
    for name, alarms in raised_by.items():
        assert not raised(tmp_path, name, quiet), name
        for series in alarms:
            assert raised(tmp_path, name, series), (name, series)


@PROMTOOL
def test_prometheus_can_read_every_query_of_the_dashboard(tmp_path):
    rules = []
    for number, query in enumerate(queries()):
        for name, value in GRAFANAS_OWN:
            query = query.replace(name, value)
        rules.append({"record": f"query:{number}", "expr": query})
    path = tmp_path / "queries.yaml"
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))  # JSON is YAML
    found = subprocess.run(["promtool", "check", "rules", str(path)], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr
