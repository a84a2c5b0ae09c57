"""Samples on disk: whole lines whatever happens."""

import dataclasses
import math
import pathlib
import random

import pytest

from optimal_tp.errors import StorageFailed
from optimal_tp.measurement.samples import brief, encode
from optimal_tp.results import spool
from optimal_tp.results.source import samples_in
from tests.fakes_samples import make_sample, read_samples, whole


def test_samples_come_back_as_they_were(tmp_path: pathlib.Path) -> None:
    """Order, values and times, over more than one buffer."""
    samples = [make_sample(request=number, intended_seconds=float(number)) for number in range(1000)]
    path = tmp_path / "deep" / "samples.jsonl"
    with spool.Spool(path) as kept:
        for sample in samples:
            kept.add(sample)

    assert read_samples(path) == samples
    assert kept.samples == 1000


@pytest.mark.parametrize(
    "tokens",
    [(), (0.5,), (0.5,) * 32, (0.5, 0.5, 0.7), (0.5, 0.7, 0.5), (0.000001, 12345.678901)],
    ids=["none", "one", "one read", "two reads", "out of order", "small and large"],
)
def test_the_moments_of_tokens_come_back_as_they_were(tokens: tuple[float, ...]) -> None:
    """Equal ones, which are written out once, and those out of order, which are evidence."""
    (found,), _ = samples_in(encode(make_sample(token_seconds=tokens)), "samples.jsonl")

    assert found.token_seconds == tokens


def test_memory_is_bounded(tmp_path: pathlib.Path) -> None:
    """What was added is in the file without waiting for the end, but for one buffer."""
    path = tmp_path / "samples.jsonl"
    size = len(encode(make_sample())) + 1
    with spool.Spool(path) as kept:
        for _ in range(1000):
            kept.add(make_sample())

        assert 1000 * size - path.stat().st_size <= 65_536


@pytest.mark.parametrize("before", ["x" * 200_000, "{}\n" * 3, ""], ids=["half a line", "lines", "empty"])
def test_a_spool_starts_its_file_anew(tmp_path: pathlib.Path, before: str) -> None:
    """Two loads into the same file: it holds the samples of the second, as many as its result says."""
    path = tmp_path / "samples.jsonl"
    path.write_text(before)
    with spool.Spool(path) as kept:
        kept.add(make_sample(request=7))

    assert path.read_text() == encode(make_sample(request=7)) + "\n"


@pytest.mark.parametrize(("key", "value"), [("end_seconds", math.nan), ("rate_per_second", math.inf)])
def test_a_time_that_is_no_number_is_not_written(key: str, value: float) -> None:
    """JSON has no such number, and no request such a time."""
    with pytest.raises(ValueError, match=whole("request 7 has a time or rate that is not a finite number")):
        encode(make_sample(request=7, **{key: value}))


def test_a_really_full_device_is_told() -> None:
    """Linux has a device that is always full."""
    kept = spool.Spool(pathlib.Path("/dev/full"))
    kept.add(make_sample())

    with pytest.raises(StorageFailed, match=r"^samples cannot be written to /dev/full: No space left on device; "):
        kept.flush()


@pytest.mark.parametrize("tokens", [(), (0.1234567,), (0.1234564, 0.2, 1 / 3)], ids=["none", "one", "three"])
def test_a_run_is_steered_by_what_the_disk_has(tokens: tuple[float, ...]) -> None:
    """A clock is finer than the disk: who goes on with a run must see the very numbers that who began it saw."""
    draw = random.Random(7)
    for _ in range(200):
        moment = draw.uniform(0, 20_000)
        sample = make_sample(
            intended_seconds=moment,
            sent_seconds=moment + draw.random() / 7,
            end_seconds=moment + 1 / 3 + draw.random(),
            token_seconds=tuple(moment + each for each in tokens),
        )
        (again,), _ = samples_in(encode(sample), "samples.jsonl")

        assert brief(again) == brief(sample)
    assert brief(make_sample(sent_seconds=None)).sent_seconds is None


def test_what_steers_a_run_has_every_field_of_its_sample() -> None:
    """Only the moments between the first token and the last are left out."""
    sample = make_sample(max_num_seqs=4, replica=2, detail="it said so", token_seconds=(0.25, 0.5, 0.75))

    assert brief(sample) == dataclasses.replace(sample, token_seconds=(0.25, 0.75))


def test_without_a_buffer_each_sample_outlives_the_process(tmp_path: pathlib.Path) -> None:
    """It is the system's as soon as it is added, though nobody has closed or flushed the file."""
    path = tmp_path / "samples.jsonl"
    kept = spool.Spool(path, buffer_bytes=0)
    for number in range(3):
        kept.add(make_sample(request=number))

        assert [sample.request for sample in read_samples(path)] == list(range(number + 1))
    kept.close()
