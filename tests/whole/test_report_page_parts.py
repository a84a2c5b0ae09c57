"""What the page says: a headline of eight words, tiles, what to do, the checklist, money by the month."""

import csv
import dataclasses
import functools
import pathlib
import typing

import pytest

from optimal_tp.measurement.estimate import Estimate, Interval
from optimal_tp.measurement.run import OUTPUT_TOKENS, PROMPT_TOKENS, RunRecord
from optimal_tp.report.document import document
from optimal_tp.report.files import html, markdown, write
from optimal_tp.report.formats.spreadsheet import candidates_csv
from optimal_tp.report.headline import answer, headline
from optimal_tp.report.page.actions import actions, again, footer
from optimal_tp.report.page.canvas import Canvas, Scale
from optimal_tp.report.page.choice import capacity_table, choices, cost_rows, units_for
from optimal_tp.report.page.sections import is_figure
from optimal_tp.report.page.tiles import tiles
from optimal_tp.report.page.trust import checks
from optimal_tp.report.tables import comparison_table, tables
from optimal_tp.report.words import badge, caveats, latency_words, practice
from optimal_tp.settings.workload import Price
from optimal_tp.verdict.analysis import Analysis, analyse
from optimal_tp.verdict.findings import Proof
from optimal_tp.verdict.rule import decide
from tests.fakes_candidates import TP2
from tests.fakes_run import (
    SEED_EXPERIMENT,
    Planted,
    Recorder,
    no_fit,
    parsed,
    planted_run,
    price,
    settings,
    store,
    total_limit,
)

TIE = (Planted(degree=1, latency_ms=400, noise=0.01), Planted(degree=2, latency_ms=200, noise=0.01))


@functools.cache
def kind(name: str) -> Analysis:
    """Return a run that ends as ``name`` says."""
    limited = settings(price=price(), limits=total_limit(270, 75))
    plans: dict[str, dict[str, typing.Any]] = {
        "most": {},
        "most within limits": {"section": limited},
        "tie": {"truths": TIE, "section": settings(degrees=[1, 2]), "blocks": 60, "requests": 4},
        "alone": {"truths": SEED_EXPERIMENT[:1], "ended": [no_fit(4)]},
        "none holds": {"section": settings(limits=total_limit(190, 75))},
        "none fits": {"truths": (), "ended": [no_fit(1, 0)]},
        "open": {"blocks": 2},
        "nothing": {"blocks": 0},
        "void": {},
    }
    record, samples = planted_run(**plans[name])
    void: typing.Any = {None: ("the client was late",)} if name == "void" else {}
    return analyse(record, samples, decide(record, samples, void))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("most", "Serve with TP1: most per core"),
        ("most within limits", "Serve with TP2: most per core within limits"),
        ("tie", "Serve with TP1: none is clearly better"),
        ("alone", "Serve with TP1, the only candidate measured"),
        ("none holds", "No candidate meets your limits"),
        ("none fits", "No candidate can be served"),
        ("open", "Not settled yet: TP1 leads"),
        ("nothing", "Not settled yet"),
        ("void", "No verdict: the run is void"),
    ],
)
def test_a_headline_has_at_most_eight_words(name: str, expected: str) -> None:
    """Whatever the run ended with."""
    found = headline(kind(name).verdict)

    assert found == expected
    assert len(found.split()) <= 8


def all_missing() -> Analysis:
    """Return a run of two blocks at rates that no candidate held its limit at."""
    section, recorder = settings(degrees=[1, 2], limits=total_limit(310)), Recorder()
    limits = parsed(section).limits.asked()
    for block in range(2):
        for truth in SEED_EXPERIMENT[:2]:
            recorder.open_turn(truth, "block", limits, aside=0.4, counted=50, block=block)
    record = recorder.record(SEED_EXPERIMENT[:2], section)
    return analyse(record, recorder.samples, decide(record, recorder.samples))


def test_no_candidate_leads_that_met_no_limit() -> None:
    """Neither in the headline nor in the answer, the tiles, the badges or verdict.json; and no goodput is guessed."""
    analysis = all_missing()
    verdict, found = analysis.verdict, document(analysis)

    assert (verdict.outcome, verdict.provisional, verdict.none_met) == ("inconclusive", None, True)
    assert found.headline == "No leader: no candidate met the limit yet"
    assert len(found.headline.split()) <= 8
    assert answer(analysis) == (
        "Not settled yet: TP1 and TP2 met the limits at no rate that was tried; "
        "a claim needs 12 blocks and the run completed 2."
    )
    assert tiles(analysis) == ()
    assert [badge(verdict, degree) for degree in verdict.degrees] == ["open", "open"]
    assert [degree.goodput_per_second_per_core for degree in verdict.degrees] == [None, None]


