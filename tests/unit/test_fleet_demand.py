"""What a person asks of a fleet, read or refused in one sentence."""

import dataclasses
import datetime as dt
import itertools

import pytest

from optimal_tp.errors import SettingsError
from optimal_tp.fleet.demand import lengths_asked, parse_forecast, parse_limit, parse_rate
from optimal_tp.measurement.run import EXACT, OUTPUT_TOKENS, PROMPT_TOKENS, RunRecord
from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.turns import Turn
from optimal_tp.plan.lengths import output_lengths
from optimal_tp.plan.timetable import lengths_seed
from tests.fakes_run import Recorder, settings
from tests.fakes_samples import make_sample, make_turn, whole


@pytest.mark.parametrize(("text", "rate"), [("500/s", 500.0), ("30/min", 0.5), ("2e6/h", 2e6 / 3600)])
def test_a_rate_has_a_unit(text: str, rate: float) -> None:
    """Seconds, minutes, hours."""
    assert parse_rate(text) == pytest.approx(rate)


@pytest.mark.parametrize("text", ["500", "500/d", "-1/s", "0/s", "nan/s", "1e999/s", ""])
def test_another_rate_is_refused(text: str) -> None:
    """No unit, no number, nothing to carry."""
    sentence = f"--rate: must be a number above 0 with its unit: /s, /min or /h (got {text!r}); write it as 500/s"
    with pytest.raises(SettingsError, match=whole(sentence)):
        parse_rate(text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [("5", "5/s"), ("2.5", "2.5/s"), ("5 rps", "5/s"), ("300rpm", "300/min"), ("1,000", "1000/s"), ("7/hour", "7/h")],
)
def test_a_refused_rate_is_given_back_with_its_unit(text: str, meant: str) -> None:
    """The remedy can be typed as it stands, and it is the person's own number."""
    with pytest.raises(SettingsError, match=f"write it as {meant}$"):
        parse_rate(text)

    assert parse_rate(meant) > 0


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("p95=250ms", "p95_total_ms=250"),
        ("250", "p99_total_ms=250"),
        ("ttft=0.2s", "p99_ttft_ms=200"),
        ("p99.9_tpot_s=0.03", "p99.9_tpot_ms=30"),
        ("p100_total_ms=300", "p99_total_ms=300"),
    ],
)
def test_a_refused_limit_is_given_back_in_its_form(text: str, meant: str) -> None:
    """With the person's own percentile, metric and milliseconds, as far as there are any."""
    with pytest.raises(SettingsError, match=f"write it as {meant}$"):
        parse_limit(text)

    assert parse_limit(meant).at_most_ms > 0


def test_a_limit_is_read() -> None:
    """Percentile, metric, milliseconds."""
    limit = parse_limit("p99.9_ttft_ms=80")

    assert (limit.metric, limit.percent, limit.at_most_ms) == ("ttft_ms", 99.9, 80.0)
    assert limit.words == "p99.9 of time to first token at most 80 ms"


@pytest.mark.parametrize(
    "text", ["p99_total_s=0.4", "p99_total=400", "p0_total_ms=400", "p99_total_ms=-1", "p99_e2e_ms=400", "p99_total_ms"]
)
def test_a_limit_in_unknown_units_is_refused(text: str) -> None:
    """Seconds are not taken for milliseconds."""
    sentence = (
        f"--limit: must be a percentile, a metric (total, ttft or tpot) and a limit above 0 in ms (got {text!r}); "
        "write it as p99_total_ms=400"
    )
    with pytest.raises(SettingsError, match=whole(sentence)):
        parse_limit(text)


