"""What a run shows beside its verdict: its turns, the race as it went, the spread of its latencies."""

import dataclasses

import pytest

from optimal_tp.facts.bucketing import of_pin
from optimal_tp.measurement.run_audit import audit_run
from optimal_tp.settings.spend import Buckets
from optimal_tp.verdict.analysis import Analysis, analyse
from optimal_tp.verdict.rule import decide
from tests.fakes_analysed import analysed_run
from tests.fakes_run import SEED_EXPERIMENT, Planted, Recorder, planted_run, settings, total_limit


def analysed(**plan: object) -> Analysis:
    """Return the analysis of a planted run."""
    return analysed_run(**plan)


def test_every_turn_is_on_the_timeline_with_its_fate() -> None:
    """In the order of its start: alone, searching, compared."""
    found = analysed(truths=SEED_EXPERIMENT[:2], rising=(1, 2), blocks=6).timeline
    fates = [one.fate for one in found]

    assert [one.start_seconds for one in found] == sorted(one.start_seconds for one in found)
    assert {fate: fates.count(fate) for fate in fates} == {"beside": 2, "searched": 4, "counted": 12}
    assert all(one.why is None for one in found)


def test_a_turn_that_the_audit_left_out_keeps_its_place_and_its_reason() -> None:
    """It is gone from the record, and not from the timeline."""
    record, samples = planted_run(SEED_EXPERIMENT[:2], blocks=12)
    bad = next(turn for turn in record.turns if turn.stage == "block")
    late = dataclasses.replace(bad, send_lag_p99_ms=500.0)
    marked = dataclasses.replace(record, turns=tuple(late if turn is bad else turn for turn in record.turns))
    audited = audit_run(marked, samples)
    analysis = analyse(
        audited.record, audited.samples, decide(audited.record, audited.samples), left_out=audited.dropped
    )
    (gone,) = [one for one in analysis.timeline if one.fate == "left out"]

    assert (gone.degree, gone.block, gone.start_seconds) == (bad.degree, bad.block, bad.start_seconds)
    assert gone.why is not None
    assert gone.why.startswith("the client's own clock ticked 500.0 ms late")


def test_a_disturbed_turn_is_told_as_that() -> None:
    """Far too slow for its rate: listed, not compared."""
    limits = settings(degrees=[1, 2], limits=total_limit(300, 75))
    truths = (Planted(degree=1, latency_ms=200), Planted(degree=2, latency_ms=150))
    record, samples = planted_run(truths, limits, blocks=12)
    asked = record.settings.limits.asked()
    recorder = Recorder(seed=5, now_seconds=record.elapsed_seconds, turns=list(record.turns), samples=list(samples))
    recorder.open_turn(truths[0], "block", asked, aside=-0.05, counted=50, block=12, slowdown=3)
    recorder.open_turn(truths[1], "block", asked, aside=-0.05, counted=50, block=12)
    longer = recorder.record(truths, limits)
    analysis = analyse(longer, recorder.samples, decide(longer, recorder.samples))

    assert [(one.degree, one.block) for one in analysis.timeline if one.fate == "disturbed"] == [(1, 12)]


def test_the_interval_narrows_to_the_verdicts() -> None:
    """Block by block, the closest rival over the chosen one; the last look is the comparison's own interval."""
    analysis = analysed()
    found = analysis.narrowing
    assert found is not None
    (pair,) = [one for one in analysis.verdict.comparisons if {one.first, one.second} == {"TP1", "TP2"}]
    assert pair.ratio is not None

    assert (found.first, found.second) == ("TP2", "TP1")
    assert [look.blocks for look in found.looks] == sorted(look.blocks for look in found.looks)
    assert found.looks[-1].ratio == pytest.approx(1 / pair.ratio.value)
    assert found.looks[-1].high == pytest.approx(1 / (pair.ratio.interval.low or 0.0))