def test_a_candidate_that_met_the_limit_may_lead() -> None:
    """Of two, the one that held it at some rate, though the other's fit says more."""
    section, recorder = settings(degrees=[1, 2], limits=total_limit(310)), Recorder()
    limits = parsed(section).limits.asked()
    recorder.open_turn(SEED_EXPERIMENT[0], "block", limits, aside=0.4, counted=50, block=0)
    recorder.open_turn(SEED_EXPERIMENT[1], "block", limits, aside=-0.6, counted=50, block=0)
    record = recorder.record(SEED_EXPERIMENT[:2], section)

    assert headline(decide(record, recorder.samples)) == "Not settled yet: TP2 leads"


def test_a_badge_says_what_became_of_a_candidate() -> None:
    """In words of everyday, with how much less; nobody has to learn ours."""
    verdict = kind("most within limits").verdict
    alone = kind("alone").verdict

    assert [badge(verdict, degree) for degree in verdict.degrees] == [
        "misses the limit",
        "chosen",
        "37 % less per core",
    ]
    assert [badge(alone, degree) for degree in alone.degrees] == ["chosen", "not tested"]
    assert badge(kind("tie").verdict, kind("tie").verdict.degrees[1]) == "within 5 %, no better"
    assert badge(kind("open").verdict, kind("open").verdict.degrees[0]) == "leads so far"


def placed(record: RunRecord, place: typing.Any, **pins: str) -> RunRecord:
    """Return ``record`` as of another place."""
    return dataclasses.replace(record, place=place, pins={**record.pins, **pins})


def test_only_a_run_on_this_machine_is_practice() -> None:
    """And random weights are said where they are."""
    record = kind("most").record
    words = "Practice run on CPU cores{}: it shows how optimal-tp works, not how Trainium2 performs."

    assert practice(record) == words.format("")
    assert practice(placed(record, "local", weights="random, shape of X")) == words.format(" with random weights")
    assert practice(placed(record, "cluster")) is None
    assert practice(placed(record, "own-servers")) is None


def test_buckets_are_told_of_a_cluster_alone() -> None:
    """Only Neuron compiles lengths; elsewhere the table would be noise."""
    analysis = kind("most")
    cluster = dataclasses.replace(analysis, record=placed(analysis.record, "cluster"))
    (told,) = (each for each in tables(cluster, document(cluster)) if each.caption.startswith("Buckets: "))

    assert told.rows == (
        ("prompt", "1,440", "30", "30", "30", "128", "23.4 %", "128", "23.4 %"),
        ("prompt and answer", "1,440", "80", "80", "80", "128", "62.5 %", "128", "62.5 %"),
    )
    assert not any(each.caption.startswith("Buckets: ") for each in tables(analysis, document(analysis)))


def test_verdict_json_has_every_caveat_as_a_sentence() -> None:
    """The practice run first, then what the verdict holds for; a cluster's has no practice."""
    analysis = kind("most")
    found = document(analysis)

    assert found.caveats == caveats(analysis.record, analysis.verdict)
    assert found.caveats[0].startswith("Practice run on CPU cores")
    assert found.caveats[1].startswith("It holds for these server processes: ")
    assert found.headline == "Serve with TP1: most per core"
    assert not caveats(placed(analysis.record, "cluster"), analysis.verdict)[0].startswith("Practice")


def test_tiles_have_rate_latency_and_dollars_of_one_point() -> None:
    """Each with its interval; the latency is that of the compared point."""
    rate, latency, dollars = tiles(kind("most within limits"))

    assert (rate.label, rate.value, rate.unit) == ("Goodput per core", "about 0.980", "requests/s within the limits")
    assert rate.interval == "fitted, not proven"
    assert latency.label == "p75 of total latency"
    assert latency.unit == "limit 270 ms, measured near the capacity"
    assert latency.interval.endswith(" ms")
    assert (dollars.value, dollars.unit) == ("$6.80", "at $4.80 an hour")
    assert dollars.interval.startswith("$6.5")


