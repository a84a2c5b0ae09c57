"""What would settle an open question: how many more blocks, minutes and dollars, if what was seen goes on."""

import math
import typing

from optimal_tp.measurement.estimate import METRIC_WORDS
from optimal_tp.measurement.run import RunRecord
from optimal_tp.settings.workload import Price
from optimal_tp.verdict.findings import Comparison, LimitFinding, Outlook
from optimal_tp.verdict.ranking import MARGIN
from optimal_tp.verdict.statistics import share_sequence, t_bound

MOST_BLOCKS = 10_000
"""Blocks beyond which no number is named: days of measurement."""


def block_seconds(record: RunRecord) -> float | None:
    """Return how long a block took on average, pauses included; None before the first."""
    turns = [turn for turn in record.turns if turn.stage == "block"]
    blocks = {turn.block for turn in turns}
    if not blocks:
        return None
    seconds = max(turn.end_seconds for turn in turns) - min(turn.start_seconds for turn in turns)
    return seconds / len(blocks) if math.isfinite(seconds) and seconds > 0 else None


def billed_usd_per_hour(record: RunRecord, price: Price | None) -> float | None:
    """Return what the servers of a run cost an hour: whole billed units for the cores allocated; None without price.

    Servers that take turns are there one turn at a time: the units are those of the largest turn.
    """
    if price is None:
        return None
    allocated = {each.candidate: each.cores_allocated for each in record.degrees if each.gate is None}
    at_once = [sum(allocated.get(candidate, 0) for candidate in turn) for turn in record.rounds or (tuple(allocated),)]
    return price.usd_per_hour * math.ceil(max(at_once, default=0) / price.billed_cores)


def priced(question: str, blocks: int | None, record: RunRecord, price: Price | None) -> Outlook:
    """Return the outlook for ``blocks`` further blocks."""
    each = block_seconds(record)
    seconds = None if blocks is None or each is None else blocks * each
    hourly = billed_usd_per_hour(record, price)
    return Outlook(
        question=question,
        blocks=blocks,
        seconds=seconds,
        usd=None if seconds is None or hourly is None else hourly * seconds / 3600,
    )


def throughput_question(leader: int, other: int, comparison: Comparison | None) -> tuple[str, int | None]:
    """Return the question between ``leader`` and ``other`` and the blocks that would settle it."""
    question = f"whether TP{leader} or TP{other} gives more output tokens/s per core"
    if comparison is None or comparison.ratio is None or comparison.log_deviation is None:
        return question, None
    sign = 1 if comparison.first == other else -1
    lead = sign * math.log(comparison.ratio.value)  # of the other over the leader
    needed = abs(lead)
    if other > leader:  # a small enough advantage of the larger degree settles it as well
        needed = max(needed, math.log1p(MARGIN) - lead)
    spread = comparison.log_deviation * math.sqrt(comparison.batch)  # neighbours that resemble each other count less
    return question, _further(comparison.blocks, lambda count: _half(count, comparison.alpha, spread) < needed)


def _half(count: int, alpha: float, deviation: float) -> float:
    return t_bound(count, alpha=alpha) * deviation / math.sqrt(count)


def limit_question(degree: int, finding: LimitFinding, blocks: int, alpha: float) -> tuple[str, int | None]:
    """Return the question about one limit and the blocks that would settle it."""
    question = f"whether TP{degree} holds the limit on {METRIC_WORDS[finding.metric]}"
    if not finding.requests or not blocks:
        return question, None
    target = finding.percent / 100
    hits = finding.hits / finding.design_effect / blocks
    trials = finding.requests / finding.design_effect / blocks

    def settles(count: int) -> bool:
        share = share_sequence(hits * count, trials * count, alpha=alpha)
        return share.is_below(target) or (share.low is not None and share.low >= target)

    return question, _further(blocks, settles)


def _further(have: int, settles: typing.Callable[[int], bool]) -> int | None:
    """Return how many blocks beyond ``have`` make ``settles`` true; by doubling, then by halving."""
    low, high = have, max(have + 1, 2)
    while not settles(high):
        if high >= MOST_BLOCKS:
            return None
        low, high = high, min(2 * high, MOST_BLOCKS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if settles(middle) else (middle, high)
    return high - have
