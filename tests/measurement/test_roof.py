"""What cores attain, measured for real on this machine, and what is said where that cannot be."""

import os
import pathlib
import stat
import sys

import pytest

from optimal_tp.facts.hardware import Roof
from optimal_tp.facts.known import SHAPES
from optimal_tp.local.roof import LARGEST_BYTES, attained_roof, buffer_bytes, physics_of

pytestmark = pytest.mark.measurement
CORE = min(os.sched_getaffinity(0))


def test_a_core_reads_between_a_tenth_and_a_thousand_gigabytes() -> None:
    """Reading 64 MB: a figure of a real core, with its words; the products wait for the servers' torch."""
    found = attained_roof(pathlib.Path(sys.executable), [CORE], 64_000_000, "bfloat16", os.environ, seconds=0.4)

    assert found.roof is not None
    assert found.roof.kind == "attained"
    assert 1e8 < found.roof.bytes_per_second < 1e12
    assert found.roof.source.startswith("what each of 1 core attained at 20")


SCRIPTS = {
    "no numpy": ("exit 1", "was not measured (the servers' Python has no numpy)"),
    "no answer": ("echo ready; read line; echo nonsense", "was not measured (Expecting value"),
    "a loop that is the limit": (
        'echo ready; read line; echo \'{"read": {"best": 4e9, "median": 4e9, "cached": 5e9}, "compute": {}}\'',
        "the loop is only 1.25 times as fast on a core's own cache, so memory was not its limit",
    ),
}


@pytest.mark.parametrize(("script", "words"), SCRIPTS.values(), ids=SCRIPTS)
def test_a_figure_that_cannot_be_trusted_is_refused(tmp_path: pathlib.Path, script: str, words: str) -> None:
    """The run goes on without a roof, and says why."""
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    python.chmod(python.stat().st_mode | stat.S_IXUSR)

    found = attained_roof(python, [CORE], 1000, "bfloat16", os.environ)

    assert found.roof is None
    assert words in found.words


def test_the_buffer_is_what_a_core_of_the_largest_server_reads() -> None:
    """0.596 billion weights of two bytes over four cores; never more than a machine can spare."""
    assert buffer_bytes(SHAPES["Qwen/Qwen3-0.6B"], 2, 4) == 298_024_960
    assert buffer_bytes(SHAPES["Qwen/Qwen3-32B"], 2, 1) == LARGEST_BYTES


def attained(gigabytes: float, gigaflop: float | None, source: str = "what each of 2 cores attained") -> Roof:
    """Return a roof as a measurement finds it."""
    flop = None if gigaflop is None else gigaflop * 1e9
    return Roof(kind="attained", bytes_per_second=gigabytes * 1e9, flop_per_second=flop, source=source)


QWEN3 = SHAPES["Qwen/Qwen3-0.6B"]


def test_the_larger_figure_of_both_measurements_counts() -> None:
    """A bound must be one: a neighbour that slowed reading before the run, or computing after it, lowers nothing."""
    physics = physics_of(QWEN3, 2, attained(9, 120), attained(10, 119))

    assert physics is not None
    assert (physics.roof.bytes_per_second, physics.roof.flop_per_second) == (10e9, 120e9)
    assert [each.bytes_per_second for each in physics.measured] == [9e9, 10e9]
    assert physics.drift_share == pytest.approx(0.1)
    assert physics.roof.source == (
        "what each of 2 cores attained; after the run 10.0 GB/s and 119 GFLOP/s; the larger of each counts, and they "
        "differ by up to 10 %, more than the 5 % of a steady machine, so its clock or its neighbours changed"
    )


def test_a_steady_machine_is_told_without_a_warning() -> None:
    """Both are said, and by how much they differ."""
    physics = physics_of(QWEN3, 2, attained(10, None), attained(9.7, None))

    assert physics is not None
    assert physics.roof.source.endswith(
        "; after the run 9.70 GB/s; the larger of each counts, and they differ by up to 3 %"
    )


@pytest.mark.parametrize(
    ("before", "after", "speeds"),
    [(None, None, None), (attained(9, 1), None, [9e9]), (None, attained(8, 1), [8e9])],
    ids=["neither", "before", "after"],
)
def test_one_measurement_is_enough(before: Roof | None, after: Roof | None, speeds: list[float] | None) -> None:
    """What failed leaves the other as it is; without any there is no roof, and no difference to tell."""
    physics = physics_of(QWEN3, 2, before, after)

    assert (None if physics is None else [each.bytes_per_second for each in physics.measured]) == speeds
    assert physics is None or (physics.roof, physics.drift_share) == (physics.measured[0], None)
    assert physics is None or "after the run" not in physics.roof.source


def test_a_figure_that_only_one_measurement_has_is_not_compared() -> None:
    """The products came only the second time: they count, and the difference is that of reading alone."""
    physics = physics_of(QWEN3, 2, attained(10, None), attained(10, 50))

    assert physics is not None
    assert (physics.roof.flop_per_second, physics.drift_share) == (50e9, 0)
