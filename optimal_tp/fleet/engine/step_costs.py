"""Fit the costs of an engine's step to equations: no cost is below zero, and no single row dominates."""

import dataclasses

import numpy as np
import scipy.optimize

from optimal_tp.fleet.engine.equations import Equations
from optimal_tp.fleet.engine.stepping import EngineSteps

LEAP = 0.1
"""Share of the loss that a cost of batching must remove to be part of the model: chance removes some of it too."""
ROUNDS = 30
OUTLIER = 1.345
"""Residuals beyond this many standard deviations count less, in proportion (Huber, "Robust Estimation of a Location
Parameter", Annals of Mathematical Statistics 35, 1964: 95 % efficient where errors are normal)."""
_NORMAL = 1.4826
"""Standard deviations of a normal distribution in its median absolute deviation."""
_LEAST_SPREAD = 1e-4
_SINGULAR = 1e-12
"""Share of the largest eigenvalue below which columns count as multiples of each other."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Costs:
    """Seconds of one step.

    ``base + per_sequence * sequences + per_prompt_token * prompt tokens that enter``, and ``batching`` with several
    sequences.
    """

    base_seconds: float
    batching_seconds: float
    """0 unless the run shows a leap between one sequence and two. vLLM on CPUs leaps there: its matrix products take
    another path for a single row (with two layers of Qwen3-0.6B on one core 47 ms for one sequence, 136 for two, 153
    for three; 2026-11-28)."""
    per_sequence_seconds: float
    per_prompt_token_seconds: float
    overhead_seconds: float
    """Time of each request outside the steps: on the way to the engine and back."""
    prefill_first: bool
    """Whether prompts have a step of their own, as in vLLM before its V1 engine; else they share one with the tokens of
    others (https://docs.vllm.ai/en/v0.8.3/performance/optimization.html, read 2026-11-27)."""

    def engine(self, slots: int, seen: int) -> EngineSteps:
        """Return the engine as the compiled loop reads it."""
        return EngineSteps(
            self.base_seconds,
            self.batching_seconds,
            self.per_sequence_seconds,
            self.per_prompt_token_seconds,
            self.prefill_first,
            slots,
            seen,
        )


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class CostFit:
    """Costs, and how they were found."""

    costs: Costs
    loss: float
    """Mean of the absolute residuals, each relative to its row's seconds; every load counts alike."""
    products: np.ndarray
    """By turn: the weighted sums of products of the rows' columns, with the seconds as the last column."""


def fit(rows: Equations) -> CostFit | None:
    """Return the better of both orders of work; None where no step costs anything.

    A cost of batching is fitted only if that removes the share LEAP of the loss.
    """
    plain, leaping = (_better_order(rows, batching=batching) for batching in (False, True))
    if plain is None or leaping is None:
        return plain or leaping
    return leaping if leaping.loss < (1 - LEAP) * plain.loss else plain


def _better_order(rows: Equations, *, batching: bool) -> CostFit | None:
    orders = (False, True)
    fits = [one for first in orders if (one := fit_order(rows, prefill_first=first, batching=batching)) is not None]
    # If both fit equally well (no prompt ever entered beside running sequences), prompts share their step.
    return min(fits, key=lambda one: (one.loss, one.costs.prefill_first), default=None)


def fit_order(rows: Equations, *, prefill_first: bool, batching: bool) -> CostFit | None:
    """Return the fit with one order of work, with or without a cost of batching.

    Least squares of relative residuals with all costs at least zero (Lawson and Hanson, "Solving Least Squares
    Problems", 1974, chapter 23), reweighted until outliers no longer pull. Every load counts alike, whatever the
    number of its requests. Same rows, same answer.
    """
    steps = rows.steps + (rows.prefills if prefill_first else 0.0)
    shared = rows.shared if batching else np.zeros(len(steps))
    columns = np.column_stack([steps, rows.sequences, rows.prompts, rows.overheads, shared]) / rows.seconds[:, None]
    table = np.column_stack([columns, np.ones(len(columns))])
    even = 1.0 / np.bincount(rows.groups)[rows.groups]
    weights, found = even, np.zeros(columns.shape[1])
    for _ in range(ROUNDS):
        solved = _solved((table * weights[:, None]).T @ table)
        residuals = np.abs(columns @ solved - 1)
        spread = max(_LEAST_SPREAD, _NORMAL * _weighted_median(residuals, even))
        weights = even * np.minimum(1.0, OUTLIER * spread / np.maximum(residuals, 1e-300))
        settled = np.allclose(solved, found, rtol=1e-9, atol=0.0)
        found = solved
        if settled:
            break
    if found[0] + found[1] <= 0:
        return None
    order = np.argsort(rows.turns, kind="stable")
    starts = np.flatnonzero(np.diff(rows.turns[order], prepend=-1))
    squares = (table[:, :, None] * table[:, None, :] * weights[:, None, None])[order]
    return CostFit(
        costs=_costs(found, prefill_first=prefill_first),
        loss=float(np.sum(even * np.abs(columns @ found - 1)) / np.sum(even)),
        products=np.add.reduceat(squares, starts, axis=0),
    )


def resampled(best: CostFit, count: int, seed: int) -> tuple[Costs, ...]:
    """Return fits to ``count`` bootstrap samples of the turns, each row with the weight that ``best`` gave it."""
    generator = np.random.default_rng(seed)
    turns = len(best.products)
    solved = [_solved(best.products[generator.integers(turns, size=turns)].sum(axis=0)) for _ in range(count)]
    return tuple(_costs(one, prefill_first=best.costs.prefill_first) for one in solved if one[0] + one[1] > 0)


def _solved(products: np.ndarray) -> np.ndarray:
    """Return the costs of least squares, at least zero, from the sums of products of the columns, the seconds last."""
    gram, right = products[:-1, :-1], products[:-1, -1]
    scale = np.sqrt(np.maximum(np.diag(gram), 1e-300))
    values, vectors = np.linalg.eigh(gram / np.outer(scale, scale))
    kept = values > _SINGULAR * values.max()
    root = np.sqrt(values[kept])
    solved, _ = scipy.optimize.nnls(root[:, None] * vectors[:, kept].T, vectors[:, kept].T @ (right / scale) / root)
    costs: np.ndarray = solved / scale
    return costs


def _costs(found: np.ndarray, *, prefill_first: bool) -> Costs:
    base, per_sequence, per_prompt_token, overhead, batching = map(float, found)
    return Costs(
        base_seconds=base,
        batching_seconds=batching,
        per_sequence_seconds=per_sequence,
        per_prompt_token_seconds=per_prompt_token,
        overhead_seconds=overhead,
        prefill_first=prefill_first,
    )


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values, kind="stable")
    passed = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(passed, passed[-1] / 2)])
