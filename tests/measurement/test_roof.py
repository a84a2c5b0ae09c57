"""What cores attain, measured for real on this machine, and what is said where that cannot be."""

import os
import pathlib
import stat
import sys

import pytest

from optimal_tp.facts.known import SHAPES
from optimal_tp.local.roof import LARGEST_BYTES, attained_roof, buffer_bytes

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
