"""The whole text of a report, as a reader gets it: the AWS sample's figure at a limit of 270 ms."""

from optimal_tp.report.claims import claims
from optimal_tp.report.document import document
from optimal_tp.report.files import markdown
from optimal_tp.report.tables import tables
from optimal_tp.verdict.analysis import analyse
from optimal_tp.verdict.rule import decide
from tests.fakes_goldens import hold_to
from tests.fakes_run import SEED_EXPERIMENT, no_fit, planted_run, price, settings, total_limit


def test_the_seeds_figure_as_a_report() -> None:
    """Answer, certainty, what otherwise, every claim and every table."""
    section = settings(degrees=[1, 2, 4, 8], price=price(), limits=total_limit(270, 75))
    record, samples = planted_run(SEED_EXPERIMENT, section, rising=(1, 2), ended=[no_fit(8, 4)])
    analysis = analyse(record, samples, decide(record, samples))

    hold_to("seed-report.md", markdown(analysis, claims(analysis), tables(analysis, document(analysis)), ()))