def test_a_latency_over_the_limit_names_the_rates_that_met_it() -> None:
    """A settled comparison near capacity may lie over the limit: the tile says at which rates turns met it."""
    analysis = kind("most within limits")
    over = Estimate(value=400.0, interval=Interval(low=300.0, high=None))
    degrees = tuple(
        dataclasses.replace(one, limits=tuple(dataclasses.replace(each, latency_ms=over) for each in one.limits))
        for one in analysis.verdict.degrees
    )
    missed = dataclasses.replace(analysis, verdict=dataclasses.replace(analysis.verdict, degrees=degrees))
    met: dict[bool, list[float]] = {True: [0.8, 1.1], False: [1.0, 1.4]}
    rates = {one.candidate: met for one in degrees}
    none = {one.candidate: {True: [], False: [0.9]} for one in degrees}
    said = "limit 270 ms: measured near capacity, over the limit"

    assert max(analysis.tried[TP2][True]) > 0
    assert [tiles(dataclasses.replace(missed, tried=one))[1].unit for one in (rates, none)] == [
        f"{said}; turns met it at up to 1.10 requests/s per core, and missed it from 1.00",
        f"{said}; no turn met it",
    ]


def test_a_tile_without_a_figure_is_a_sentence() -> None:
    """Not a dash with a unit."""
    _, _, dollars = tiles(kind("most"))

    assert (dollars.value, dollars.unit) == (None, "no price was set; enter yours below")


def test_a_proven_rate_is_the_interval_of_goodput() -> None:
    """Until a rate is proven to hold there is none."""
    analysis = kind("most within limits")
    proof = Proof(held_per_second_per_core=0.9, missed_per_second_per_core=1.1, turns=60)
    proven, unheld, untold = (
        dataclasses.replace(
            analysis,
            verdict=dataclasses.replace(
                analysis.verdict,
                degrees=tuple(dataclasses.replace(one, proof=each) for one in analysis.verdict.degrees),
            ),
        )
        for each in (
            proof,
            dataclasses.replace(proof, held_per_second_per_core=None),
            dataclasses.replace(proof, held_per_second_per_core=None, missed_per_second_per_core=None),
        )
    )

    assert tiles(analysis)[0].interval == "fitted, not proven"
    assert tiles(proven)[0].interval == "proven: at least 0.900, less than 1.10"
    assert tiles(unheld)[0].interval == "proven: less than 1.10"
    assert tiles(untold)[0].interval == "fitted, not proven"
    (two, _) = capacity_table(proven).rows
    assert two[:4] == ("TP2", "1.96", "1.80", "8.2 %")
    assert two[-1].startswith("p75 ")
    assert two[-1].endswith("; limit 270 ms")
    assert "best at the proven rate" in capacity_table(proven).caption
    assert "proven" not in capacity_table(analysis).caption


@pytest.mark.parametrize("name", ["none holds", "void", "nothing"])
def test_without_a_candidate_there_is_no_tile(name: str) -> None:
    """Nothing to show, nothing shown."""
    assert tiles(kind(name)) == ()


def test_what_to_do_can_be_pasted() -> None:
    """The server's flags, the stack file's lines, the fleet's plan with the run's own limit."""
    analysis = kind("most within limits")
    cluster = dataclasses.replace(analysis, record=placed(analysis.record, "cluster"))
    serve, stack, plan = actions(cluster)

    assert serve.text == ("vllm serve Qwen/Qwen3-0.6B --tensor-parallel-size 2 --max-num-seqs 1 --max-model-len 128")
    assert stack.text.splitlines() == [
        "optimal-tp:workloads:",
        "  degrees: [2]",
        "  model: { max_num_seqs: 1 }",
        "  limits:",
        "    total_latency_ms: { percentile: 75, at_most_ms: 270 }",
    ]
    assert plan.text == (
        "optimal-tp plan out/cluster/20260701T120000Z-test --rate 5/s --limit p75_total_ms=270 --degrees 2 "
        "--usd-per-hour 4.8"
    )


def test_a_practice_run_advises_nothing_for_aws() -> None:
    """No server's flags and no stack file: only a plan, which says itself that it is practice."""
    (plan,) = actions(kind("most within limits"))

    assert plan.text == (
        "optimal-tp plan out/20260701T120000Z-test --rate 5/s --limit p75_total_ms=270 --degrees 2 --usd-per-hour 4.8"
    )


