"""Shares joined: the whole run where they are one, and why not where they are not."""

import collections.abc
import dataclasses
import functools
import typing

import pytest

from optimal_tp.measurement.counters.reading import Gauges, ServerCounts, Totals
from optimal_tp.measurement.run import Ending, Part, RunRecord, decode_run, encode_run
from optimal_tp.measurement.run_audit import audit_run, turn_reasons
from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.shares import Share
from optimal_tp.measurement.turns import Turn, key, samples_by_turn
from optimal_tp.results.parts import Joined, OfPod, join
from optimal_tp.results.retrial import retry
from optimal_tp.results.source import Source
from tests.fakes_run import Planted, Recorder, parsed, settings, total_limit

TRUTHS = (Planted(degree=1, latency_ms=300, noise=0.001), Planted(degree=2, latency_ms=400, noise=0.001))
START = 1_800_000_000.0
STEPS = (2, 4, 8)
LOAD = {"output_tokens": 50, "concurrency": list(STEPS)}


@functools.cache
def whole_run(blocks: int = 12, steps: tuple[int, ...] = STEPS) -> tuple[RunRecord, list[Sample]]:
    """Return a run as one process would have kept it, with blocks at every step."""
    recorder = Recorder()
    for truth in TRUTHS:
        recorder.turn(truth, "idle", requests=10)
    for truth in TRUTHS:
        for step in steps:
            recorder.turn(truth, "rising", requests=40, concurrency=step)
    for block in range(blocks):
        for step in steps:
            for truth in TRUTHS:
                recorder.turn(truth, "block", requests=40, block=block, concurrency=step)
    record = recorder.record(TRUTHS, settings(degrees=[1, 2], load=LOAD), ending="budget")
    turns = tuple(
        dataclasses.replace(turn, start_epoch_seconds=START + turn.start_seconds, foreign_cpu_share=None)
        for turn in record.turns
    )
    return dataclasses.replace(record, turns=turns), recorder.samples


def pod_of(record: RunRecord, samples: list[Sample], pod: int, pods: int = 2, **part: typing.Any) -> OfPod:
    """Return what one of ``pods`` would have kept of a whole run: its slots' requests, its part of each turn."""
    kept: list[Sample] = []
    turns: list[Turn] = []
    by_turn = samples_by_turn(samples)
    for turn in record.turns:
        share = Share(index=pod, count=pods).among(turn.concurrency or 1)
        own = [
            sample
            for sample in by_turn.get(key(turn), ())
            if share is not None and sample.request % share.count == share.index
        ]
        if own:
            kept += own
            end = max(sample.end_seconds for sample in own)
            turns.append(dataclasses.replace(turn, requests=len(own), end_seconds=end))
    default: dict[str, typing.Any] = {"machine": f"machine {pod}", "clock_error_ms": 4.0}
    of = Part(pod=pod, pods=pods, start="2027-01-15T08:00:00+00:00", **(default | part))
    return OfPod(of, dataclasses.replace(record, turns=tuple(turns), part=of), tuple(kept))


def two(**part: typing.Any) -> tuple[OfPod, OfPod]:
    """Return both shares of one run; ``part`` changes what the second says of itself."""
    record, samples = whole_run()
    return pod_of(record, samples, 0), pod_of(record, samples, 1, **part)


def verdict(joined: Joined) -> tuple[str, str | None, tuple[str, ...]]:
    """Return outcome, choice and reasons of a joined run."""
    source = Source(
        name="x",
        record=joined.record,
        samples=joined.samples,
        notes=joined.notes,
        stored_verdict=None,
        void=joined.void,
        faults=joined.faults,
    )
    found = retry(source).verdict
    return found.outcome, found.chosen, found.reasons


def test_two_shares_are_the_run() -> None:
    """Every turn with every sample, each once: what one process would have kept."""
    record, samples = whole_run()
    joined = join(two())
    kept = {key(turn) for turn in joined.record.turns}

    assert joined.void == ()
    assert list(joined.record.turns) == [turn for turn in record.turns if key(turn) in kept]
    assert {key(turn) for turn in record.turns if turn.stage != "block"} <= kept
    assert sorted(joined.samples, key=repr) == sorted((one for one in samples if key(one) in kept), key=repr)
    assert joined.record.part is None
    assert joined.record.pins["pods"] == "2"
    assert not any(joined.faults.values())
    assert (joined.record.ending, joined.record.ending_detail) == ("budget", record.ending_detail)


