"""What is told at the end: each engine that was missing, once."""

import pytest

from tests.engines.fakes_engines import ALL, told


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print one line per missing engine, whatever the number of tests that wanted it."""
    skipped = terminalreporter.stats.get("skipped", ())
    reasons = [str(report.longrepr[2]) for report in skipped if isinstance(report.longrepr, tuple)]
    for line in told({engine: engine.missing() for engine in ALL}, reasons):
        terminalreporter.write_line(line)