def test_a_plan_is_offered_with_the_price_of_its_node_or_with_none() -> None:
    """Without a price, and with one of another number of cores than the node has, the reader puts in his own."""
    analysis = kind("most within limits")
    for other in (None, Price(usd_per_hour=4.8, source="a quote", date="2026-07-01", billed_cores=2)):
        section = analysis.record.settings.model_copy(update={"price": other})
        (plan,) = actions(dataclasses.replace(analysis, record=dataclasses.replace(analysis.record, settings=section)))

        assert plan.text.endswith(" --degrees 2 --usd-per-hour YOUR_PRICE")


def test_markdown_has_the_stack_files_lines_as_a_block() -> None:
    """A line of code cannot hold several lines, so they are fenced below their item of the list."""
    analysis = kind("most within limits")
    analysis = dataclasses.replace(analysis, record=placed(analysis.record, "cluster"))
    written = markdown(analysis, document(analysis).claims, (), ())

    assert (
        "- Keep it in the stack file:\n\n  ```yaml\n  optimal-tp:workloads:\n    degrees: [2]\n"
        "    model: { max_num_seqs: 1 }\n    limits:\n"
        "      total_latency_ms: { percentile: 75, at_most_ms: 270 }\n  ```\n\n- Plan a fleet for your rate: `"
    ) in written


def test_the_page_says_of_every_candidate_what_became_of_it() -> None:
    """Beneath the tiles; a candidate alone needs no such row."""
    several, alone = kind("most within limits"), kind("alone")

    page = html(several, document(several).claims, ())
    assert "<li><strong>TP2</strong> chosen</li>" in page
    assert "<li><strong>TP1</strong> " in page
    assert page.index('class="tiles"') < page.index('class="badges"') < page.index('class="answer"')
    assert ('class="badges"' in html(alone, document(alone).claims, ())) == (len(alone.verdict.degrees) > 1)


def test_without_a_choice_one_measures_again() -> None:
    """On this machine by the same profile, in the cluster, or against the same servers with the user's own settings."""
    analysis = kind("open")
    pinned = dataclasses.replace(analysis.record, pins={**analysis.record.pins, "profile": "my own.yaml"})
    own = dataclasses.replace(analysis, record=placed(analysis.record, "own-servers"))
    cluster = dataclasses.replace(analysis, record=placed(analysis.record, "cluster"))

    assert [one.title for one in actions(analysis)] == ["Measure again"]
    assert again(analysis) == "optimal-tp local"
    assert again(dataclasses.replace(analysis, record=pinned)) == "optimal-tp local --profile 'my own.yaml'"
    assert again(cluster) == "pulumi up"
    assert again(own).startswith(
        "optimal-tp run --settings YOUR_SETTINGS.yaml --target 1=http://127.0.0.1:8001 --target 2=http://127.0.0.1:8002"
    )
    assert again(own).endswith(" --results out")
    assert footer(analysis).recompute == "optimal-tp report out/20260701T120000Z-test"
    assert footer(cluster).recompute == "optimal-tp report out/cluster/20260701T120000Z-test"


