"""What would settle an open question: how many more blocks, minutes and dollars, if the run continues as before."""

import math
import typing

from optimal_tp.facts.candidates import Candidate
from optimal_tp.measurement.estimate import name_list
from optimal_tp.measurement.run import RunRecord
from optimal_tp.settings.workload import Load, Price
from optimal_tp.verdict.findings import Outlook
from optimal_tp.verdict.race.pairs import Pair

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

    Where groups of servers take turns (``rounds``), only one group exists at a time: the units are the largest one's.
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


def unbracketed(candidates: typing.Sequence[Candidate], load: Load) -> list[str]:
    """Return that the rates do not show what ``candidates`` can carry, and the remedy where a user chose the rates."""
    if not candidates:
        return []
    remedy = "" if load.rates_per_second_per_core is None else "; state others (load.rates_per_second_per_core)"
    return [f"the rates tried do not show how much {name_list(candidates)} can carry within the limits{remedy}"]


def comparison_question(pair: Pair) -> tuple[str, int | None]:
    """Return the question between two candidates, and the further blocks that would settle it.

    The interval narrows with the root of the blocks: ``blocks * (half width / (resolution - |log ratio|))^2``.
    Where one of the two wanders no number is known: first the machine must become steady.
    """
    question = f"which of {pair.first.name} and {pair.second.name} is the better"
    low, high = pair.interval.low, pair.interval.high
    if pair.is_unsteady or low is None or high is None or pair.log_ratio is None:
        return question, None
    # Settled from either side: one of the two is a safe choice as soon as the other is at most the resolution better.
    room = math.log1p(pair.rules.resolution) + abs(pair.log_ratio)
    needed = math.ceil(pair.blocks * ((high - low) / 2 / room) ** 2)
    further = max(1, needed - pair.blocks)
    return question, further if further <= MOST_BLOCKS else None