def test_what_servers_counted_is_held_against_all_shares() -> None:
    """A pod's own requests are a part of what a server counts; together they are all, or the turn is void."""
    first, second = two()

    def with_requests(pod: OfPod, requests: int) -> OfPod:
        counts = ServerCounts(seconds=1.0, counted=Totals(requests=requests), before=Gauges(), after=Gauges())
        turns = tuple(dataclasses.replace(turn, servers=(counts,)) for turn in pod.record.turns)
        return OfPod(pod.part, dataclasses.replace(pod.record, turns=turns), pod.samples)

    sound = join([with_requests(first, 40), with_requests(second, 39)])
    disturbed = join([with_requests(first, 41), with_requests(second, 39)])
    block = next(turn for turn in sound.record.turns if turn.stage == "block")
    own = [sample for sample in sound.samples if key(sample) == key(block)]

    assert not any(sound.faults.values())
    assert len(own) == 40
    assert turn_reasons(block, own, sound.record.settings, {}) == ()
    assert audit_run(sound.record, sound.samples).left_out == ()
    assert (
        "counted 41 requests, but the requests of this turn account for 40"
        in (audit_run(disturbed.record, disturbed.samples).left_out[0])
    )


def test_blocks_at_other_loads_are_not_judged() -> None:
    """Every degree has one turn a block, at the load at which it gave most while the load rose."""
    joined = join(two())
    blocks = [turn for turn in joined.record.turns if turn.stage == "block"]
    best = {turn.degree: turn.concurrency for turn in blocks}

    assert sorted((turn.block, turn.degree) for turn in blocks) == [
        (block, one) for block in range(12) for one in (1, 2)
    ]
    assert all(turn.concurrency == best[turn.degree] for turn in blocks)
    assert joined.notes[0] == (
        "48 block turns at other loads than the candidate's best: not judged, because pods follow a plan made before "
        "the run, so blocks measure every stated load"
    )


def test_without_a_stated_rate_the_notes_say_why_no_turn_tests_the_plan() -> None:
    """A timetable cannot wait for a capacity to be found; with a stated rate it has that turn, and nothing is said."""
    sentence = (
        "no turn was held out of the fleet planning model: with several load generators it needs a stated rate, "
        "even without limits; set workloads.load.rates_per_second_per_core"
    )
    rated = parsed(settings(degrees=[1, 2], load={**LOAD, "rates_per_second_per_core": [1]}))
    with_rate = [one._replace(record=dataclasses.replace(one.record, settings=rated)) for one in two()]

    assert join(two()).notes[-1] == sentence
    assert sentence not in join(with_rate).notes


def test_blocks_near_the_capacity_are_judged_under_limits() -> None:
    """Of three stated rates the middle one is where just the asked share holds."""
    recorder, section = Recorder(), settings(degrees=[1], limits=total_limit(400, 75))
    limits = parsed(section).limits.asked()
    for block in (None, *range(3)):
        for aside in (-0.5, 0.0, 0.5):
            recorder.open_turn(
                TRUTHS[0], "rising" if block is None else "block", limits, aside=aside, counted=200, block=block
            )
    record, turns = recorder.record(TRUTHS[:1], section), recorder.turns
    middle = turns[1].rate_per_second
    dated = dataclasses.replace(
        record,
        turns=tuple(dataclasses.replace(turn, start_epoch_seconds=START, foreign_cpu_share=None) for turn in turns),
    )
    joined = join([pod_of(dated, recorder.samples, 0, pods=1)])

    assert {turn.rate_per_second for turn in joined.record.turns if turn.stage == "block"} == {middle}
    assert sum(turn.stage == "block" for turn in joined.record.turns) == 3


def test_the_verdict_is_that_of_the_whole() -> None:
    """TP1 has more per core than TP2; joined shares say so with confidence."""
    assert verdict(join(two()))[:2] == ("settled", "TP1")


def test_a_pod_that_kept_nothing_voids_the_run() -> None:
    """The sentence names it."""
    joined = join(two()[:1])

    assert joined.void == ("pod 1 of 2 stored nothing, so their share of every turn is unknown; measure again",)
    assert verdict(joined)[0] == "void"


def _other_settings(one: OfPod) -> OfPod:
    return one._replace(record=dataclasses.replace(one.record, settings=parsed(settings(degrees=[1, 2]))))


def _other_start(one: OfPod) -> OfPod:
    return one._replace(part=dataclasses.replace(one.part, start="2027-01-15T09:00:00+00:00"))


@pytest.mark.parametrize(
    ("change", "words"),
    [(_other_settings, "settings"), (_other_start, "common start")],
    ids=["settings", "start"],
)
def test_shares_of_two_runs_are_not_one(change: collections.abc.Callable[[OfPod], OfPod], words: str) -> None:
    """Shares that were asked other things, or began another time, are told apart."""
    first, second = two()

    assert join((first, change(second))).void == (f"pod 1 differs from pod 0 in its {words}: not one run",)


