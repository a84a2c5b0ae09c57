"""The hard stop of the load generator: when a run ends for money's sake, and what becomes of its servers."""

import asyncio
import contextlib
import datetime as dt
import io
import pathlib

import pytest
from rich.console import Console

from optimal_tp.cluster.deadline import Cores, cores_free_after, read_deadline, until_signalled, within_budget
from optimal_tp.errors import CapacityError
from optimal_tp.experiment.turns import Halt, How
from optimal_tp.telemetry.console import PlainWatcher
from tests.fakes_kubernetes import FakeControls
from tests.fakes_samples import whole

NOON = dt.datetime(2026, 11, 24, 12, 0, tzinfo=dt.UTC)


def cores(controls: FakeControls, *pauses_seconds: float) -> Cores:
    """Return one server and one Job, which ``controls`` stop."""
    return Cores(controls=controls, deployments=("tp1",), jobs=("tp1-compile",), pauses_seconds=pauses_seconds)


def deadline_file(folder: pathlib.Path, deadline: dt.datetime) -> pathlib.Path:
    """Write ``deadline`` as the cluster does."""
    path = folder / "deadline"
    path.write_text(f"{deadline.isoformat()}\n", encoding="utf-8")
    return path


async def halted(path: pathlib.Path, *times: dt.datetime, moved_to: dt.datetime | None = None) -> Halt:
    """Return the halt of a run that reads ``times`` from its clock, one after the other."""
    clock = iter(times)
    halt = Halt(event=asyncio.Event())
    async with within_budget(path, halt, look_seconds=0, now=lambda: next(clock, times[-1])):
        if moved_to is not None:
            deadline_file(path.parent, moved_to)
        for _ in range(20):
            await asyncio.sleep(0)
    return halt


def test_a_run_ends_a_minute_before_its_money(tmp_path: pathlib.Path) -> None:
    """So that its last requests are not answered by servers that the guard takes away."""
    path = deadline_file(tmp_path, NOON)
    before, at = (
        asyncio.run(halted(path, NOON - dt.timedelta(hours=1), NOON - dt.timedelta(seconds=seconds)))
        for seconds in (61, 60)
    )

    assert before.reasons == []
    assert at.reasons == [
        (
            "budget",
            ("the budget ends at 2026-11-24T12:00:00+00:00 (spend.budget_usd); what was measured until then is kept"),
        )
    ]


def test_a_deadline_that_is_moved_is_seen(tmp_path: pathlib.Path) -> None:
    """A larger budget lets the run go on, without starting it again."""
    path = deadline_file(tmp_path, NOON)
    early, late = NOON - dt.timedelta(hours=1), NOON

    moved = asyncio.run(halted(path, early, early, late, moved_to=NOON + dt.timedelta(hours=1)))

    assert moved.reasons == []


def test_a_file_that_is_being_changed_leaves_the_deadline_as_it_was(tmp_path: pathlib.Path) -> None:
    """Half a date is no deadline, and the run goes on under the one that it knows."""
    path = deadline_file(tmp_path, NOON)

    async def broken() -> Halt:
        halt = Halt(event=asyncio.Event())
        async with within_budget(path, halt, look_seconds=0, now=lambda: NOON - dt.timedelta(hours=1)):
            path.write_text("2026-11-", encoding="utf-8")
            for _ in range(20):
                await asyncio.sleep(0)
        return halt

    assert asyncio.run(broken()).reasons == []


def test_nothing_is_started_after_the_deadline(tmp_path: pathlib.Path) -> None:
    """A pod that is started again, by whomever, does not spend what is not there."""
    path = deadline_file(tmp_path, NOON)

    with pytest.raises(CapacityError) as refused:
        asyncio.run(halted(path, NOON + dt.timedelta(hours=1)))
    assert str(refused.value) == (
        "the budget ended at 2026-11-24T12:00:00+00:00, so nothing is started; raise spend.budget_usd or set another "
        "loadtest.run to measure again"
    )


