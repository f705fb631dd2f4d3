"""The soak's own arithmetic: what counts as growth, and that its page can be written of any run."""

import msgspec
import pytest

from tests.campaign.soak import Soak, grown, slope_per_hour
from tests.campaign.soak_report import drawing, page
from tests.campaign.usage import Sample


def samples(count: int, api_mb_per_hour: float) -> list[Sample]:
    """One sample a minute, warm from the first on."""
    return [
        {"at": 60.0 * n, "api MB": 180 + api_mb_per_hour * n / 60, "api files": 60.0, "journal entries": 5000}
        for n in range(count)
    ]


def test_the_slope_is_that_of_the_second_half() -> None:
    seen = samples(120, 0.0)[:60] + samples(120, 6.0)[60:]
    assert slope_per_hour(seen, "api MB") == pytest.approx(6.0)
    assert slope_per_hour(samples(120, 0.0), "api MB") == pytest.approx(0.0)
    assert slope_per_hour(seen[:4], "api MB") is None
    assert slope_per_hour(seen, "valkey MB") is None


def test_what_grows_beyond_its_bound_is_named() -> None:
    assert grown(samples(120, 1.0)) == []
    assert [each.partition(":")[0] for each in grown(samples(120, 200.0))] == ["api MB"]
    longer = samples(120, 0.0)
    longer[-1]["journal entries"] = 1e6
    assert [each.partition(":")[0] for each in grown(longer)] == ["journal entries"]


@pytest.mark.parametrize("faults", [[], [(90.0, "kill valkey"), (180.0, "kill postgres")]])
@pytest.mark.parametrize("rates", [(None, 60.0), (680.0, None), (None, None)])
def test_the_page_of_any_run_can_be_written(
    faults: list[tuple[float, str]], rates: tuple[float | None, float | None]
) -> None:
    most, set_rate = rates
    the = Soak(
        "abc", 7200.0, 90.0 if faults else None, most, set_rate, buyers=10, answers=432_000, orders=1,
        faults=faults, samples=samples(120, 1.5),
    )  # fmt: skip
    read = msgspec.json.decode(msgspec.json.encode(the), type=Soak)
    assert read == the
    written = page(read)
    assert "| api MB | 180 | 181 | 182 | 183 | 180 | 183 | +1.5 |" in written
    assert f"{len(faults)} faults" in written
    assert drawing(read).count('class="fault" d=') == len(faults) * 4
