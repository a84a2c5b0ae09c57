"""What the load generator is to reach, each goal held against the medians of a run."""

import dataclasses
import operator
import typing

Medians = typing.Mapping[str, typing.Mapping[str, float | None]]
"""Row to tool to its median."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Goal:
    """One bound on one row of the table."""

    words: str
    row: str
    bound: float
    at_least: bool = False
    """True where more is better."""
    of_best_peer: bool = False
    """True where the bound is on the ratio of ours to the best peer."""


GOALS = (
    Goal(
        words="3 x the fastest peer in requests/s",
        row="requests/s, 64 in flight",
        bound=3,
        at_least=True,
        of_best_peer=True,
    ),
    Goal(
        words="3 x the fastest peer in chunks/s",
        row="streamed chunks/s, 64 in flight",
        bound=3,
        at_least=True,
        of_best_peer=True,
    ),
    Goal(
        words="256 streams: 99 % of the schedule held",
        row="256 streams: share of the schedule held, %",
        bound=99,
        at_least=True,
    ),
    Goal(words="64 streams: TTFT error p99 at most 1 ms", row="64 streams: error of TTFT p99, ms", bound=1),
    Goal(words="256 streams: TTFT error p99 at most 2 ms", row="256 streams: error of TTFT p99, ms", bound=2),
    Goal(
        words="no first token stamped before it left, 64",
        row="64 streams: first tokens stamped before they left, %",
        bound=0,
    ),
    Goal(
        words="no first token stamped before it left, 256",
        row="256 streams: first tokens stamped before they left, %",
        bound=0,
    ),
    Goal(words="1,000/s: sends at most 1 ms late at p99", row="1,000/s: lateness of sends p99, ms", bound=1),
    Goal(words="first request within 0.5 s", row="start to first request, s", bound=0.5),
    Goal(
        words="the stall in the headline: 800 ms or more of 900",
        row="1 s stall in 10 s: headline p99, ms (truth about 900)",
        bound=800,
        at_least=True,
    ),
    Goal(words="at most 80 MB for 100,000 requests of 32 tokens", row="peak memory, 100,000 x 32 tokens, MB", bound=80),
)  # fmt: skip - one goal a line


def observed(goal: Goal, medians: Medians, peers: typing.Collection[str]) -> float | None:
    """Return what ``goal`` bounds: our median, or its ratio to the best of ``peers``; None if not measured."""
    row = medians.get(goal.row, {})
    ours = row.get("ours")
    if ours is None or not goal.of_best_peer:
        return ours
    best = max((value for tool, value in row.items() if tool in peers and value is not None), default=None)
    return None if best is None else ours / best


def judged(medians: Medians, peers: typing.Collection[str]) -> typing.Iterator[str]:
    """Yield a line for each goal whose row was measured: the goal, the word, the figure."""
    for goal in GOALS:
        value = observed(goal, medians, peers)
        if value is not None:
            met = (operator.ge if goal.at_least else operator.le)(value, goal.bound)
            yield f"| {goal.words} | {'met' if met else '**not met**'} | {value:.3g} |"
