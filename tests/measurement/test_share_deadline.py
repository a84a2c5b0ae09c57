"""A share of a run that several processes have together ends before the money does."""

import asyncio
import dataclasses
import datetime as dt
import functools
import pathlib

import pytest

from optimal_tp.cluster import deadline, job
from optimal_tp.cluster.assembly import assembled
from optimal_tp.cluster.job import PodOptions
from optimal_tp.cluster.order import ModelOrder, Order
from optimal_tp.errors import CapacityError
from optimal_tp.results.source import read
from optimal_tp.settings.workload import parse_workloads
from tests.fakes_server import Script, ScriptedServer
from tests.measurement.test_share_command import SETTINGS


def ordered(folder: pathlib.Path, urls: dict[int, str], *, left_seconds: float) -> tuple[Order, PodOptions]:
    """Return the order of the only share, which begins in a second; the money ends ``left_seconds`` from now."""
    decision = {"minimum_blocks": 4, "maximum_blocks": 400, "budget_seconds": 120}
    settings = {**SETTINGS, "decision": decision}
    now = dt.datetime.now(dt.UTC)
    (folder / "deadline").write_text((now + dt.timedelta(seconds=left_seconds)).isoformat())
    model = ModelOrder(
        settings=parse_workloads(settings, file="test"), targets={degree: (url,) for degree, url in urls.items()}
    )
    order = Order(models=(model,), results=str(folder / "out"), deadline_file=folder / "deadline")
    return order, PodOptions(pods=1, pod=0, job=None, start=now + dt.timedelta(seconds=2))


def test_a_share_ends_a_minute_before_the_money(tmp_path: pathlib.Path) -> None:
    """What was measured until then is kept, and its ending says why it is no more."""
    script = Script(model="planted", ttft_seconds=0.03, gap_seconds=0.01, slots=4)
    with ScriptedServer(script) as first, ScriptedServer(dataclasses.replace(script, gap_seconds=0.005)) as second:
        order, options = ordered(tmp_path, {1: first.url, 2: second.url}, left_seconds=deadline.MARGIN_SECONDS + 6)
        status = asyncio.run(assembled(order, functools.partial(job.measure_share, options)))
    (folder,) = (tmp_path / "out").iterdir()
    record = read(str(folder)).record

    assert status == 0
    assert record.ending == "budget"
    assert str(record.ending_detail).startswith("the budget ends at 20")
    assert record.turns


def test_without_money_no_share_begins(tmp_path: pathlib.Path) -> None:
    """The Job ends with the sentence, and no server is asked anything."""
    order, options = ordered(tmp_path, {1: "http://127.0.0.1:9", 2: "http://127.0.0.1:9"}, left_seconds=1)
    with pytest.raises(CapacityError, match=r"^the budget ended at .*, so nothing is started; raise spend\.budget_usd"):
        asyncio.run(assembled(order, functools.partial(job.measure_share, options)))

    assert not (tmp_path / "out").exists()
