"""The one line of a log that says what went wrong, or how far it is."""

import pytest

from optimal_tp.cluster.telling import LONGEST, left_behind_line, progress_line, short, telling_line

TRACEBACK = """INFO 12:00:01 loading
Traceback (most recent call last):
  File "/vllm/worker.py", line 9, in init
RuntimeError: NCC_EXTP004: too many instructions
INFO 12:00:02 shutting down
"""


@pytest.mark.parametrize(
    ("log", "line"),
    [
        (TRACEBACK, "RuntimeError: NCC_EXTP004: too many instructions"),
        ("RuntimeError: x\n2026-11-24 12:00:00 not compiled: the server ended with status 1\nbye\n", None),
        ("ValueError: y\nnot compiled: the server ended with status 1; its own lines above say why\n", "ValueError: y"),
        (
            "not compiled: it ended; its own lines above say why\n",
            "not compiled: it ended; its own lines above say why",
        ),
        ("not fetched: the hub says 401\nERROR: exit 1\n", "not fetched: the hub says 401"),
        (
            "loading\nE RESOURCE_EXHAUSTED: LoadExecutable: 12 GiB\nbye\n",
            "E RESOURCE_EXHAUSTED: LoadExecutable: 12 GiB",
        ),
        ("nrt_init failed with 2\nbye\n", "nrt_init failed with 2"),
        ("loading shard 1 of 8\n\n", "loading shard 1 of 8"),
        ("\x1b[31mERROR\x1b[0m  no   space\n", "ERROR no space"),
    ],
    ids=["traceback", "stamped", "points above", "nothing above", "our own", "memory", "runtime", "last", "colour"],
)
def test_the_telling_line(log: str, line: str | None) -> None:
    """Our own program's words first, then the last error, else the last line."""
    assert telling_line(log) == (line or "2026-11-24 12:00:00 not compiled: the server ended with status 1")


def test_an_empty_log_says_nothing() -> None:
    """None, so that other words are looked for."""
    assert telling_line("\n \n") is None
    assert left_behind_line("nrt_init failed\n") is None


def test_how_far_a_fetch_is() -> None:
    """By the last line of many; before the first there is none."""
    log = "fetching 9 files, 8.04 GB\n"
    assert progress_line(log) is None
    log += "fetched 1.20 GB of 8.04 GB (15%), 60 MB/s\nfetched 3.20 GB of 8.04 GB (40%), 100 MB/s\nretrying\n"
    assert progress_line(log) == "3.20 GB of 8.04 GB (40%), 100 MB/s"


def test_cores_that_were_left_behind() -> None:
    """By the runtime's function or its status, whatever stands around it."""
    assert left_behind_line("a\nTDRV nrt_allocate_neuron_cores failed\nb\n") == "TDRV nrt_allocate_neuron_cores failed"
    assert left_behind_line("status NRT_RESOURCE (4)\n") == "status NRT_RESOURCE (4)"


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("GET https://hub/x?X-Amz-Signature=abc&y=1 failed", "GET https://hub/x?… failed"),
        ("https://me:pass@hub/x refused", "https://…@hub/x refused"),
        ("Authorization: Bearer abc.def", "Authorization: …"),
        ("HF_TOKEN=hf_abcdefghijkl was refused", "HF_TOKEN=… was refused"),
        ("key AKIAABCDEFGHIJKLMNOP is unknown", "key … is unknown"),
        ("max_tokens: 4 is too few", "max_tokens: 4 is too few"),
    ],
)
def test_nothing_secret_is_quoted(words: str, shown: str) -> None:
    """Reasons stand in reports."""
    assert short(words) == shown


def test_a_long_line_is_cut() -> None:
    """To a sentence's length."""
    assert len(short("x" * 1000)) == LONGEST