def test_commands_name_the_folder_that_the_report_goes_to(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep's leg lies below its sweep, a link is followed; a folder without the run is not named."""
    analysis = kind("most")
    leg = store(tmp_path / "out" / "my sweep" / "small", analysis.record, ())
    (tmp_path / "last").symlink_to(leg)
    monkeypatch.chdir(tmp_path)
    for folder in (leg, pathlib.Path("last")):
        write(folder, analysis)

        assert "optimal-tp plan 'out/my sweep/small' --rate" in (leg / "report.md").read_text()
        assert "optimal-tp report &#39;out/my sweep/small&#39;" in (leg / "report.html").read_text()
    write(tmp_path / "elsewhere", analysis)

    assert f"optimal-tp plan out/{analysis.record.run} --rate" in (tmp_path / "elsewhere" / "report.md").read_text()


def test_the_checklist_says_what_was_seen_and_what_is_allowed() -> None:
    """A clean run has no wrong check; what nobody watched is unknown."""
    found = {check.title: check for check in checks(kind("most"))}
    late = found["Requests left on time, and latency counts from the planned send"]

    assert (late.state, late.detail) == (
        "fine",
        "In the worst turn the client was 0.4 ms late at the 99th percentile; 5 ms is allowed.",
    )
    assert found["Whether the load generator paused"].state == "unknown"
    assert found["The answer may depend on a single server start"].state == "note"
    assert "wrong" not in {check.state for check in found.values()}


def test_the_checklist_points_at_what_is_wrong() -> None:
    """A late client, a busy machine, failures: each title says what is wrong; planned tokens that are kept."""
    analysis = kind("most")
    turns = tuple(
        dataclasses.replace(turn, send_lag_p99_ms=40.0, longest_lag_ms=900.0, foreign_cpu_share=0.4)
        for turn in analysis.record.turns
    )
    record = dataclasses.replace(analysis.record, turns=turns, pins={PROMPT_TOKENS: "exact", OUTPUT_TOKENS: "exact"})
    degrees = tuple(dataclasses.replace(one, failures=100) for one in analysis.verdict.degrees)
    bad = dataclasses.replace(analysis, record=record, verdict=dataclasses.replace(analysis.verdict, degrees=degrees))
    states = {check.title: check.state for check in checks(bad)}

    assert [title for title, state in states.items() if state == "wrong"] == [
        "Requests left late; latency counts from the planned send",
        "The load generator paused too long",
        "Some requests failed",
        "Other processes used the measured cores too much",
    ]
    assert states["Prompts and answers have the planned tokens"] == "fine"


def test_requests_that_were_given_up_are_no_failures() -> None:
    """Cancelled after missing the limit: counted apart in the table, the spreadsheet and the checklist."""
    record, samples = planted_run(section=settings(limits=total_limit(310, 75)))
    slow = [
        dataclasses.replace(sample, status="cancelled", output_tokens=None)
        if sample.rate_per_second is not None and (sample.total_latency_ms or 0) > 310
        else sample
        for sample in samples
    ]
    found = analyse(record, slow, decide(record, slow))
    (table,) = [one for one in tables(found, document(found)) if "Given up" in one.heads]
    row, degree = table.rows[0], found.verdict.degrees[0]
    (check,) = [check for check in checks(found) if check.title == "No request failed"]
    first = next(csv.DictReader(candidates_csv(found).splitlines()))

    assert (degree.failures, degree.failed) == (degree.given_up, 0)
    assert degree.given_up > 100
    assert [row[table.heads.index(head)] for head in ("Failed", "Given up")] == ["0", f"{degree.given_up:,}"]
    assert (first["failures"], first["given_up"]) == (str(degree.given_up), str(degree.given_up))
    assert check.state == "fine"
    assert "were given up once they had missed a limit; each counts as a miss." in check.detail


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.0, ("wrong", " A CPU quota held servers or client back in 3 periods.")),
        (None, ("note", " A CPU quota held the load generator back in 3 periods.")),
    ],
    ids=["beside servers", "elsewhere"],
)
def test_the_checklist_tells_of_a_quota(share: float | None, expected: tuple[str, str]) -> None:
    """Beside the servers it holds them back too; elsewhere only who measures."""
    analysis = kind("most")
    first, *others = (dataclasses.replace(turn, foreign_cpu_share=share) for turn in analysis.record.turns)
    turns = (*others, dataclasses.replace(first, stage="block", throttled_periods=3))
    held = dataclasses.replace(analysis, record=dataclasses.replace(analysis.record, turns=turns))
    (found,) = [check for check in checks(held) if check.title.startswith("A CPU quota held ")]

    assert found.state == expected[0]
    assert found.detail.endswith(expected[1])


def test_the_checklist_says_how_much_of_the_cores_others_used_at_most() -> None:
    """Some of it is allowed, so no title says that nothing used them."""
    analysis = kind("most")
    titles = []
    for share in (0.0, 0.145):
        turns = tuple(dataclasses.replace(turn, foreign_cpu_share=share) for turn in analysis.record.turns)
        busy = dataclasses.replace(analysis, record=dataclasses.replace(analysis.record, turns=turns))
        titles += [check.title for check in checks(busy) if check.title.endswith("the measured cores")]

    assert titles == [
        "Nothing else used the measured cores",
        "Other processes used at most 14.5 % of the measured cores",
    ]


@pytest.mark.parametrize(
    ("rate", "per_core", "degree", "cores", "expected"),
    [(1, 1.0, 1, 4, 1), (100, 4.0, 1, 4, 7), (100, 3.0, 2, 4, 9), (10, 1.0, 8, 4, 4), (4.1, 1.0, 4, 4, 2)],
)
def test_whole_servers_stand_on_whole_units(
    rate: float, per_core: float, degree: int, cores: int, expected: int
) -> None:
    """Rounded up twice; a server larger than a unit takes several."""
    assert units_for(rate, per_core, degree, cores) == expected


