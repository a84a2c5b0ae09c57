"""The plan verb: from a stored run to a page, and one sentence for whatever cannot be planned."""

import dataclasses
import json
import pathlib
import re
import types
import typing

import pytest

from optimal_tp.__main__ import main
from optimal_tp.cli import plan as plan_command
from optimal_tp.cli import report as report_command
from optimal_tp.facts.candidates import Candidate
from optimal_tp.fleet.planning import Refused
from optimal_tp.measurement.estimate import Estimate, Interval
from optimal_tp.measurement.run import EXACT, OUTPUT_TOKENS
from optimal_tp.measurement.samples import Sample
from optimal_tp.verdict.predictions import PlannedCapacity, Prediction
from tests.fakes_engine import TrueEngine, whole_run
from tests.fakes_run import SEED_EXPERIMENT, Planted, no_fit, planted_run, price, settings, store

pytestmark = pytest.mark.measurement  # compiling the simulation and running it take seconds

SECTION = settings(price=price(2.25, 4))
PRACTICE = "Practice run on CPU cores: it shows how optimal-tp works, not how Trainium2 performs."


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the folder of a run of the AWS sample's figure, with a price."""
    return str(store(tmp_path_factory.mktemp("run"), *planted_run(section=SECTION)))


def _refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["plan", *arguments]) == 2
    return capsys.readouterr().err


