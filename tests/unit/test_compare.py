"""Comparing two runs: refused with names, or judged with intervals."""

import dataclasses
import json
import typing

import pytest

from optimal_tp.errors import SettingsError
from optimal_tp.measurement.run import RunRecord, decode_run, encode_run
from optimal_tp.report.two_runs import changes, refuse_different, sentences
from optimal_tp.results.retrial import Retrial
from optimal_tp.verdict.rule import decide
from tests.fakes_candidates import TP1, TP2
from tests.fakes_run import Planted, Recorder, planted_run, settings, total_limit


def judged(latency_ms: float, *, seed: int = 1, blocks: int = 12, void: bool = False) -> Retrial:
    """Return a run of TP1 at ``latency_ms`` beside a TP2 that never changes."""
    truths = (Planted(degree=1, latency_ms=latency_ms, noise=0.01), Planted(degree=2, latency_ms=180, noise=0.01))
    record, samples = planted_run(truths, blocks=blocks, seed=seed)
    verdict = decide(record, samples, {None: ("late",)} if void else {})
    return Retrial(record=record, samples=tuple(samples), verdict=verdict, difference=None)


def test_a_faster_run_is_better_where_it_is_faster() -> None:
    """TP1 answers a tenth sooner: better, by that much; TP2 is not distinguishable."""
    found = changes(judged(300), judged(270, seed=2))

    assert [(change.candidate, change.word) for change in found] == [(TP1, "better"), (TP2, "not distinguishable")]
    assert found[0].ratio is not None
    assert found[0].ratio.value == pytest.approx(300 / 270, rel=0.02)


def test_a_slower_run_is_worse() -> None:
    """The other way round."""
    assert changes(judged(270), judged(300, seed=2))[0].word == "worse"


def test_a_run_against_itself_is_not_distinguishable() -> None:
    """The ratio is 1, and its interval holds it."""
    run = judged(300)

    assert [change.word for change in changes(run, run)] == ["not distinguishable"] * 2


def test_runs_with_limits_are_compared_by_goodput() -> None:
    """A fifth more requests per core within the limits, at the same latency."""
    section = settings(degrees=[1], limits=total_limit(310, 75))
    runs = []
    for capacity in (1.0, 1.2):
        record, samples = planted_run([Planted(degree=1, latency_ms=290, capacity=capacity)], section)
        verdict = decide(record, samples)
        runs.append(Retrial(record=record, samples=tuple(samples), verdict=verdict, difference=None))
    (found,) = changes(*runs)

    assert found.word == "better"
    assert found.ratio is not None
    assert found.ratio.value == pytest.approx(1.2, rel=0.05)


def started(slowdowns: tuple[float, ...], *, told: bool = True) -> Retrial:
    """Return a run of TP1 with two blocks after each start of its server, whose accidents are ``slowdowns``."""
    recorder, truth = Recorder(), Planted(degree=1, latency_ms=300, noise=0.005)
    for start, slowdown in enumerate(slowdowns):
        for block in range(2 * start, 2 * start + 2):
            recorder.turn(truth, "block", requests=10, block=block, slowdown=slowdown)
            recorder.turns[-1] = dataclasses.replace(recorder.turns[-1], server_start=start if told else None)
    record = recorder.record([truth])
    verdict = decide(record, recorder.samples)
    return Retrial(record=record, samples=tuple(recorder.samples), verdict=verdict, difference=None)


BEFORE, AFTER = (1.03, 1.0, 1.03), (1.06, 1.09, 1.06)


def test_few_starts_are_these_server_processes() -> None:
    """Nobody counted starts: the blocks tell the runs apart, and the sentence says what for."""
    found = changes(started(BEFORE, told=False), started(AFTER, told=False))

    assert (found[0].word, found[0].starts) == ("worse", 1)
    assert sentences(found, ("A", "B"))[0].startswith("TP1 is worse in B than in A, for these server processes: 0.95")


def test_three_starts_are_compared_by_starts() -> None:
    """The same blocks: what starts differ by among themselves is more than what the runs differ by."""
    found = changes(started(BEFORE), started(AFTER))

    assert (found[0].word, found[0].starts) == ("not distinguishable", 3)


def test_three_starts_that_agree_tell_runs_apart() -> None:
    """Then the change holds beyond these processes, and the sentence has no such words."""
    found = changes(started((1.0, 1.002, 1.001)), started((0.9, 0.901, 0.899)))

    assert found[0].word == "better"
    assert sentences(found, ("A", "B"))[0].startswith("TP1 is better in B than in A: 1.11")