def test_a_forecast_is_read() -> None:
    """An hour a line; without a zone it is UTC."""
    hours = parse_forecast("time,rate\n2026-07-01T00:00,10\n2026-07-01T01:00,0\n", name="f.csv")

    assert [hour.rate_per_second for hour in hours] == [10.0, 0.0]
    assert hours[1].time == dt.datetime(2026, 7, 1, 1, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (
            "2026-07-01T00:00,10\n2026-07-01T03:00,10",
            (
                "--forecast f.csv, line 3: must be one hour after the line before, 2026-07-01T00:00:00+00:00 "
                "(got '2026-07-01T03:00:00+00:00'); add the missing hours"
            ),
        ),
        (
            "2026-07-01T01:00,10\n2026-07-01T00:00,10",
            (
                "--forecast f.csv, line 3: must be one hour after the line before, 2026-07-01T01:00:00+00:00 "
                "(got '2026-07-01T00:00:00+00:00'); put the lines in order"
            ),
        ),
        (
            "2026-07-01T00:00,-5",
            (
                "--forecast f.csv, line 2: a rate is a number of requests per second, at least 0 (got "
                "'2026-07-01T00:00,-5'); correct the line"
            ),
        ),
        (
            "noon,5",
            "--forecast f.csv, line 2: a time is ISO 8601, as 2026-07-01T13:00 (got 'noon,5'); correct the line",
        ),
        ("", "--forecast: must have at least one hour (got 'f.csv'); name another file"),
        (
            "2026-07-01T00:00,0",
            "--forecast: must have at least one hour with a rate above 0 (got 'f.csv'); name another file",
        ),
    ],
    ids=["gap", "order", "negative", "no time", "empty", "nothing to carry"],
)
def test_a_broken_forecast_is_refused(lines: str, sentence: str) -> None:
    """Gaps, negative rates and what is no forecast: the line and the rule."""
    with pytest.raises(SettingsError, match=whole(sentence)):
        parse_forecast(f"time,rate\n{lines}\n", name="f.csv")


def test_a_forecast_without_its_head_is_refused() -> None:
    """Columns are named, so that none is taken for the other."""
    sentence = "--forecast: must be CSV whose first line is time,rate (got 'f.csv'); name another file"
    with pytest.raises(SettingsError, match=whole(sentence)):
        parse_forecast("2026-07-01T00:00,10\n", name="f.csv")


def test_every_bad_line_is_named_at_once() -> None:
    """Two mistakes, two sentences."""
    with pytest.raises(SettingsError) as caught:
        parse_forecast("time,rate\nnoon,1\n2026-07-01T00:00,-1\n", name="f.csv")

    assert len(caught.value.problems) == 2


SEED = 7
PLANNED = {PROMPT_TOKENS: EXACT, OUTPUT_TOKENS: EXACT}
TURN = make_turn(concurrency=None, rate_per_second=5.0, block=3, uncounted=2, counted=20, requests=30)


def _drawn() -> list[int]:
    """Return what the requests of block 3 ask for, 25 to 75 tokens each."""
    lengths = output_lengths(25, 75, seed=lengths_seed(SEED, "block", 3))
    assert lengths is not None
    return list(itertools.islice(lengths, 30))


def _given_up(at_least: int) -> tuple[RunRecord, list[tuple[Turn, list[Sample]]]]:
    """Return a run whose requests of so many tokens and more were given up, so that nobody counted their tokens."""
    samples = [
        make_sample(request=request, output_tokens=tokens)
        if tokens < at_least
        else make_sample(request=request, output_tokens=None, prompt_tokens=None, status="cancelled")
        for request, tokens in enumerate(_drawn())
    ]
    load = {"output_tokens": 50, "prompt_tokens": 30, "seed": SEED}
    return Recorder().record([], settings(load=load), pins=PLANNED), [(TURN, samples)]


def test_requests_that_were_given_up_keep_the_lengths_that_they_asked_for() -> None:
    """The longest are lost first; the plan draws from all that count, those of the warm-in apart."""
    found = lengths_asked(*_given_up(60))

    assert [one.output_tokens for one in found] == _drawn()[2:22]
    assert max(one.output_tokens for one in found) >= 60
    assert {one.prompt_tokens for one in found} == {30}


def test_one_length_for_all_is_known_without_a_draw() -> None:
    """Each asks for what the settings say."""
    load = {"output_tokens": 50, "output_spread": 0, "prompt_tokens": 30}
    record = Recorder().record([], settings(load=load), pins=PLANNED)
    lost = [make_sample(request=request, output_tokens=None, status="timeout") for request in range(30)]

    assert lengths_asked(record, [(TURN, lost)]) == ((30, 50),) * 20


def test_lengths_that_nobody_planned_are_not_known() -> None:
    """Servers may end sooner, prompts may be counted otherwise, and an answer of another length says that they were."""
    record, turns = _given_up(60)
    early = dataclasses.replace(record, pins={**PLANNED, OUTPUT_TOKENS: "at most"})
    worded = dataclasses.replace(record, pins={**PLANNED, PROMPT_TOKENS: "as the server counts"})
    [(turn, samples)] = turns
    other = [dataclasses.replace(one, output_tokens=3) if one.status == "ok" else one for one in samples]

    assert lengths_asked(early, turns) == ()
    assert lengths_asked(worded, turns) == ()
    assert lengths_asked(record, [(turn, other)]) == ()
