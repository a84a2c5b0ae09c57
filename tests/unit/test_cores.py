"""Where the client runs and before whom: as asked for, or a sentence why not."""

import os
import pathlib
import typing

import pytest

from optimal_tp.cli import load
from optimal_tp.cli.load import core_wait_seconds, pin, scheduling, take_precedence
from optimal_tp.errors import CapacityError
from tests.fakes_samples import whole


def test_a_core_that_is_not_there_is_refused() -> None:
    """The sentence names the cores that are."""
    allowed = ", ".join(map(str, sorted(os.sched_getaffinity(0))))
    rule = f"allowed cores are {allowed}: name one of them"
    sentence = f"this process cannot be pinned to core 1023: Invalid argument; {rule}"

    with pytest.raises(CapacityError, match=whole(sentence)):
        pin(1023)


def test_real_time_priority_is_taken_or_refused_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """The least one goes before every ordinary process; without the right a sentence says what it takes."""
    asked: list[tuple[int, int, int]] = []
    monkeypatch.setattr(os, "sched_setscheduler", lambda *words: asked.append((*words[:2], words[2].sched_priority)))
    take_precedence()

    assert asked == [(0, os.SCHED_FIFO, 1)]

    def refuse(*_: object) -> typing.NoReturn:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    sentence = (
        "this process cannot have real-time priority: Operation not permitted; "
        "it needs CAP_SYS_NICE or an rtprio limit of at least 1"
    )

    with pytest.raises(CapacityError, match=whole(sentence)):
        take_precedence()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("792686 2500000000 7\n", 2.5), ("0 0 0\n", 0.0), ("", None), ("5\n", None), ("a b c\n", None), (None, None)],
    ids=["waited", "never", "empty", "short", "nonsense", "missing"],
)
def test_the_wait_for_a_core_is_the_systems_count(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, text: str | None, seconds: float | None
) -> None:
    """The second field, in nanoseconds; what no one counts is None, never 0."""
    if text is not None:
        (tmp_path / "schedstat").write_text(text)
    monkeypatch.setattr(load, "_SCHEDSTAT", tmp_path / "schedstat")

    assert core_wait_seconds() == seconds


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (os.SCHED_OTHER, "ordinary, nice 7"),
        (os.SCHED_IDLE, "idle, nice 7"),
        (os.SCHED_FIFO, "real-time fifo, priority 3"),
        (6, "policy 6, nice 7"),
    ],
)
def test_the_scheduling_is_told_in_words(monkeypatch: pytest.MonkeyPatch, policy: int, words: str) -> None:
    """Class and rank, also of a class that this program does not know."""
    monkeypatch.setattr(os, "sched_getscheduler", lambda _: policy)
    monkeypatch.setattr(os, "sched_getparam", lambda _: os.sched_param(3))
    monkeypatch.setattr(os, "getpriority", lambda *_: 7)

    assert scheduling() == words
