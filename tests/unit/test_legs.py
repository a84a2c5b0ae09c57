"""A sweep survives the death of its process: its record says which model is to go on, and each run has its own."""

import asyncio
import collections.abc
import pathlib

import pytest
from rich.console import Console

from optimal_tp.errors import Interrupted, ResumeFailed, ServerFailed
from optimal_tp.experiment.legs import SweepKeeper, measure_all
from optimal_tp.experiment.turns import Halt
from optimal_tp.measurement.sweep import SWEEP, Leg, Sweep, decode_sweep
from optimal_tp.results.folder import Bucket
from optimal_tp.telemetry.console import PlainWatcher
from tests.fakes_s3 import FakeS3

PLANNED = Sweep(sweep="s", legs=tuple(Leg(model=f"me/{name}", folder=name) for name in ("one", "two", "three")))


def measured(
    keeper: SweepKeeper, ends: collections.abc.Mapping[int, Exception], *, signal: bool = False
) -> tuple[list[int], Exception | None]:
    """Measure what is left of a sweep; return which models were, and what was raised."""
    began: list[int] = []

    async def measure(index: int) -> None:
        began.append(index)
        if index in ends:
            raise ends[index]

    async def work() -> None:
        halt = Halt(event=asyncio.Event())
        if signal:
            halt.reasons.append(("interrupted", "SIGTERM"))
        await measure_all(keeper.restored(PLANNED), measure, keeper, PlainWatcher(Console(quiet=True)), halt)

    try:
        asyncio.run(work())
    except (Interrupted, ResumeFailed, KeyboardInterrupt) as error:
        return began, error if isinstance(error, Exception) else None
    return began, None


def states(folder: pathlib.Path) -> list[str]:
    """Return the state of each model."""
    return [leg.state for leg in decode_sweep((folder / SWEEP).read_text()).legs]


def test_a_sweep_goes_on_where_it_was(tmp_path: pathlib.Path) -> None:
    """A model that failed is not tried again; those that had ended are asked for their run, which has it whole."""
    keeper = SweepKeeper(tmp_path, Bucket(FakeS3(), "b", "runs/s"))
    first, _ = measured(keeper, {0: ServerFailed("it died"), 2: Interrupted("SIGTERM")}, signal=True)

    assert first == [0, 1, 2]
    assert states(tmp_path) == ["failed", "ended", "running"]
    assert measured(keeper, {}) == ([1, 2], None)
    assert states(tmp_path) == ["failed", "ended", "ended"]


def test_without_a_bucket_nobody_goes_on(tmp_path: pathlib.Path) -> None:
    """A sweep that a person ends on this machine has its last model ended with it."""
    measured(SweepKeeper(tmp_path, None), {1: Interrupted("Ctrl-C")}, signal=True)

    assert states(tmp_path) == ["ended", "failed", "waiting"]


def test_a_sweep_on_another_node_finds_its_record_in_the_bucket(tmp_path: pathlib.Path) -> None:
    """The folder went with the node."""
    bucket = Bucket(FakeS3(), "b", "runs/s")
    (tmp_path / "new").mkdir()
    (tmp_path / "old").mkdir()
    measured(
        SweepKeeper(tmp_path / "old", bucket), {0: ServerFailed("it died"), 1: Interrupted("SIGTERM")}, signal=True
    )

    assert measured(SweepKeeper(tmp_path / "new", bucket), {}) == ([1, 2], None)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "sweep.json does not hold a sweep that this release can continue ("),
        (
            '{"schema_version": 1, "sweep": "s", "legs": []}',
            "sweep.json holds a sweep of other models than these settings",
        ),
    ],
)
def test_another_sweep_is_not_gone_on_with(tmp_path: pathlib.Path, text: str, sentence: str) -> None:
    """It says so."""
    (tmp_path / SWEEP).write_text(text)
    began, error = measured(SweepKeeper(tmp_path, None), {})

    assert began == []
    assert sentence in str(error)


def test_a_run_that_cannot_be_gone_on_with_ends_the_sweep(tmp_path: pathlib.Path) -> None:
    """Whoever lives it begins another one."""
    began, error = measured(SweepKeeper(tmp_path, None), {0: ResumeFailed("other pins")})

    assert (began, str(error)) == ([0], "other pins")
