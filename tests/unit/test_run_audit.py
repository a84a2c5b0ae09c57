"""The self-audit of a run: a few disturbed turns are left out, many void the degree, all of them the run."""

import dataclasses
import typing

import pytest

from optimal_tp.measurement import run_audit
from optimal_tp.measurement.run import EXACT, OUTPUT_TOKENS, PROMPT_TOKENS, RunRecord
from optimal_tp.measurement.run_audit import FOREIGN_CPU_SHARE, audit_run, turn_reasons
from optimal_tp.measurement.turns import Turn
from optimal_tp.verdict.rule import decide
from tests.fakes_candidates import TP1, TP2, TP4
from tests.fakes_run import planted_run

BLOCKS = 12


def _disturbed(record: RunRecord, wanted: dict[int, int], **change: float | None) -> RunRecord:
    """Return ``record`` with the first so many block turns of each degree in ``wanted`` changed."""
    left = dict(wanted)
    turns: list[Turn] = []
    for turn in record.turns:
        hit = turn.stage == "block" and left.get(turn.degree, 0) > 0
        if hit:
            left[turn.degree] -= 1
        turns.append(dataclasses.replace(turn, **change) if hit else turn)  # type: ignore[arg-type]  # one of its floats
    return dataclasses.replace(record, turns=tuple(turns))


def test_a_clean_run_passes_whole() -> None:
    """No turn is left out, nothing is void."""
    record, samples = planted_run(blocks=BLOCKS)
    audited = audit_run(record, samples)

    assert (audited.record, audited.samples) == (record, tuple(samples))
    assert (dict(audited.void_reasons), audited.left_out) == ({}, ())


def test_a_few_disturbed_turns_are_left_out_with_their_samples() -> None:
    """Two of twelve: the rest decides, and each turn that is missing is named with its number."""
    record, samples = planted_run(blocks=BLOCKS)
    audited = audit_run(_disturbed(record, {2: 2}, foreign_cpu_share=0.4), samples)

    assert len(audited.record.turns) == len(record.turns) - 2
    assert {(s.degree, s.block) for s in samples} - {(s.degree, s.block) for s in audited.samples} == {(2, 0), (2, 1)}
    assert dict(audited.void_reasons) == {}
    assert audited.left_out[0] == (
        "TP2 block 0: other processes took 40 % of the measured cores; a valid turn has at most 15 %; "
        "stop other programs on this machine"
    )


def test_many_disturbed_turns_void_the_degree_only() -> None:
    """Four of twelve: what disturbed them is part of what was measured."""
    record, samples = planted_run(blocks=BLOCKS)
    audited = audit_run(_disturbed(record, {2: 4}, foreign_cpu_share=0.4), samples)

    assert list(audited.void_reasons) == [TP2]
    assert audited.void_reasons[TP2][0].startswith(
        "4 of 12 turns failed the self-audit; the first: TP2 block 0: other "
    )
    assert decide(audited.record, audited.samples, audited.void_reasons).outcome == "inconclusive"


def test_when_every_degree_is_void_the_run_is() -> None:
    """No degree is left to believe."""
    record, samples = planted_run(blocks=BLOCKS)
    audited = audit_run(_disturbed(record, {1: 9, 2: 9, 4: 9}, foreign_cpu_share=0.4), samples)

    assert set(audited.void_reasons) == {TP1, TP2, TP4, None}
    assert decide(audited.record, audited.samples, audited.void_reasons).outcome == "void"


def test_disturbance_of_other_stages_voids_nothing() -> None:
    """The verdict is made of blocks: a noisy warm-up is no fault of theirs."""
    record, samples = planted_run(blocks=BLOCKS)
    turns = tuple(
        turn if turn.stage == "block" else dataclasses.replace(turn, foreign_cpu_share=0.9) for turn in record.turns
    )
    audited = audit_run(dataclasses.replace(record, turns=turns), samples)

    assert (dict(audited.void_reasons), audited.left_out) == ({}, ())


