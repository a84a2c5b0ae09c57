"""Whatever a run's files hold, the verdict is a clear word: searched for by hypothesis."""

import dataclasses
import json
import math
import typing

import hypothesis
import hypothesis.strategies as st

from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.turns import Turn
from optimal_tp.report.claims import claims
from optimal_tp.report.document import document, encode_document
from optimal_tp.report.tables import tables
from optimal_tp.verdict.analysis import analyse
from optimal_tp.verdict.rule import decide
from tests.fakes_run import SEED_EXPERIMENT, planted_run, price, settings, total_limit

RUN = planted_run(
    SEED_EXPERIMENT, settings(price=price(), limits=total_limit(270)), blocks=4, requests=3, rising=(1, 2)
)
TIMES = st.one_of(st.floats(-1e3, 1e3), st.sampled_from([math.nan, math.inf, -math.inf, 0.0, 1e300]))
COUNTS = st.one_of(st.none(), st.integers(-5, 10**9))

SAMPLE_DAMAGE: dict[str, st.SearchStrategy[typing.Any]] = {
    "end_seconds": TIMES,
    "intended_seconds": TIMES,
    "sent_seconds": st.one_of(st.none(), TIMES),
    "token_seconds": st.lists(TIMES, max_size=3).map(tuple),
    "output_tokens": COUNTS,
    "prompt_tokens": COUNTS,
    "status": st.sampled_from(["ok", "timeout", "http_error"]),
    "request": st.integers(0, 3),
    "degree": st.sampled_from([1, 2, 4, 8]),
}
TURN_DAMAGE: dict[str, st.SearchStrategy[typing.Any]] = {
    "start_seconds": TIMES,
    "end_seconds": TIMES,
    "requests": st.integers(0, 5),
    "concurrency": st.one_of(st.none(), st.integers(1, 4)),
    "block": st.one_of(st.none(), st.integers(0, 4)),
}


@st.composite
def damaged(draw: st.DrawFn) -> tuple[list[Turn], list[Sample]]:
    """Return the run's turns and samples with some cut, repeated or changed."""
    record, samples = RUN
    turns = list(record.turns)
    kept = list(samples[: draw(st.integers(0, len(samples)))])
    kept += kept[: draw(st.integers(0, len(kept)))] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(0, 6))):
        if kept:
            place = draw(st.integers(0, len(kept) - 1))
            name = draw(st.sampled_from(sorted(SAMPLE_DAMAGE)))
            kept[place] = dataclasses.replace(kept[place], **{name: draw(SAMPLE_DAMAGE[name])})
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(turns) - 1))
        name = draw(st.sampled_from(sorted(TURN_DAMAGE)))
        turns[place] = dataclasses.replace(turns[place], **{name: draw(TURN_DAMAGE[name])})
    return turns[: draw(st.integers(0, len(turns)))], kept


@hypothesis.settings(max_examples=40, deadline=None, derandomize=True)
@hypothesis.given(damaged())
def test_damage_gives_a_word_and_never_a_number_made_of_nothing(found: tuple[list[Turn], list[Sample]]) -> None:
    """An outcome, whole sentences, tables, and a document without NaN or infinity; no exception."""
    turns, samples = found
    record = dataclasses.replace(RUN[0], turns=tuple(turns))
    verdict = decide(record, samples)
    analysis = analyse(record, samples, verdict)
    text = encode_document(document(analysis))
    said = [claim.sentence for claim in claims(analysis)]
    said += [cell for table in tables(analysis, document(analysis)) for row in table.rows for cell in row]

    assert verdict.outcome in ("settled", "inconclusive", "void")
    assert json.loads(text)["verdict"]["outcome"] == verdict.outcome
    assert not any(word in sentence.split() for sentence in said for word in ("nan", "inf", "None"))
