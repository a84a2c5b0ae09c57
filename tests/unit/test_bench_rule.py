"""What the simulations promise: the table in docs/verdict.md, in a slow tier and as a sample of it."""

import math
import pathlib
import re

import pytest

from bench.rule import GATES, TRUTHS, Planted, Row, gated, judged, one_after_the_other, table
from optimal_tp.verdict.statistics import share_sequence, t_bound

ROOT = pathlib.Path(__file__).parents[2]
EXPERIMENTS = 10_000


def truth(name: str) -> Planted:
    """Return the planted truth of a row."""
    return next(found for found in TRUTHS if found.name == name)


def test_a_sample_of_the_simulations_errs_rarely() -> None:
    """Two hundred three-way ties: at most one in twenty declares a winner, most settle."""
    row = judged(truth("three degrees tie"), 200)

    assert row.wrong <= 0.05
    assert row.settled > 0.9


def test_usual_practice_errs_under_drift() -> None:
    """One degree after the other, Welch's t: nearly every run declares a difference that is not there."""
    assert one_after_the_other(truth("three tie, 10 % drift an hour"), 200).wrong > 0.9


def test_the_table_in_the_document_is_the_simulations() -> None:
    """Every row of the table is in docs/verdict.md, with 10,000 experiments."""
    text = (ROOT / "docs" / "verdict.md").read_text()
    names = [name for row in text.splitlines() if (name := row_name(row))]
    expected = [row_name(row) for row in table(10).splitlines()]

    assert names == [name for name in expected if name]


def row_name(line: str) -> str | None:
    """Return the first cell of a row of the simulations' table; None for any other line."""
    found = re.fullmatch(r"\| ([^|]+) \| (?:10|10,000) \|.*", line)
    return found.group(1) if found else None


@pytest.fixture(scope="module")
def documented() -> dict[str, list[str]]:
    """Return the cells of each row of the table in docs/verdict.md, by name."""
    text = (ROOT / "docs" / "verdict.md").read_text()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if row_name(line)]
    return {row[0]: row[1:] for row in rows}


def assert_as_documented(row: Row, cells: list[str]) -> None:
    """Hold a simulated row against the documented one, within its own sampling error."""
    documented_wrong = float(cells[1].removesuffix(" %")) / 100

    assert row.wrong == pytest.approx(documented_wrong, abs=0.005)
    assert row.settled == pytest.approx(float(cells[2].removesuffix(" %")) / 100, abs=0.02)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("planted", TRUTHS, ids=lambda planted: planted.name)
def test_wrong_winners_are_at_most_5_percent(planted: Planted, documented: dict[str, list[str]]) -> None:
    """Over 10,000 experiments of every planted truth, with another seed than the document's."""
    row = judged(planted, EXPERIMENTS, seed=99)

    assert row.wrong <= 0.05
    assert_as_documented(row, documented[planted.name])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_five_percent_at_three_percent_noise_settles_in_the_stated_blocks(documented: dict[str, list[str]]) -> None:
    """The document's median, and all but a few runs within 30 blocks."""
    row = judged(truth("the larger is 5 % better"), EXPERIMENTS, seed=99)

    assert row.blocks_median == pytest.approx(float(documented[row.name][3]), abs=1)
    assert row.blocks_p90 is not None
    assert row.blocks_p90 <= 30


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_latency_at_the_limit_stays_inconclusive() -> None:
    """With exactly the asked share within the limit the gate decides in at most 5 % of the runs, whatever it says."""
    rows = [gated(planted, EXPERIMENTS, seed=99) for planted in GATES if planted.share == planted.target]

    assert all(row.settled <= 0.05 for row in rows)
    assert len(rows) == 2


@pytest.mark.parametrize(("asked", "requests"), [(0.5, 6), (0.9, 39), (0.95, 79), (0.99, 405)])
def test_the_document_says_how_dear_a_percentile_is(asked: float, requests: int) -> None:
    """The fewest requests that show a limit held, all of them holding it: the figures of docs/verdict.md."""
    enough = share_sequence(requests, requests, alpha=0.05).low
    short = share_sequence(requests - 1, requests - 1, alpha=0.05).low

    assert enough is not None
    assert short is not None
    assert short < asked <= enough
    assert re.search(rf"\bp{100 * asked:g} (takes )?{requests}\b", (ROOT / "docs" / "verdict.md").read_text())


@pytest.mark.parametrize("prior_variance", [1.0, 10.0, 100.0])
def test_the_document_has_the_half_widths_of_each_prior(prior_variance: float) -> None:
    """The table by which the prior was chosen is what t_bound gives."""
    counts = (4, 5, 6, 8, 10, 15, 20, 50, 100, 200)
    halves = [t_bound(count, alpha=0.05 / 3, prior_variance=prior_variance) / math.sqrt(count) for count in counts]
    cells = " | ".join("none" if math.isinf(half) else f"{half:.2f}" for half in halves)

    assert f"| {cells} |" in (ROOT / "docs" / "verdict.md").read_text()
