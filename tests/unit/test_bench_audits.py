"""What the bench says of the audit: whether a run was told rightly, held against the server's truth."""

import dataclasses

import pytest

from bench.audits import Told, words

GOOD = Told(words="nothing", valid=True, reasons=(), late_ms=0.1, error_ms=0.02, core_wait_seconds=0.01)


@pytest.mark.parametrize(
    ("told", "right"),
    [
        (GOOD, True),
        (dataclasses.replace(GOOD, late_ms=5.1), False),
        (dataclasses.replace(GOOD, error_ms=5.1), False),
        (dataclasses.replace(GOOD, valid=False, error_ms=70), True),
        (dataclasses.replace(GOOD, error_ms=None, late_ms=None), True),
        (dataclasses.replace(GOOD, must_be_void=True), False),
        (dataclasses.replace(GOOD, must_be_void=True, valid=False), True),
    ],
    ids=["true", "late", "off", "void", "nothing measured", "lag that was not seen", "lag that was"],
)
def test_a_valid_run_is_one_that_truly_was_in_time(told: Told, right: object) -> None:
    """Void is right where lag was planted or the truth is beyond the audit's bound; valid where it is within."""
    assert told.right == right


def test_clean_runs_are_counted_and_planted_lag_is_told_one_by_one() -> None:
    """With the worst figures, and every reason."""
    void = dataclasses.replace(GOOD, valid=False, reasons=("the clock lagged",), error_ms=0.5)
    lagging = dataclasses.replace(GOOD, words="three busy loops", error_ms=9, late_ms=12, core_wait_seconds=0.61)

    assert list(words([GOOD, void, lagging])) == [
        (
            "clean runs: 1 of 2 valid; at worst sends 0.10 ms late at p99, TTFT 0.50 ms off the server's truth at p99, "
            "0.01 s waiting for its core"
        ),
        "  void for: the clock lagged",
        (
            "three busy loops: valid, WRONGLY; sends 12.00 ms late at p99, TTFT 9.00 ms off the server's truth at p99, "
            "0.61 s waiting for its core"
        ),
    ]