def test_a_run_becomes_a_plan(source: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The answer in one sentence, what is assumed, a page with the curve."""
    status = main(["plan", source, "--rate", "50/s", "--limit", "p99_total_ms=800", "--output", str(tmp_path)])
    shown = capsys.readouterr().out
    page = (tmp_path / "fleet.html").read_text()
    answer = next(line for line in shown.splitlines() if " carry " in line)

    assert status == 0
    assert re.fullmatch(
        r"Practice run: 5\d servers of TP1 on 14 x trn2\.3xlarge for \$31\.50 an hour carry 50\.0 requests/s with p99 "
        r"of total latency at most 800 ms, \$3\.50 per million output tokens\.",
        answer,
    )
    assert answer in page
    assert "Not Trainium2 figures: this run&#39;s servers used CPU cores" in page
    assert shown.startswith(f"{PRACTICE}\n")
    assert f'<p class="banner" role="note">{PRACTICE}</p>' in page
    assert page.index(PRACTICE) < page.index("<h1>Practice run: ")
    assert "not settled" not in shown + page
    assert "The degrees rank as in the verdict." in shown
    assert page.count("<figure>") == 2
    assert (tmp_path / "fleet-cost.png").stat().st_size > 10_000


def _equals(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], blocks: int
) -> tuple[int, dict[str, typing.Any]]:
    """Return exit status and plan of two candidates that one node carries; the slow one lost its long requests."""
    record, samples = planted_run(SEED_EXPERIMENT[:2], settings(degrees=[1, 2], price=price(2.25, 4)), blocks=blocks)
    short = [dataclasses.replace(one, output_tokens=40) if one.degree == 1 else one for one in samples]
    exact = dataclasses.replace(record, pins={**record.pins, OUTPUT_TOKENS: EXACT})
    folder = str(store(tmp_path, exact, short))
    status = main(["plan", folder, "--rate", "1/s", "--limit", "p99_total_ms=2000", "--json"])
    return status, json.loads(capsys.readouterr().out)


def test_equal_dollars_are_equal_dollars_a_token(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By what requests asked for; of equals the verdict's choice comes first."""
    status, found = _equals(tmp_path, capsys, blocks=24)
    fleets = next(rows for caption, rows in found["tables"].items() if caption.startswith("The smallest fleet"))

    assert status == 0
    assert [(row["Candidate"], row["USD/hour"]) for row in fleets] == [("TP1", "$2.25"), ("TP2", "$2.25")]
    assert {row["USD/M output tokens"] for row in fleets} == {"$12.50"}
    page = next(tmp_path.rglob("fleet.html")).read_text()
    assert (
        "In whole nodes TP2 costs the same at this rate; among equals the verdict's choice comes first."
        in found["sentences"]
    )
    assert any(
        one.startswith("In whole nodes TP1 is the cheapest, alone or with another, at every rate from ")
        for one in found["sentences"]
    )
    assert re.findall(r'<h3>(TP\d) <span class="word[^>]*>([^<]*)<', page) == [
        ("TP1", "cheapest"),
        ("TP2", "costs the same"),
    ]


def test_a_run_that_is_not_settled_is_planned_and_said_so_first(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the exit status of an open run; without a choice the faster of equals comes first."""
    status, found = _equals(tmp_path, capsys, blocks=2)

    assert status == 3
    assert found["headline"].startswith(
        "Practice run, not settled: 1 server of TP2 on 1 x trn2.3xlarge for $2.25 an hour"
    )
    first, second, *_ = found["sentences"]
    assert first == PRACTICE
    assert second == (
        "The run behind this plan is not settled, so another candidate may be the better one: a claim needs 12 blocks "
        "and the run completed 2."
    )
    assert (
        "In whole nodes TP1 costs the same at this rate; among equals the one with the lowest p99 of total latency "
        "comes first."
    ) in found["sentences"]


def test_a_plan_that_contradicts_the_choice_says_so_first(
    source: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the exit status that `report` has for the same run: one of plan and blocks is wrong."""

    def beyond(*_: object, **__: object) -> Prediction:
        figures = {Candidate(1): (0.9, 1.0, 1.1), Candidate(2): (1.2, 1.3, 1.4)}
        capacities = (
            PlannedCapacity(candidate=each, per_core=Estimate(value=value, interval=Interval(low=low, high=high)))
            for each, (low, value, high) in figures.items()
        )
        return Prediction(capacities=tuple(capacities), held_out=())

    monkeypatch.setattr(plan_command, "predicted", beyond)
    monkeypatch.setattr(report_command, "predicted", beyond)

    asked = ["plan", source, "--rate", "5/s", "--limit", "p99_total_ms=800", "--output", str(tmp_path), "--json"]
    assert main(asked) == 3
    found = json.loads(capsys.readouterr().out)
    assert found["headline"].startswith("Practice run, not settled: ")
    assert "the plan contradicts the blocks: its model gives TP2 1.3" in found["sentences"][1]
    assert main(["report", source, "--format", "csv", "--output", str(tmp_path)]) == 3


def test_a_plan_in_place_of_an_earlier_one_says_so(
    source: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first page that is written takes nobody's place."""
    asked = ["plan", source, "--rate", "5/s", "--limit", "p99_total_ms=900", "--degrees", "1"]
    last = []
    for _ in range(2):
        assert main([*asked, "--output", str(tmp_path)]) == 0
        last.append(capsys.readouterr().out.splitlines()[-1])
    written = f"Written: {tmp_path / 'fleet.html'}"

    assert last == [written, f"{written}, in place of an earlier plan (--output names another folder)"]


def test_one_candidate_alone_is_not_called_the_cheapest(
    source: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is nothing that it is cheaper than: no sentence, no table, no badge."""
    asked = ["plan", source, "--rate", "50/s", "--limit", "p99_total_ms=800", "--degrees", "2", "--json"]
    assert main([*asked, "--output", str(tmp_path)]) == 0
    found = json.loads(capsys.readouterr().out)
    page = (tmp_path / "fleet.html").read_text()

    assert not any("cheapest" in one for one in found["sentences"])
    assert not any("by rate" in caption for caption in found["tables"])
    assert '<span class="word chosen">meets the limits</span>' in page
    assert "cheapest from" not in page


def test_a_plan_shows_the_figures_that_are_limited(
    source: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the table of losses each of them, in its sentence and on the page the one nearest to its limit."""
    limits = ["--limit", "p75_total_ms=500", "--limit", "p95_ttft_ms=90000"]
    asked = ["plan", source, "--rate", "50/s", *limits, "--degrees", "1", "--output", str(tmp_path), "--json"]
    assert main(asked) == 0
    found = json.loads(capsys.readouterr().out)
    lost = next(rows for caption, rows in found["tables"].items() if caption.startswith("Loss of a node"))
    latency = next(rows for caption, rows in found["tables"].items() if caption.startswith("Latency"))
    without_zone = next(one for one in found["sentences"] if one.startswith("Without one zone"))
    card = re.search(r'<p class="because">(.*)</p>', (tmp_path / "fleet.html").read_text())

    assert [head for head in lost[0] if " in ms" in head] == [
        "p75 of total latency in ms",
        "p95 of time to first token in ms",
    ]
    assert list(latency[0])[2:] == ["p50", "p75", "p90", "p95", "p99"]
    assert "p99" not in without_zone
    assert card is not None
    assert f"; p75 of total latency {latency[0]['p75'].replace(' (', ' ms (')}" in card[1]


def test_a_tight_limit_turns_the_order_round(
    source: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The verdict's TP1 is all but at the limit, so that TP4's slack is worth its cores; it says so and why."""
    asked = ["plan", source, "--rate", "50/s", "--limit", "p99_total_ms=420", "--degrees", "1,4"]
    assert main([*asked, "--output", str(tmp_path)]) == 0
    shown = capsys.readouterr().out

    assert " of TP4 on " in shown
    assert "The plan's order is TP4 and TP1; the verdict's, by output tokens/s per core, TP1 and TP4." in shown
    assert "a faster server leaves more of the limit for waiting." in shown


def test_the_flip_is_named_and_drawn(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """TP1 is the best per core when full; with few servers TP2's speed is worth more than TP1's number."""
    truths = (Planted(degree=1, latency_ms=290, jitter=0.1), Planted(degree=2, latency_ms=165, jitter=0.1))
    folder = str(store(tmp_path, *planted_run(truths, settings(degrees=[1, 2], price=price(2.25, 4)), requests=60)))
    asked = ["plan", folder, "--rate", "20/s", "--limit", "p99_total_ms=450", "--routing", "least-in-flight"]
    assert main(asked) == 0
    shown = capsys.readouterr().out
    flip = re.search(r"The choice flips at about ([0-9.]+) requests/s: below it TP1 is cheapest, above it TP2\.", shown)

    assert flip is not None
    assert 2 < float(flip[1]) < 6
    assert f"{flip[1]}/s: TP2" in (tmp_path / "fleet.html").read_text()


def test_a_forecast_is_followed_hour_by_hour(
    source: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The highest hour is planned for; what following the forecast saves is said."""
    forecast = tmp_path / "f.csv"
    forecast.write_text("time,rate\n2026-07-01T00:00,0\n2026-07-01T01:00,40\n2026-07-01T02:00,4\n")
    asked = ["plan", source, "--forecast", str(forecast), "--limit", "p99_total_ms=800", "--degrees", "1"]
    assert main([*asked, "--output", str(tmp_path)]) == 0
    shown = capsys.readouterr().out

    assert " carry 40.0 requests/s" in shown
    assert "Over the forecast's 3 hours the fleet that holds its highest hour costs $" in shown
    assert "2026-07-01T02:00+00:00" in shown


def test_a_limit_below_the_service_time_is_refused(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    """No fleet helps; every degree's own time is named."""
    said = _refused(capsys, source, "--rate", "5/s", "--limit", "p99_total_ms=100", "--degrees", "4")

    assert said.startswith(
        "--limit: must be a limit that some fleet can hold, but no size holds it (TP4: no fleet holds 100 ms: "
        "even without queueing p99 of total latency is 21"
    )
    assert said.endswith(" (got 'p99_total_ms=100'); raise the limit or measure a faster degree\n")


def test_a_degree_without_samples_is_refused(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the reason, where the run has one."""
    folder = str(store(tmp_path, *planted_run(SEED_EXPERIMENT[:2], ended=[no_fit(4)], blocks=6)))

    assert _refused(capsys, folder, "--rate", "5/s", "--limit", "p99_total_ms=900", "--degrees", "2,4,8") == (
        "--degrees: must be a degree with service times in the run (needs 4 cores and this machine has 2) "
        "(got 4); name "
        "degrees that were measured: 1, 2\n"
        "--degrees: must be a degree with service times in the run (got 8); name degrees that were measured: 1, 2\n"
    )


def test_everything_wrong_is_named_at_once(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Rate, limit, forecast and options together."""
    said = _refused(
        capsys, source, "--rate", "5", "--limit", "p99_total_s=1", "--forecast", "/nowhere/f.csv", "--burst", "0.5"
    )

    assert [line.split(": ")[0] for line in said.splitlines()] == ["--limit", "--rate", "--forecast", "--burst"]


def test_neither_rate_nor_forecast_is_refused(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    """There is nothing to carry."""
    assert _refused(capsys, source, "--limit", "p99_total_ms=400") == (
        "--rate: must be set, or --forecast (not set); add --rate 500/s\n"
    )


def test_a_limit_on_first_tokens_needs_them(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without streaming nobody saw them."""
    record, samples = planted_run(SEED_EXPERIMENT[:1], blocks=6)
    plain: list[Sample] = [dataclasses.replace(sample, token_seconds=()) for sample in samples]
    folder = str(store(tmp_path, record, plain))

    assert _refused(capsys, folder, "--rate", "5/s", "--limit", "p99_ttft_ms=90") == (
        "--limit: must be on total latency: first tokens of TP1 were not timed (no streaming) (got 'p99 of time to "
        "first token at most 90 ms')\n"
    )


def test_a_void_run_is_refused(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is planned from a run that failed its own audit."""
    record, samples = planted_run(SEED_EXPERIMENT[:1], blocks=6)
    late = [dataclasses.replace(turn, send_lag_p99_ms=500.0) for turn in record.turns]
    folder = str(store(tmp_path, dataclasses.replace(record, turns=tuple(late)), samples))
    said = _refused(capsys, folder, "--rate", "5/s", "--limit", "p99_total_ms=900")

    assert said.startswith("RUN: must not be void (")
    assert said.endswith("; measure again\n")


def test_what_is_not_settled_is_json_too(
    source: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the form of a plan, with the exit status of what is open."""
    open_ = Refused(candidate=Candidate(2), word="inconclusive", sentence="too few samples")
    nothing = types.SimpleNamespace(carried=(), refused=(open_,))
    monkeypatch.setattr(plan_command, "plan", lambda *_: nothing)
    asked = ["plan", source, "--rate", "5/s", "--limit", "p99_total_ms=900"]

    assert main(asked) == 3
    assert capsys.readouterr().out == "Not settled: TP2: too few samples\n"
    assert main([*asked, "--json"]) == 3
    assert json.loads(capsys.readouterr().out) == {
        "headline": "Not settled",
        "sentences": ["TP2: too few samples"],
        "tables": {},
    }


@pytest.mark.parametrize(
    ("option", "what", "remedy"),
    [
        ("--output", "plan", "free space or name another folder with --output"),
        ("--manifests", "manifests", "name another folder with --manifests"),
    ],
)
def test_a_folder_that_cannot_be_made_is_told(
    source: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], option: str, what: str, remedy: str
) -> None:
    """A file is in its way."""
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "folder"
    asked = ["plan", source, "--rate", "5/s", "--limit", "p99_total_ms=900", "--output", str(tmp_path)]

    assert main([*asked, option, str(folder)]) == 5
    assert capsys.readouterr().err == f"the {what} cannot be written to {folder}: Not a directory; {remedy}\n"


def test_batched_servers_without_token_times_are_planned_too(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From service times, and it says so; three in service were never measured, and that is marked."""
    truth = [Planted(degree=1, latency_ms=290, queueing=0.2)]
    section = settings(degrees=[1], model={"max_num_seqs": 4, "max_model_len_tokens": 128}, price=price(2.25, 4))
    record, samples = planted_run(truth, section, blocks=6, requests=40, rising=(1, 2, 4))
    plain = [dataclasses.replace(sample, token_seconds=()) for sample in samples]
    folder = str(store(tmp_path, record, plain))
    assert main(["plan", folder, "--rate", "50/s", "--limit", "p99_total_ms=900"]) == 3  # six blocks settle nothing
    shown = capsys.readouterr().out

    assert (
        "Planned from service times, not step by step: TP1, because the times of tokens are not known. Only total "
        "latency is planned."
    ) in shown
    assert "of TP1's service is at concurrencies not measured (measured: 1, 2, 4 of 1 to 4)" in shown
    assert "Extrapolated: TP1 has " in shown


def test_a_batching_engine_is_planned_step_by_step(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its costs, its error and the turns behind it are said; the limit on first tokens is planned for."""
    bench = whole_run(TrueEngine(base=0.01, per_sequence=0.0006, per_prompt_token=0.0002, slots=16))
    section = settings(degrees=[1], model={"max_num_seqs": 16, "max_model_len_tokens": 128}, price=price(2.25, 4))
    folder = str(store(tmp_path, bench.record(section), bench.samples))
    limits = ["--limit", "p99_total_ms=600", "--limit", "p99_ttft_ms=100"]
    assert main(["plan", folder, "--rate", "100/s", *limits, "--routing", "least-in-flight"]) == 3  # no block
    shown = capsys.readouterr().out

    assert "TP1 is simulated step by step: a step takes 10.0 ms, 0.599 ms for each sequence and 0.19" in shown
    assert "; prompts share it with the tokens of other requests; each request takes " in shown
    assert "TP1's model error, at most, in the run's own turns: total latency p50 " in shown
    assert "The model against the run's own turns" in shown
    assert "service times" not in shown
    assert "p99 not tested" not in shown + (tmp_path / "fleet.html").read_text()


@pytest.mark.parametrize(("limit", "has_mark"), [("p99_total_ms=900", True), ("p75_total_ms=900", False)])
def test_a_percentile_that_the_model_was_not_compared_at_is_not_called_tested(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], limit: str, *, has_mark: bool
) -> None:
    """No load of the run has the requests for p99: it is said, and marked where such a percentile is limited."""
    engine = TrueEngine(base=0.01, per_sequence=0.0006, per_prompt_token=0.0002, slots=16)
    bench = whole_run(engine, blocks=0)
    section = settings(degrees=[1], model={"max_num_seqs": 16, "max_model_len_tokens": 128}, price=price(2.25, 4))
    folder = str(store(tmp_path, bench.record(section), bench.samples))
    assert main(["plan", folder, "--rate", "20/s", "--limit", limit]) == 3  # no block
    shown = capsys.readouterr().out

    assert ". p99 not tested: no load of the run has 100 requests; above p75 its intervals include the error" in shown
    assert "Every interval includes it." not in shown
    assert (
        '<span class="word inconclusive">p99 not tested</span>' in (tmp_path / "fleet.html").read_text()
    ) == has_mark
