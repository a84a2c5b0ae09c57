"""Samples on disk: whole lines whatever happens."""

import errno
import os
import pathlib

import pytest

from optimal_tp.errors import StorageFailed
from optimal_tp.measurement.samples import encode
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


@pytest.mark.parametrize("room", [0, 1, 100, 700, 5000])
def test_a_full_disk_leaves_whole_lines_and_says_how_many(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """The disk takes ``room`` more bytes: whole lines within them stay, and the sentence counts them.

    What comes later is counted as lost too, even where there is room again: a file with a gap would look whole.
    """
    path = tmp_path / "samples.jsonl"
    real, left = os.pwrite, [room]

    def short(fd: int, data: bytes, offset: int) -> int:
        if left[0] == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = real(fd, data[: left[0]], offset)
        left[0] -= taken
        return taken

    kept = spool.Spool(path)
    for number in range(50):
        kept.add(make_sample(request=number))
    monkeypatch.setattr(os, "pwrite", short)
    lines = room // (len(encode(make_sample(request=9))) + 1)
    sentence = (
        f"samples cannot be written to {path}: No space left on device; the {lines} samples written before are whole, "
        f"{50 - lines} after them are lost; make room there or name another folder"
    )
    with pytest.raises(StorageFailed, match=whole(sentence)):
        kept.flush()
    left[0] = 10_000
    for more in (1, 2):
        one_more = sentence.replace(f"{50 - lines} after", f"{50 - lines + more} after")
        with pytest.raises(StorageFailed, match=whole(one_more)):
            kept.add(make_sample(request=50))
    kept.close()

    assert [sample.request for sample in read_samples(path)] == list(range(lines))


def test_a_really_full_device_is_told() -> None:
    """Linux has a device that is always full."""
    kept = spool.Spool(pathlib.Path("/dev/full"))
    kept.add(make_sample())

    with pytest.raises(StorageFailed, match=r"^samples cannot be written to /dev/full: No space left on device; "):
        kept.flush()