def test_a_block_that_is_missing_does_not_shift_the_others() -> None:
    """All turns of block 3 failed the audit: the blocks after it keep their numbers, and their starts."""
    run = started((1.0, 1.0, 1.0))
    kept = tuple(turn for turn in run.record.turns if turn.block != 3)
    samples = tuple(sample for sample in run.samples if sample.block != 3)
    record = dataclasses.replace(run.record, turns=kept)
    less = dataclasses.replace(run, record=record, samples=samples, verdict=decide(record, samples))

    assert (changes(less, less)[0].word, changes(less, less)[0].starts) == ("not distinguishable", 3)


def test_a_run_with_too_few_blocks_is_not_distinguishable() -> None:
    """One block has no interval: no ratio is made up."""
    found = changes(judged(300, blocks=1), judged(150))

    assert [(change.word, change.ratio) for change in found] == [("not distinguishable", None)] * 2
    assert sentences(found, ("A", "B")) == ("One of the two has no interval for TP1 and TP2.",)


def test_the_comparison_in_words() -> None:
    """Each degree's word, ratio and range, in the names the reader gave."""
    lines = sentences(changes(judged(300), judged(270, seed=2)), ("before", "after"))

    assert lines[0].startswith("TP1 is better in after than in before, for these server processes: 1.1")
    assert lines[0].endswith(" times as much per core.")
    assert lines[1].startswith("TP2 is not distinguishable between before and after: ")


def test_a_void_run_is_not_compared() -> None:
    """Its figures carry nothing."""
    with pytest.raises(
        SettingsError, match=r"^B: must not be void: a void run carries no figures \(got 'void'\); measure it again$"
    ):
        changes(judged(300), judged(300, void=True))


def changed(record: RunRecord, key: str, value: typing.Any) -> RunRecord:
    """Return ``record`` with one checked key changed."""
    if key.startswith("pins."):
        return dataclasses.replace(record, pins=record.pins | {key.removeprefix("pins."): value})
    if key.startswith("settings."):
        _, section, name = key.split(".")
        part = getattr(record.settings, section).model_copy(update={name: value})
        return dataclasses.replace(record, settings=record.settings.model_copy(update={section: part}))
    if key == "place":
        return dataclasses.replace(record, place=value)
    degrees = tuple(dataclasses.replace(degree, cores_used=value) for degree in record.degrees[:1])
    return dataclasses.replace(record, degrees=(*degrees, *record.degrees[1:]))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("settings.model.name", "another/model"),
        ("settings.model.revision", "0" * 40),
        ("settings.model.max_num_seqs", 4),
        ("settings.model.max_model_len_tokens", 256),
        ("settings.load.output_tokens", 64),
        ("settings.load.seed", 7),
        ("settings.load.concurrency", (1, 2)),
        ("pins.image", "vllm@sha256:0"),
        ("pins.ami", "ami-0"),
        ("pins.instance", "trn2.48xlarge"),
        ("place", "cluster"),
        ("degrees.TP1.cores_used", 4),
    ],
)
def test_a_checked_key_that_differs_is_named(key: str, value: object) -> None:
    """Model, revision, batch, length, load, seed, image, AMI, instance, place, layout."""
    record, _ = planted_run(section=settings(model={"name": "a/model"}), blocks=1)

    with pytest.raises(SettingsError) as caught:
        refuse_different(record, changed(record, key, value))
    assert [problem.path for problem in caught.value.problems] == [key]
    assert str(caught.value).endswith(f"; compare other runs, or add --allow {key} if that is what you want to compare")


def test_a_setting_that_is_no_more_is_named() -> None:
    """Runs that an older release measured in two ways are not alike because this one cannot tell them apart."""
    record, _ = planted_run(blocks=1)

    def of(ramp: int) -> RunRecord:
        data = json.loads(encode_run(record))
        data["settings"]["load"]["ramp"] = ramp
        return decode_run(json.dumps(data))

    with pytest.raises(
        SettingsError, match=r"^settings\.load\.ramp: must be the same in both runs; in B it is 2 \(got 1\)"
    ):
        refuse_different(of(1), of(2))


def test_an_allowed_key_may_differ() -> None:
    """Comparing two images is a purpose, once it is said."""
    record, _ = planted_run(blocks=1)

    refuse_different(record, changed(record, "pins.image", "another"), ["pins.image"])


def test_the_revision_of_this_program_may_differ() -> None:
    """It is not what is measured."""
    record, _ = planted_run(blocks=1)

    refuse_different(record, changed(record, "pins.code", "0" * 40))
