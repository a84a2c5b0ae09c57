"""docs/concepts/verdict.md says what the program does: its words, its exit statuses, its constants, its prices."""

import itertools
import math
import pathlib
import re
import typing

import pytest
import yaml

from bench.race import __main__ as race
from bench.race import proofs, saturated, truths
from optimal_tp.experiment import guidance
from optimal_tp.measurement.run import VERSION
from optimal_tp.plan.expectation import BY_CANDIDATES, BY_SHARE, PROOFS, QUICK, UNLIMITED, ProofRow
from optimal_tp.settings.workload import Decision
from optimal_tp.verdict import caveats, contest, statistics
from optimal_tp.verdict.findings import EXIT_STATUS, Word
from optimal_tp.verdict.race import blocks, capacity, pairs, proof, rates, scoring

ROOT = pathlib.Path(__file__).parents[2]
PAGE = (ROOT / "docs/concepts/verdict.md").read_text(encoding="utf-8")
PLAIN = re.sub(r"\s+", " ", PAGE)


def test_every_word_is_explained() -> None:
    """The table of gates has each word of the program, and no other."""
    table = PAGE.split("## Words")[1].split("The run is **settled**")[0]

    assert set(re.findall(r"\| `([a-z-]+)` \|", table)) == set(typing.get_args(Word))


def test_every_exit_status_is_stated() -> None:
    """The outcomes with their numbers, and the one for bad input."""
    stated = dict(re.findall(r"(\d) (settled|inconclusive|void|no run to read)", PAGE))

    assert stated == {str(status): outcome for outcome, status in EXIT_STATUS.items()} | {"2": "no run to read"}


@pytest.mark.parametrize("name", ["verdict", "measurement", "fleet"])
def test_the_rule_has_ten_sentences(name: str) -> None:
    """One number each, in order."""
    page = (ROOT / f"docs/concepts/{name}.md").read_text(encoding="utf-8")
    rule = page.split("## The rule in ten sentences")[1].split("\n## ")[0]

    assert re.findall(r"^(\d+)\. ", rule, flags=re.MULTILINE) == [str(number) for number in range(1, 11)]


LEAST = Decision()
STATED = (
    f"no other can be more than {100 * LEAST.resolution:g} % better",
    f"nothing is claimed before the {LEAST.minimum_blocks}th block",
    f"the least lead ({100 * LEAST.least_lead:g} %) and the resolution ({100 * LEAST.resolution:g} %)",
    f"b about {capacity.USUAL_SLOPE:g} ± {capacity.SLOPE_SPREAD:g} and at least {capacity.LEAST_SLOPE:g}",
    f"the logit at the mean rate about logit q ± {capacity.USUAL_SHIFT:g}",
    f"so {capacity.REQUESTS_PER_TRIAL} count as one trial",
    f"once a candidate has {scoring.BRACKET_BLOCKS} blocks",
    f"At ĉ ∓ {100 * rates.SIDES[1]:g} %, in turn; from an asked share of {100 * rates.TAIL_SHARE:g} % on",
    f"at {100 * rates.TAIL_SIDES[0]:g} % and +{100 * rates.TAIL_SIDES[1]:g} %",
    f"by a factor of {math.exp(rates.LONGEST_MOVE):g} at most",
    f"max(p̂ (1 - p̂), {capacity.LEAST_VARIANCE:g} q (1 - q))",
    f"further than {contest.REACH:g} from ĉ ({contest.QUICK_REACH:g} with few looks)",
    f"A turn with X < {capacity.DISTURBED_SHARE:g} p̂",
    f"lies more than {capacity.DISTURBED_DEVIATIONS:g} sqrt({capacity.REQUESTS_PER_TRIAL / 2:g} max(",
    f"Where more than {100 * contest.MOST_DISTURBED:g} % of a candidate's turns are disturbed",
    f"Fisher's exact test at {100 * contest.UNEVEN:g} %",
    f"a Gaussian mixture, g = {pairs.PRIOR_VARIANCE:g}",
    f"Below {pairs.FEWEST_EFFECTIVE} nothing is claimed. *Better* asks for {pairs.FEWEST_FOR_BETTER}",
    f"With at least {pairs.FEWEST_FOR_TREND} blocks, where the slope of one candidate's scores has",
    f"|t| > {blocks.CANDIDATE_TREND:g}, or that of a pair's differences |t| > {blocks.PAIR_TREND:g}",
    f"over at least {scoring.FEWEST_TO_WANDER} turns, scores vary by more than {scoring.WANDERING:g} times",
    f"or lo > ln(1 + {pairs.SURE_LEAD} resolutions)",
    f"further than {proof.NEAR:g} beyond c",
    f"misses at {guidance.LEAST_LOAD:g} requests in flight for each server",
    f"two of three turns at {guidance.PROOF_SHARE:g} of the fitted capacity ({guidance.TAIL_PROOF_SHARE:g} where",
    f"where {100 * guidance.TAIL:g} % or more are asked), every third at {guidance.MISS_SHARE:g}",
    f"Nine stakes λ from {proof.STAKES[0]:g} to {proof.STAKES[-1]:g} run side by side",
    f"{100 * proof.BOLD_WEIGHT:g} % of the wealth under the largest",
    "within the budget, {:g} minutes (quick: {:g})".format(
        *(way.decision.budget_seconds / 60 for way in (truths.CAREFUL, truths.QUICK))
    ),
    f"that candidate alone, with g = {statistics.PRIOR_VARIANCE:g}",
    f"verdict.schema.json), version {VERSION}.",
)
"""Words of the page whose figures are the program's."""


@pytest.mark.parametrize("words", STATED, ids=[words[:40] for words in STATED])
def test_the_page_states_the_programs_figure(words: str) -> None:
    """A constant that moves takes the sentence with it."""
    assert words in PLAIN


