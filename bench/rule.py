"""Planted truths, judged many thousand times: how often the rule errs, and how many blocks it takes."""

import argparse
import dataclasses
import math
import statistics
import sys
import typing

import numpy as np
import numpy.typing as npt
import scipy.special

from bench.rule_sequences import Array, Settlement, gate_words, settle

EXPERIMENTS = 10_000
CONFIDENCE = 0.95
MINIMUM_BLOCKS = 5
MOST_BLOCKS = 200
TURN_SECONDS = 20.5
"""A turn of 20 s and its pause."""
_CHUNK = 2_000

Noise = typing.Literal["normal", "heavy", "resembling"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Planted:
    """What is true of the degrees, and what disturbs them."""

    name: str
    per_core: tuple[float, ...]
    """True throughput per core by degree, ascending degree, relative to one another."""
    noise: float = 0.03
    """Standard deviation of a turn's log throughput."""
    drift_per_hour: float = 0.0
    """Relative loss of throughput per hour, of all degrees alike."""
    kind: Noise = "normal"
    """``heavy``: Student's t with 3 degrees of freedom, scaled; ``resembling``: autocorrelation 0.5 between blocks."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Planting:
    """What is true of a latency gate."""

    name: str
    share: float
    """True share of requests within the limit."""
    target: float = 0.95
    """The share asked."""
    per_block: int = 20
    turn_deviation: float = 0.0
    """Standard deviation of the share from turn to turn."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """What came of one planted truth."""

    name: str
    experiments: int
    wrong: float
    """Share of experiments that declared what is not so."""
    settled: float
    """Share of experiments that settled within MOST_BLOCKS."""
    blocks_median: float | None
    """Of those that settled; None if none did."""
    blocks_p90: float | None


TRUTHS: tuple[Planted, ...] = (
    Planted(name="two degrees tie", per_core=(1.0, 1.0)),
    Planted(name="three degrees tie", per_core=(1.0, 1.0, 1.0)),
    Planted(name="three tie, 10 % drift an hour", per_core=(1.0, 1.0, 1.0), drift_per_hour=0.10),
    Planted(name="three tie, heavy-tailed noise", per_core=(1.0, 1.0, 1.0), kind="heavy"),
    Planted(name="three tie, neighbouring blocks alike (0.5)", per_core=(1.0, 1.0, 1.0), kind="resembling"),
    Planted(name="the larger is 1 % better", per_core=(1.0, 1.01)),
    Planted(name="the larger is 5 % better", per_core=(1.0, 1.05)),
    Planted(name="the smaller is 5 % better", per_core=(1.05, 1.0)),
    Planted(name="5 % better, 10 % drift an hour", per_core=(1.0, 1.05), drift_per_hour=0.10),
    Planted(name="the seed's figure: 172, 98, 61", per_core=(172.0, 98.0, 61.0)),
)
GATES: tuple[Planting, ...] = (
    Planting(name="latency at the limit: 95 % within, 95 % asked", share=0.95),
    Planting(name="the same, turns differing by 3 points", share=0.95, turn_deviation=0.03),
    Planting(name="99 % within, 95 % asked", share=0.99),
    Planting(name="90 % within, 95 % asked", share=0.90),
    Planting(name="all within, 99 % asked", share=1.0, target=0.99),
)


def logs(truth: Planted, experiments: int, blocks: int, generator: np.random.Generator, *, in_turn: bool) -> Array:
    """Return log throughputs per core: experiment, block, degree.

    ``in_turn`` takes the degrees in random order within each block; otherwise each degree gives all its turns before
    the next begins.
    """
    degrees = len(truth.per_core)
    shape = (experiments, blocks, degrees)
    if in_turn:
        order = generator.permuted(np.broadcast_to(np.arange(degrees), shape), axis=2)
        turn = np.arange(blocks)[None, :, None] * degrees + order
    else:
        turn = np.broadcast_to(np.arange(degrees) * blocks + np.arange(blocks)[:, None], shape)
    hours = turn * TURN_SECONDS / 3600
    drift = np.log(np.maximum(1 - truth.drift_per_hour * hours, 0.01))
    noisy: Array = np.log(truth.per_core) + truth.noise * _noise(truth.kind, shape, generator) + drift
    return noisy


def _noise(kind: Noise, shape: tuple[int, int, int], generator: np.random.Generator) -> Array:
    """Return noise of variance 1."""
    if kind == "heavy":
        return generator.standard_t(3, shape) / math.sqrt(3)
    noise = generator.standard_normal(shape)
    if kind == "resembling":
        for block in range(1, shape[1]):
            noise[:, block] = 0.5 * noise[:, block - 1] + math.sqrt(0.75) * noise[:, block]
    return noise


def judged(truth: Planted, experiments: int, *, seed: int = 20260701) -> Row:
    """Return how the verdict's rule fares: looks after every block, at most MOST_BLOCKS."""
    generator = np.random.default_rng(seed)
    degrees = len(truth.per_core)
    alpha = (1 - CONFIDENCE) / (degrees * (degrees - 1) / 2)
    means = tuple(math.log(value) for value in truth.per_core)
    parts: list[Settlement] = []
    for size in _chunks(experiments):
        values = logs(truth, size, MOST_BLOCKS, generator, in_turn=True)
        parts.append(settle(values, means, alpha=alpha, minimum_blocks=MINIMUM_BLOCKS))
    blocks = np.concatenate([part.blocks for part in parts])
    wrong = np.concatenate([part.claimed for part in parts])
    return _row(truth.name, blocks, wrong)


def one_after_the_other(truth: Planted, experiments: int, *, blocks: int = 30, seed: int = 20260701) -> Row:
    """Return how usual practice fares: all turns of one degree, then the next; Welch's t test at the end, at 95 %.

    Source: Welch, "The generalization of 'Student's' problem when several different population variances are
    involved", Biometrika 34 (1947); Bonferroni's correction over the pairs.
    """
    generator = np.random.default_rng(seed)
    values = logs(truth, experiments, blocks, generator, in_turn=False)
    degrees = len(truth.per_core)
    alpha = (1 - CONFIDENCE) / (degrees * (degrees - 1) / 2)
    wrong = np.zeros(experiments, dtype=bool)
    for first in range(degrees):
        for second in range(first + 1, degrees):
            chances = _welch(values[:, :, first], values[:, :, second])
            wrong |= (chances < alpha) & (truth.per_core[first] == truth.per_core[second])
    return _row(f"{truth.name}, one degree after the other, Welch's t", np.full(experiments, blocks), wrong)


def _welch(one: Array, other: Array) -> Array:
    """Return, by experiment, how likely means as far apart as these are without a difference: Welch's t, two-sided.

    Both are of shape (experiments, blocks).
    """
    spreads = [each.var(axis=1, ddof=1) / each.shape[1] for each in (one, other)]
    t = (one.mean(axis=1) - other.mean(axis=1)) / np.sqrt(sum(spreads))
    freedom = sum(spreads) ** 2 / sum(spread**2 / (one.shape[1] - 1) for spread in spreads)
    return 2 * np.asarray(scipy.special.stdtr(freedom, -np.abs(t)))


def gated(truth: Planting, experiments: int, *, seed: int = 20260701) -> Row:
    """Return how the latency gate fares for one limit of one degree."""
    generator = np.random.default_rng(seed)
    alpha = 1 - CONFIDENCE
    whens, wrongs = [], []
    for size in _chunks(experiments):
        shares = np.full((size, MOST_BLOCKS), truth.share)
        if truth.turn_deviation:
            strength = truth.share * (1 - truth.share) / truth.turn_deviation**2 - 1
            shares = generator.beta(truth.share * strength, (1 - truth.share) * strength, (size, MOST_BLOCKS))
        hits = generator.binomial(truth.per_block, shares).astype(float)
        held, missed = gate_words(hits, truth.per_block, truth.target, alpha)
        decided = held | missed
        decided[:, : MINIMUM_BLOCKS - 1] = False
        ended = decided.any(axis=1)
        when = decided.argmax(axis=1)
        false = missed if truth.share >= truth.target else held
        whens.append(np.where(ended, when + 1, 0))
        wrongs.append(ended & false[np.arange(size), when])
    return _row(truth.name, np.concatenate(whens), np.concatenate(wrongs))


def table(experiments: int) -> str:
    """Return every row as a Markdown table."""
    drifting = TRUTHS[2]
    rows = [
        *(judged(truth, experiments) for truth in TRUTHS),
        one_after_the_other(drifting, experiments),
        *(gated(truth, experiments) for truth in GATES),
    ]
    lines = [
        "| planted truth | experiments | wrong | settled | blocks, median | blocks, 90th percentile |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        *(
            f"| {row.name} | {row.experiments:,} | {100 * row.wrong:.2f} % | {100 * row.settled:.1f} % | "
            f"{_count(row.blocks_median)} | {_count(row.blocks_p90)} |"
            for row in rows
        ),
    ]
    return "\n".join(lines) + "\n"


def _row(name: str, blocks: npt.NDArray[np.int64], wrong: npt.NDArray[np.bool_]) -> Row:
    settled = [int(count) for count in blocks if count > 0]
    return Row(
        name=name,
        experiments=len(blocks),
        wrong=float(wrong.mean()),
        settled=len(settled) / len(blocks),
        blocks_median=statistics.median(settled) if settled else None,
        blocks_p90=float(np.percentile(settled, 90)) if settled else None,
    )


def _chunks(experiments: int) -> list[int]:
    whole, rest = divmod(experiments, _CHUNK)
    return [_CHUNK] * whole + ([rest] if rest else [])


def _count(blocks: float | None) -> str:
    return "—" if blocks is None else f"{blocks:.0f}"


def main(words: list[str] | None = None) -> int:
    """Print the table in docs/verdict.md."""
    parser = argparse.ArgumentParser(prog="python -m bench.rule", description="Planted truths, judged by the rule.")
    parser.add_argument("--experiments", type=int, default=EXPERIMENTS, help="simulated experiments per row")
    sys.stdout.write(table(parser.parse_args(words).experiments))
    return 0


if __name__ == "__main__":
    sys.exit(main())