def test_the_same_share_twice_is_refused() -> None:
    """A folder that was copied under another name is not a second pod."""
    first, second = two()

    assert join((first, second, second)).void == ("pod 1 must be there once (got 2); keep one folder of each pod",)


@pytest.mark.parametrize(
    ("error_ms", "sentence"),
    [
        (
            None,
            (
                "the clock of pod 1 is not synchronized, as its kernel says, so its turns may not begin with the "
                "others'; start chrony or another NTP client on its machine"
            ),
        ),
        (
            80.0,
            (
                "the clock of pod 1 may be wrong by 80 ms, as its kernel says; clocks of one run must differ by at "
                "most 100 ms"
            ),
        ),
    ],
    ids=["not kept", "kept badly"],
)
def test_clocks_that_nobody_vouches_for_void_the_run(error_ms: float | None, sentence: str) -> None:
    """What began together is known only as well as the clocks are."""
    assert join(two(clock_error_ms=error_ms)).void == (sentence,)


def test_one_machine_has_one_clock() -> None:
    """Processes beside each other need no time service."""
    record, samples = whole_run()
    both = [pod_of(record, samples, pod, machine="same", clock_error_ms=None) for pod in range(2)]

    assert join(both).void == ()


def test_a_clock_that_was_set_voids_its_turns() -> None:
    """A pod whose wall clock jumped by a second during the run began its turns a second apart, as they tell."""
    first, second = two()
    jumped = tuple(
        dataclasses.replace(turn, start_epoch_seconds=(turn.start_epoch_seconds or 0) + 1.0)
        for turn in second.record.turns
    )
    joined = join((first, second._replace(record=dataclasses.replace(second.record, turns=jumped))))
    blocks = [joined.faults[key(turn)] for turn in joined.record.turns if turn.stage == "block"]

    assert set(blocks) == {
        (f"its pods began TP{degree} block 1000 ms apart by their clocks; a valid turn has at most 100 ms",)
        for degree in (1, 2)
    }
    assert verdict(joined)[0] == "void"


def test_each_pods_own_audit_counts() -> None:
    """A client that was late on one machine alone spoils the turn: its share of the load was not what it should be."""
    first, second = two()
    late = tuple(dataclasses.replace(turn, send_lag_p99_ms=50.0) for turn in second.record.turns)
    joined = join((first, second._replace(record=dataclasses.replace(second.record, turns=late))))
    block = next(turn for turn in joined.record.turns if turn.stage == "block")

    assert joined.faults[key(block)] == (
        (
            "pod 1: the client's own clock ticked 50.0 ms late at the 99th percentile; a valid turn has at most 5 ms; "
            "give the client a core of its own"
        ),
    )


@pytest.mark.parametrize(
    ("ending", "detail", "words"),
    [
        ("interrupted", "SIGTERM ended the run", "pod 1: SIGTERM ended the run"),
        ("running", None, "pod 1: it was still running"),
    ],
)
def test_a_pod_that_ended_early_ends_the_run_there(ending: Ending, detail: str | None, words: str) -> None:
    """Turns that the others finished alone are left out; what all finished still counts."""
    first, second = two()
    cut = dataclasses.replace(second.record, turns=second.record.turns[:-3], ending=ending, ending_detail=detail)
    joined = join((first, second._replace(record=cut)))

    assert (joined.record.ending, joined.record.ending_detail) == (ending, words)
    assert joined.notes[0] == "3 turns are left out because not every pod finished them"
    lost = {key(turn) for turn in second.record.turns[-3:]}
    assert lost.isdisjoint(key(turn) for turn in joined.record.turns)
    assert {turn.block for turn in joined.record.turns if turn.stage == "block"} >= set(range(11))
    assert joined.void == ()


def test_a_share_of_slots_is_audited_by_its_own_slots() -> None:
    """Three pods on four slots: the first has two of them, the others one each, and none is called idle."""
    record, samples = whole_run()
    joined = join([pod_of(record, samples, pod, pods=3) for pod in range(3)])

    assert joined.void == ()
    assert {turn.requests for turn in joined.record.turns if turn.stage == "rising"} == {40}


def test_a_part_is_kept_with_its_run() -> None:
    """It survives the record's file, and records without one stay readable."""
    first = two()[0].record
    alone = encode_run(dataclasses.replace(first, part=None)).replace(' "part": null,\n', "")

    assert decode_run(encode_run(first)) == first
    assert '"part"' not in alone
    assert decode_run(alone).part is None