def test_the_quick_profile_asks_for_what_the_page_says() -> None:
    """20 %, from the 4th block on, five looks."""
    profile = yaml.safe_load((ROOT / "optimal_tp/local/profiles/quick.yaml").read_text(encoding="utf-8"))
    quick = Decision(**profile["workloads"]["decision"])
    last = quick.minimum_blocks + (quick.fixed_looks or 0) - 1

    assert (
        f"at most {100 * quick.resolution:g} % better, from the {quick.minimum_blocks}th block on, at five looks"
        in PLAIN
    )
    assert f"(the quick profile: {quick.fixed_looks}, after blocks {quick.minimum_blocks} to {last})" in PLAIN
    assert quick.fixed_looks == 5


def test_the_numbers_in_words_are_the_programs() -> None:
    """Nine stakes; fewer than three starts."""
    assert len(proof.STAKES) == 9
    assert caveats.ENOUGH_STARTS == 3


def test_the_price_of_a_proof_is_stated() -> None:
    """How many faultless turns it takes to prove that a rate is held, at 95 % with half of it for this side."""
    stated = re.search(r"if every request holds, p75 takes (\d+) turns, p90 (\d+), p95 (\d+), p99 (\d+)", PLAIN)
    needed = [
        next(
            turns
            for turns in itertools.count(1)
            if proof.is_shown(proof.held([1.0] * turns, asked), (1 - LEAST.confidence) / 2)
        )
        for asked in (0.75, 0.9, 0.95, 0.99)
    ]

    assert stated is not None
    assert [int(turns) for turns in stated.groups()] == needed


@pytest.mark.parametrize(("row", "count"), [("two", 1), ("three", 3)])
def test_the_half_widths_are_stated(row: str, count: int) -> None:
    """The interval at each number of blocks, in deviations, with the error shared over ``count`` pairs."""
    heads = re.search(r"^\| blocks \|(.*)\|$", PAGE, flags=re.MULTILINE)
    cells = re.search(rf"^\| {row} candidates \|(.*)\|$", PAGE, flags=re.MULTILINE)
    assert heads is not None
    assert cells is not None
    numbers = [int(cell) for cell in heads[1].split("|")]
    alpha = (1 - LEAST.confidence) / count
    bounds = [statistics.t_bound(each, alpha=alpha, prior_variance=pairs.PRIOR_VARIANCE) for each in numbers]

    assert [float(cell) for cell in cells[1].split("|")] == [
        round(bound / math.sqrt(number), 2) for bound, number in zip(bounds, numbers, strict=True)
    ]


PROOF_COLUMNS = {head.strip() for head in proofs.HEAD.strip("|").split("|")[1:]}


def test_the_tables_columns_are_explained() -> None:
    """Every column that the bench prints has its words above the table."""
    explained = set(re.findall(r"\*\*([a-z %]+)\*\*", PAGE.split("## Against planted truths")[1].split("\n## ")[0]))

    assert {head.strip() for head in race.HEAD.strip("|").split("|")} | PROOF_COLUMNS | {"blocks"} == explained


def cells(name: str, ratio: str = "1") -> list[str]:
    """Return the cells of a row of the page's tables, behind its name and ratio."""
    row = re.search(rf"^\| {re.escape(name)} \| {re.escape(ratio)} \|(.*)\|$", PAGE, flags=re.MULTILINE)
    assert row is not None, name
    return [cell.strip() for cell in row[1].split("|")]


RACES = {row.name: row for row in (*BY_SHARE.values(), *BY_CANDIDATES.values(), *QUICK.values())}


@pytest.mark.parametrize("name", RACES)
def test_what_is_expected_of_a_run_is_the_tables(name: str) -> None:
    """Turns, median and 90th percentile, and the share that reaches a choice, of equal candidates."""
    row, found = RACES[name], cells(name)

    assert found[3] == f"{row.turns} / {row.turns_p90}"
    assert float(found[2]) == pytest.approx(100 * row.reached)


def test_what_is_expected_without_limits_is_the_tables() -> None:
    """Blocks, each with a turn of every candidate."""
    row, found = UNLIMITED, cells(UNLIMITED.name)

    assert found[3] == f"{row.turns // row.candidates} / {row.turns_p90 // row.candidates}"
    assert float(found[2]) == pytest.approx(100 * row.reached)


@pytest.mark.parametrize("row", PROOFS, ids=[row.name for row in PROOFS])
def test_what_is_expected_of_a_proof_is_the_tables(row: ProofRow) -> None:
    """Turns until a rate is proven held; its share of the capacity is the program's."""
    share = guidance.TAIL_PROOF_SHARE if row.asked >= guidance.TAIL else guidance.PROOF_SHARE

    assert cells(row.name, f"{100 * share:g}")[2] == f"{row.turns} / {row.turns_p90}"
    assert {name: asked for name, (_, asked) in proofs.ROWS}[row.name] == row.asked


def test_the_rows_are_the_kinds_explained() -> None:
    """Engines and rows that the page names are there."""
    names = {truth.name for truth in truths.truths()}

    assert any(name.startswith("prefill first") for name in names)
    assert any(name.startswith("one slot") for name in names)
    assert any(name.startswith("8B-like") for name in names)
    assert saturated.ROWS


def test_the_page_says_when_goodput_is_called_too_high() -> None:
    """Probably, where the compared turns missed the limit; with fixed looks up to a fifth otherwise, never both."""
    first, otherwise = PLAIN.split("An exact goodput after few turns.")[1].split(" Otherwise ")[:2]

    assert "the report says *probably too high*" in first
    assert otherwise.startswith(
        "a run with fixed looks and limits, as of the quick profile, says *about right, up to 20 % too high*."
    )
