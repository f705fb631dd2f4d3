"""The calculator of costs: shown is what it says, and nothing is free that is not."""

import json

from bench.cost import HERE, MILLION, SHOWN, Month, busy_seconds, loaded, on_lambda, on_servers, table
from tests.support.deploy_files import ROOT

PRICES, CPU = loaded()


def test_the_table_of_the_documentation_is_the_calculators_own() -> None:
    page = (ROOT / "docs" / "explanation" / "cost.md").read_text()
    assert table(SHOWN, PRICES, CPU) in page, "run `make docs`"
    assert f"{CPU['server_buy_us']:.0f} µs of CPU per durable buy" in page
    assert (
        f"{CPU['lambda_cpu_us']:.0f} µs\nfor a buy" in page
        or f"{CPU['lambda_cpu_us']:.0f} µs for a buy" in page
    )


def test_every_price_says_what_it_is_for_where_it_is_from_and_when() -> None:
    known = json.loads((HERE / "prices.json").read_text())
    assert known["as_of"]
    assert known["looked_up"] is False, "then say in cost.md that they were, and when"
    for name, price in known["prices"].items():
        assert price["usd"] > 0, name
        assert price["unit"], name
        assert price["source"], name


def test_every_price_is_used() -> None:
    used: set[str] = set()

    class Noting(dict[str, float]):
        def __getitem__(self, name: str) -> float:
            used.add(name)
            return super().__getitem__(name)

    month, noting = Month(MILLION, 2), Noting(PRICES)
    on_lambda(month, noting, CPU)
    on_servers(month, noting)
    assert used == set(PRICES)


def test_a_checkout_is_dearer_than_a_refusal_and_both_than_nothing() -> None:
    nothing, buys, crowd = (
        sum(on_lambda(month, PRICES, CPU).values())
        for month in (Month(0, 0), Month(MILLION, 1), Month(MILLION, 2))
    )
    assert 0 < crowd - buys < buys - nothing
    assert busy_seconds(Month(0, 5), CPU) == 0
    assert busy_seconds(Month(MILLION, 1), CPU) > busy_seconds(Month(MILLION, 2), CPU) / 2