@pytest.mark.parametrize("share", [None, FOREIGN_CPU_SHARE], ids=["not seen", "at the bound"])
def test_what_cannot_be_seen_or_is_within_the_bound_is_no_fault(share: float | None) -> None:
    """On other machines the cores cannot be watched; that voids nothing."""
    record, samples = planted_run(blocks=BLOCKS)
    turns = tuple(dataclasses.replace(turn, foreign_cpu_share=share) for turn in record.turns)

    assert dict(audit_run(dataclasses.replace(record, turns=turns), samples).void_reasons) == {}


@pytest.mark.parametrize(
    ("pin", "word"),
    [pytest.param(PROMPT_TOKENS, "prompt", id="prompts"), pytest.param(OUTPUT_TOKENS, "output", id="answers")],
)
def test_tokens_other_than_planned_void_the_run_where_the_plan_is_exact(pin: str, word: str) -> None:
    """A prompt that the server counts as one word is how a peer's "16K input" came about."""
    record, samples = planted_run(blocks=BLOCKS)
    others = [
        dataclasses.replace(sample, prompt_tokens=1, output_tokens=24) if sample.degree == 1 else sample
        for sample in samples
    ]
    exact = dataclasses.replace(record, pins=record.pins | {pin: EXACT})

    assert dict(audit_run(record, others).void_reasons) == {}
    assert f" {word} tokens were planned, but " in audit_run(exact, others).void_reasons[TP1][0]


def test_a_quota_that_held_back_voids_a_turn() -> None:
    """A server that is stopped for parts of a second is not what was to be measured; no count says nothing."""
    record, samples = planted_run(blocks=BLOCKS)
    reasons = {
        periods: dict(
            audit_run(
                _disturbed(record, {1: 12}, throttled_periods=periods, throttled_seconds=0.25), samples
            ).void_reasons
        )
        for periods in (None, 0, 3)
    }

    assert (reasons[None], reasons[0]) == ({}, {})
    assert (
        "the container's CPU quota throttled the servers or the client in 3 periods (0.250 s); a valid turn has none; "
        "give the container more CPUs or measure smaller degrees"
    ) in reasons[3][TP1][0]


def test_a_quota_of_the_client_alone_voids_nothing() -> None:
    """Servers elsewhere are not held back by it; the client is judged by its lateness, and the answer says so."""
    record, samples = planted_run(blocks=BLOCKS)
    held = _disturbed(record, {1: 12}, throttled_periods=3, throttled_seconds=0.25, foreign_cpu_share=None)

    assert dict(audit_run(held, samples).void_reasons) == {}
    assert decide(held, samples).caveats[-1] == (
        "a container's CPU quota throttled the load generator in 36 periods (3.00 s): what it sent or read "
        "late counts as the servers' latency; run it without a quota"
    )


def test_a_late_client_voids_what_it_measured() -> None:
    """The client's own clock ticked 80 ms late: that is the client's latency, not the server's."""
    record, samples = planted_run(blocks=BLOCKS)
    audited = audit_run(_disturbed(record, {1: 12}, send_lag_p99_ms=80.0), samples)

    assert "the client's own clock ticked 80.0 ms late" in audited.void_reasons[TP1][0]


def test_an_audit_looks_at_each_turn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run so far is audited turn by turn, and what an audit of a part found stays in that of the whole."""
    record, samples = planted_run(blocks=BLOCKS)
    record = _disturbed(record, {2: 4}, foreign_cpu_share=0.4)
    audited: list[Turn] = []

    def counted(turn: Turn, *others: typing.Any) -> tuple[str, ...]:
        audited.append(turn)
        return turn_reasons(turn, *others)

    monkeypatch.setattr(run_audit, "turn_reasons", counted)
    left_out: tuple[str, ...] = ()
    for blocks in range(BLOCKS + 1):
        turns = tuple(turn for turn in record.turns if turn.block is None or turn.block < blocks)
        so_far = [sample for sample in samples if sample.block is None or sample.block < blocks]
        part = dataclasses.replace(record, turns=turns)

        audited.clear()
        found = audit_run(part, so_far).left_out

        assert sorted(map(str, audited)) == sorted(map(str, turns))
        assert {*left_out} <= {*found}
        left_out = found

    audited.clear()

    assert audit_run(record, samples).left_out == left_out
    assert sorted(map(str, audited)) == sorted(map(str, record.turns))