def test_dollars_a_month_follow_from_units() -> None:
    """100/s at 0.98 per core take 52 servers of two cores, 26 instances of four, at $4.80 and 730 hours."""
    table = cost_rows(kind("most within limits"))

    assert table.heads == ("Rate", "TP2", "TP4")
    assert table.rows[2][:2] == ("100/s", "$91,104 (26)")
    assert cost_rows(kind("most")).rows == ()


def test_what_the_slider_moves_through_begins_at_the_runs_own_limit() -> None:
    """Its figures are the verdict's, its dollars those of the compared point."""
    (choice,) = choices(kind("most within limits"))
    own = choice.data["points"][choice.data["start"]]

    assert (own["limit"], own["own"], own["answer"]) == ("270 ms", True, "TP2")
    assert own["rows"][1]["tokens"] == pytest.approx(49.0, rel=0.01)
    assert [row.answer for row in choice.rows if row.is_own] == ["TP2"]


def test_a_percentile_of_few_requests_is_none() -> None:
    """p99 of twenty says nothing, and no range is called unbounded."""
    analysis = kind("most")
    every = tables(analysis, document(analysis))
    (latency,) = [table for table in every if table.caption.startswith("Latency in ms")]
    alone = [row for row in latency.rows if row[1] == "one at a time"]

    assert {row[latency.heads.index("p99")] for row in alone} == {"too few requests"}
    assert "unbounded" not in str(every)


def test_the_spreadsheet_leaves_empty_what_is_not_known() -> None:
    """One line a candidate; never 0 for nothing."""
    one, four = csv.DictReader(candidates_csv(kind("alone")).splitlines())

    assert (one["candidate"], one["word"], one["usd_per_million_tokens"]) == ("TP1", "chosen", "")
    assert float(one["tokens_low"]) < float(one["tokens_per_second_per_core"]) < float(one["tokens_high"])
    assert (four["candidate"], four["word"], four["tokens_per_second_per_core"]) == ("TP4", "no-fit", "")


@pytest.mark.parametrize(
    ("cell", "expected"),
    [("1,234", True), ("$1.78 ($1.71 to $1.85)", True), ("p90 2.1 s; limit 2.5 s", True), ("TP1", False), ("—", False)],
)
def test_figures_are_set_flush_right(cell: str, expected: bool) -> None:  # noqa: FBT001 - a row of a table
    """Words are not."""
    assert is_figure(cell) is expected


@pytest.mark.parametrize(("value", "expected"), [(750.4, "750 ms"), (1000, "1 s"), (2250, "2.25 s")])
def test_latencies_are_said_in_the_unit_that_reads_best(value: float, expected: str) -> None:
    """Milliseconds below a second."""
    assert latency_words(value) == expected


def test_ticks_are_round_and_within_the_scale() -> None:
    """Whole for what is counted, powers of two where the scale is logarithmic."""
    assert Scale(low=0, high=9.5, start=0, end=1).ticks() == [0, 2, 4, 6, 8]
    assert Scale(low=0, high=3, start=0, end=1, is_whole=True).ticks() == [0, 1, 2, 3]
    assert Scale(low=1, high=9, start=0, end=1, is_log=True).ticks() == [1, 2, 4, 8]
    assert Scale(low=0, high=10, start=0, end=100)(25) == 100


def test_what_a_picture_says_is_escaped() -> None:
    """Names come from a run."""
    canvas = Canvas(10)
    canvas.text(0, 0, "<b>&")

    assert "&lt;b&gt;&amp;" in canvas.svg('"<')
    assert 'aria-label="&quot;&lt;"' in canvas.svg('"<')


def test_the_pairs_say_why_they_have_fewer_blocks_than_the_run() -> None:
    """Only where one has: the reader compares its blocks with the headline's."""
    analysis = kind("most within limits")
    verdict = analysis.verdict
    captions = []
    for blocks in (verdict.blocks, verdict.blocks - 1):
        pairs = tuple(dataclasses.replace(one, blocks=blocks) for one in verdict.comparisons)
        found = dataclasses.replace(analysis, verdict=dataclasses.replace(verdict, comparisons=pairs))
        captions.append(comparison_table(found).caption)

    assert captions[0].endswith("; all ranges hold together")
    assert captions[1] == f"{captions[0]}; only blocks count that both ran undisturbed near their capacity"