def test_a_void_run_has_no_race_to_show() -> None:
    """Nothing is claimed from it."""
    record, samples = planted_run()

    assert analyse(record, samples, decide(record, samples, {None: ("late",)})).narrowing is None


def test_a_spread_rises_to_the_share_that_succeeded() -> None:
    """Failed requests never end: the curve stops below 1 by their share."""
    (found,) = analysed(truths=(Planted(degree=1, latency_ms=290, failing=0.1),)).spreads

    assert found.metric == "total_latency_ms"
    assert list(found.points) == sorted(found.points)
    assert found.points[-1][1] == pytest.approx(1 - found.failures / found.requests, abs=1e-4)
    assert 0 < found.failures < found.requests / 4
    assert len(found.points) <= 60


def test_lengths_are_held_against_buckets() -> None:
    """Each request fills the smallest bucket that takes it; three at most, in steps of 128, fill better than powers."""
    section = settings(degrees=[1], model={"max_model_len_tokens": 2048})
    record, samples = planted_run(truths=SEED_EXPERIMENT[:1], section=section, blocks=6, requests=21)
    lengths = (100, 130, 700)
    mixed = [dataclasses.replace(sample, prompt_tokens=lengths[sample.request % 3]) for sample in samples]
    prompts, contexts = analyse(record, mixed, decide(record, samples)).fillings

    assert (prompts.requests, prompts.p50, prompts.p99, prompts.longest) == (126, 130, 700, 700)
    assert prompts.buckets == (256, 768)
    assert prompts.filled == pytest.approx(930 / 1280)
    assert prompts.compiled == contexts.compiled == (128, 256, 512, 1024, 2048)
    assert prompts.filled_as_compiled == pytest.approx(930 / (128 + 256 + 1024))
    assert (contexts.buckets, contexts.longest) == ((256, 768), 750)
    assert contexts.filled_as_compiled == pytest.approx(1080 / (256 + 256 + 1024))


def test_lengths_are_held_against_the_buckets_that_the_servers_had() -> None:
    """The stack file's, as the record pins them; where it states none, those of the image."""
    section = settings(degrees=[1], model={"max_model_len_tokens": 2048})
    pins = {"pair": "vllm-neuron-0.29", **Buckets(prompt_tokens=(128, 256)).pins}
    record, samples = planted_run(truths=SEED_EXPERIMENT[:1], section=section, blocks=6)
    record = dataclasses.replace(record, pins=record.pins | pins)
    prompts, contexts = analyse(record, samples, decide(record, samples)).fillings

    assert (prompts.compiled, contexts.compiled) == ((128, 256, 2048), (2048,))
    assert prompts.filled_as_compiled == pytest.approx(30 / 128)
    assert contexts.filled_as_compiled == pytest.approx(80 / 2048)


@pytest.mark.parametrize("lengths", [(), (128,), (256, 768)])
def test_buckets_are_read_back_from_a_record(lengths: tuple[int, ...]) -> None:
    """An empty list is not the absence of one."""
    pins = Buckets(prompt_tokens=lengths).pins

    assert set(pins) == {"prompt_buckets"}
    assert of_pin(pins["prompt_buckets"]) == lengths
    assert of_pin(pins.get("context_buckets")) is None


def test_no_bucket_is_longer_than_the_model() -> None:
    """By default 128 tokens are all that a server takes, and one bucket has them."""
    (prompts, contexts) = analysed(blocks=6).fillings

    assert (prompts.buckets, contexts.buckets) == ((128,), (128,))
    assert contexts.filled == contexts.filled_as_compiled == pytest.approx(80 / 128)


def test_tokens_that_nobody_counted_need_no_bucket() -> None:
    """A server that tells no usage has lengths that nobody knows."""
    record, samples = planted_run(blocks=6)
    uncounted = [dataclasses.replace(sample, prompt_tokens=None) for sample in samples]

    assert analyse(record, uncounted, decide(record, samples)).fillings == ()
