"""The heartbeat: everything still reaches the person beside it, and the bucket gets a few small objects a minute."""

import collections.abc
import dataclasses
import threading
import time

from optimal_tp.measurement.progress import Look, Progress, decode_progress, encode_progress
from optimal_tp.telemetry.heartbeat import Heartbeat
from tests.fakes_watch import PROGRESS, look


@dataclasses.dataclass
class Person:
    """Keeps what it was told."""

    told: list[str] = dataclasses.field(default_factory=list)

    def say(self, line: str) -> None:
        """Keep a line."""
        self.told.append(line)

    def stage(self, name: str, *, total: float | None) -> None:
        """Keep a stage."""
        self.told.append(f"{name} {total}")

    def advance(self, detail: str, *, done: float) -> None:
        """Keep how far it is."""
        self.told.append(f"{detail} {done}")

    def look(self, seen: Look) -> None:
        """Keep a look."""
        self.told.append(seen.words)

    def end(self) -> None:
        """Keep the end."""
        self.told.append("end")


def heartbeat(
    person: Person, put: collections.abc.Callable[[bytes], str | None], every_seconds: float = 3600
) -> Heartbeat:
    """Return a heartbeat whose clock stands still."""
    return Heartbeat(person, put, PROGRESS, clock=lambda: 50.0, every_seconds=every_seconds)


def stored(objects: list[bytes]) -> Progress:
    """Return what was stored last."""
    return decode_progress(objects[-1])


STORED = (
    b'{"run":"20260701T120000Z-aaaa","model":"Qwen/Qwen3-0.6B","series":"b","degrees":[1,2],'
    b'"region":"ap-southeast-4","started":0.0,"stage":"starting","stage_started":0.0,"stage_seconds":null,"detail":"",'
    b'"lines":[],"looks":[{"blocks":5,"reason":"settled","ratios":[{"first":1,"second":2,"value":2.0,'
    b'"interval":{"low":1.0,"high":4.0}}]}],"written":0.0,"is_over":false}'
)


def test_an_object_is_stored_as_ever() -> None:
    """Byte for byte: a watcher of another release reads it, and the model's title keeps its stored key.

    A look of an earlier release has neither precision nor time, and is read as one that does not know them.
    """
    progress = dataclasses.replace(PROGRESS, model_title="b", looks=(look(5, 1.0, 4.0),))
    unknown = b',"resolution":null,"spent_seconds":null,"budget_seconds":null'

    assert encode_progress(progress).replace(unknown, b"") == STORED
    assert decode_progress(STORED) == progress


def test_everything_reaches_the_person() -> None:
    """Whoever sits beside the run sees what they saw without a heartbeat, in the same order."""
    person = Person()
    each = heartbeat(person, lambda _: None)
    each.stage("blocks", total=60)
    each.advance("block 1", done=2)
    each.say("a line")
    each.look(look(5, 1.2, 1.6))
    each.end()

    assert person.told == ["blocks 60", "block 1 2", "a line", "settled; TP1/TP2 per core 1.39 (1.20 to 1.60)", "end"]


def test_the_end_has_all_that_was_told() -> None:
    """Stage, detail, the last lines, every look, and that it is over."""
    objects: list[bytes] = []
    each = heartbeat(Person(), objects.append)
    each.stage("blocks", total=60)
    each.advance("block 7", done=9)
    for number in range(8):
        each.say(f"line {number}")
    each.look(look(5, 1.2, 1.6))
    each.look(look(6, 1.3, 1.5))
    each.end()
    last = stored(objects)

    assert (last.stage, last.stage_seconds, last.detail, last.written) == ("blocks", 60, "block 7", 50)
    assert last.lines == tuple(f"line {number}" for number in range(3, 8))
    assert [seen.blocks for seen in last.looks] == [5, 6]
    assert last.is_over


def test_what_is_told_costs_no_call() -> None:
    """A thousand lines between two writes are one write: calls follow the clock, not the load."""
    objects: list[bytes] = []
    each = heartbeat(Person(), objects.append)
    each.stage("blocks", total=None)
    for number in range(1000):
        each.say(f"line {number}")
        each.advance(f"block {number}", done=number)
    each.end()

    assert 1 <= len(objects) <= 2
    assert stored(objects).lines[-1] == "line 999"


def test_a_change_is_written_in_time() -> None:
    """The thread writes what is new, and no more once the run has ended."""
    objects: list[bytes] = []
    each = heartbeat(Person(), objects.append, every_seconds=0.001)
    each.stage("blocks", total=None)
    each.say("new")
    deadline = time.monotonic() + 5
    while not (objects and stored(objects).lines) and time.monotonic() < deadline:
        time.sleep(0.001)
    each.end()
    count = len(objects)
    each.say("after the end")

    assert "new" in stored(objects).lines
    assert len(objects) == count


def test_the_first_look_and_the_newest_are_kept() -> None:
    """The object stays small however many blocks there are, and still tells where the interval began."""
    progress = PROGRESS
    for blocks in range(5, 105):
        progress = progress.looking(look(blocks, 1.2, 1.6))

    assert [seen.blocks for seen in progress.looks] == [5, *range(86, 105)]


def test_the_probe_after_a_run_writes_nothing() -> None:
    """It goes on for ever, and takes nothing of the run's end back."""
    objects: list[bytes] = []
    each = heartbeat(Person(), objects.append, every_seconds=0.001)
    each.stage("blocks", total=None)
    each.end()
    each.stage("steady probe", total=None)
    each.say("a round")
    time.sleep(0.02)

    assert (stored(objects).stage, stored(objects).is_over) == ("blocks", True)


def test_a_bucket_that_hangs_does_not_hold_the_end() -> None:
    """A run that is told to end has seconds, and a write may take minutes to fail."""
    person, answered = Person(), threading.Event()
    writes: list[bytes] = []

    def put(content: bytes) -> None:
        writes.append(content)
        answered.wait(60)

    each = Heartbeat(person, put, PROGRESS, clock=lambda: 50.0, every_seconds=3600, patience_seconds=0.01)
    each.stage("blocks", total=None)
    each.end()
    held = len(writes)
    answered.set()

    assert person.told[-1] == "end"
    assert held <= 1


def test_a_bucket_that_does_not_answer_is_said_once() -> None:
    """The run goes on, and its log says why nobody can watch."""
    person = Person()
    each = heartbeat(person, lambda _: "no such bucket")
    each.write()
    each.write()

    assert person.told == ["optimal-tp watch cannot follow this run for now: no such bucket"]