def test_what_goes_on_after_the_deadline_is_ended_at_once(tmp_path: pathlib.Path) -> None:
    """A pod that takes another's place judges what that one measured, and starts nothing."""
    path = deadline_file(tmp_path, NOON)

    async def going_on() -> Halt:
        halt = Halt(event=asyncio.Event())
        async with within_budget(path, halt, goes_on=True, now=lambda: NOON):
            await asyncio.sleep(0)
        return halt

    assert [how for how, _ in asyncio.run(going_on()).reasons] == ["budget"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", " cannot be read, so nothing is started: Invalid isoformat string: ''"),
        ("soon", " cannot be read, so nothing is started: Invalid isoformat string: 'soon'"),
        ("2026-11-24T12:00:00", " must have a time zone (got 2026-11-24 12:00:00), so nothing is started"),
    ],
    ids=["empty", "no date", "no time zone"],
)
def test_a_deadline_that_cannot_be_read_starts_nothing(tmp_path: pathlib.Path, text: str, what: str) -> None:
    """Doubt about money is no permission to spend it."""
    path = tmp_path / "deadline"
    path.write_text(text, encoding="utf-8")

    sentence = f"the budget's deadline in {path}{what}; run `pulumi up` to write it again"
    with pytest.raises(CapacityError, match=whole(sentence)):
        read_deadline(path)


def test_without_a_deadline_there_is_none() -> None:
    """Servers of one's own, and a probe that was chosen to be endless."""

    async def run() -> Halt:
        halt = Halt(event=asyncio.Event())
        async with within_budget(None, halt):
            await asyncio.sleep(0)
        return halt

    assert asyncio.run(run()).reasons == []


async def ended(controls: FakeControls | None, how: How | None, *, failing: bool = False) -> str:
    """Return what is said when a run over the server of ``controls`` has ended by ``how``."""
    said = io.StringIO()
    halt = Halt(event=asyncio.Event())
    if how is not None:
        halt.set(how, "a sentence")
    with contextlib.suppress(LookupError):
        held = None if controls is None else cores(controls)
        async with cores_free_after(held, halt, PlainWatcher(Console(file=said))):
            if failing:
                raise LookupError
    return said.getvalue()


@pytest.mark.parametrize(
    ("how", "failing", "stops"),
    [(None, False, 1), ("budget", False, 1), ("failed", False, 1), (None, True, 1), ("interrupted", False, 0)],
    ids=["settled", "money", "a server died", "an error", "a signal"],
)
def test_cores_are_free_after_the_run(how: How | None, failing: bool, stops: int) -> None:  # noqa: FBT001 - a parameter of pytest
    """However it ends; but a signal comes from somebody who goes on with them, such as another ``pulumi up``."""
    controls = FakeControls()
    asyncio.run(ended(controls, how, failing=failing))

    assert controls.orders == [("tp1", 0), ("job tp1-compile", 0)] * stops


def test_a_server_that_does_not_stop_is_said() -> None:
    """The run's own end matters more than the refusal, which the guard makes good; all others are stopped."""
    controls = FakeControls("tp1")
    said = asyncio.run(ended(controls, None))

    assert "not every server was stopped; the guard will stop the rest at the deadline: no right to tp1" in said
    assert controls.orders == [("job tp1-compile", 0)]


def test_an_api_server_that_restarts_is_asked_again() -> None:
    """What was refused for a while is stopped in the end, and what was stopped is not asked for twice."""
    controls = FakeControls("tp1", times=2)
    asyncio.run(cores(controls, 0, 0).free())

    assert controls.orders == [("job tp1-compile", 0), ("tp1", 0)]


def test_servers_of_others_are_left_alone() -> None:
    """Nothing is said of servers that somebody else started."""
    assert asyncio.run(ended(None, None)) == ""


def test_waiting_ends_with_a_signal_only() -> None:
    """The money's end has set the event long before."""

    async def run() -> bool:
        halt = Halt(event=asyncio.Event())
        halt.set("budget", "the money ends")
        waiting = asyncio.create_task(until_signalled(halt, look_seconds=0))
        for _ in range(5):
            await asyncio.sleep(0)
        still = not waiting.done()
        halt.set("interrupted", "SIGTERM")
        await waiting
        return still

    assert asyncio.run(run())
