"""A share of a run that several processes have together ends before the money does."""

import argparse
import asyncio
import dataclasses
import datetime as dt
import pathlib

import pytest
import yaml

from optimal_tp.cli import share
from optimal_tp.cluster import deadline
from optimal_tp.cluster.job import PodOptions
from optimal_tp.cluster.order import Order
from optimal_tp.errors import CapacityError
from optimal_tp.results.source import read
from tests.fakes_server import Script, ScriptedServer
from tests.measurement.test_share_command import SETTINGS


def ordered(folder: pathlib.Path, urls: dict[int, str], *, left_seconds: float) -> tuple[Order, PodOptions]:
    """Return the order of the only share, which begins in a second; the money ends ``left_seconds`` from now."""
    decision = {"minimum_blocks": 4, "maximum_blocks": 400, "budget_seconds": 120}
    settings = {**SETTINGS, "decision": decision}
    (folder / "settings.yaml").write_text(yaml.safe_dump({"workloads": settings}))
    now = dt.datetime.now(dt.UTC)
    (folder / "deadline").write_text((now + dt.timedelta(seconds=left_seconds)).isoformat())
    parser = argparse.ArgumentParser()
    share.configure(parser)
    words = ["--settings", str(folder / "settings.yaml"), "--results", str(folder / "out"), "--pods", "1", "--pod", "0"]
    words += ["--starts-at", (now + dt.timedelta(seconds=2)).isoformat()]
    words += ["--deadline-file", str(folder / "deadline")]
    words += [word for degree, url in urls.items() for word in ("--target", f"{degree}={url}")]
    return share.asked(parser.parse_args(words), {})


def test_a_share_ends_a_minute_before_the_money(tmp_path: pathlib.Path) -> None:
    """What was measured until then is kept, and its ending says why it is no more."""
    script = Script(model="planted", ttft_seconds=0.03, gap_seconds=0.01, slots=4)
    with ScriptedServer(script) as first, ScriptedServer(dataclasses.replace(script, gap_seconds=0.005)) as second:
        order, options = ordered(tmp_path, {1: first.url, 2: second.url}, left_seconds=deadline.MARGIN_SECONDS + 6)
        status = asyncio.run(share._main(order, options))
    (folder,) = (tmp_path / "out").iterdir()
    record = read(str(folder)).record

    assert status == 0
    assert record.ending == "budget"
    assert str(record.ending_detail).startswith("the money ends at 20")
    assert record.turns


def test_without_money_no_share_begins(tmp_path: pathlib.Path) -> None:
    """The Job ends with the sentence, and no server is asked anything."""
    order, options = ordered(tmp_path, {1: "http://127.0.0.1:9", 2: "http://127.0.0.1:9"}, left_seconds=1)
    with pytest.raises(CapacityError, match=r"^the budget ended at .*, so nothing is started; raise spend\.budget_usd"):
        asyncio.run(share._main(order, options))

    assert not (tmp_path / "out").exists()
