"""What a step of an engine costs: fitted to equations, none of the costs below zero, no row with a say of its own."""

import dataclasses

import numpy as np
import scipy.optimize

from optimal_tp.fleet.engine.equations import Equations
from optimal_tp.fleet.engine.kernel import Engine

ROUNDS = 30
OUTLIER = 1.345
"""Residuals beyond this many standard deviations count less, in proportion (Huber, "Robust Estimation of a Location
Parameter", Annals of Mathematical Statistics 35, 1964: 95 % efficient where errors are normal)."""
_NORMAL = 1.4826
"""Standard deviations of a normal distribution in its median absolute deviation."""
_LEAST_SPREAD = 1e-4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Costs:
    """Seconds of one step: ``base + per_sequence * sequences + per_prompt_token * prompt tokens that enter``."""

    base_seconds: float
    per_sequence_seconds: float
    per_prompt_token_seconds: float
    overhead_seconds: float
    """Of each request beside the steps: on the way to the engine and back."""
    prefill_first: bool
    """Whether prompts have a step of their own, as in vLLM before its V1 engine; else they share one with the tokens of
    others (https://docs.vllm.ai/en/v0.8.3/performance/optimization.html, read 2026-11-27)."""

    def engine(self, slots: int, seen: int) -> Engine:
        """Return the engine as the compiled loop reads it."""
        return Engine(
            self.base_seconds, self.per_sequence_seconds, self.per_prompt_token_seconds, self.prefill_first, slots, seen
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fit:
    """Costs, and how far they are from the rows: the mean of the robust loss, relative to each row's seconds."""

    costs: Costs
    loss: float


def fit(rows: Equations, kept: np.ndarray | None = None) -> Fit | None:
    """Return the better of both orders of work; None where no step costs anything.

    ``kept`` says how often each row counts (a bootstrap sample); absent: once.
    """
    fits = [one for first in (False, True) if (one := fit_order(rows, kept, prefill_first=first)) is not None]
    # Of equals, as where no prompt ever entered beside running sequences, prompts share their step.
    return min(fits, key=lambda one: (one.loss, one.costs.prefill_first), default=None)


def fit_order(rows: Equations, kept: np.ndarray | None, *, prefill_first: bool) -> Fit | None:
    """Return the fit with one order of work.

    Least squares of relative residuals with all costs at least zero (Lawson and Hanson, "Solving Least Squares
    Problems", 1974, chapter 23), reweighted until outliers no longer pull. Every load counts alike, whatever the
    number of its requests. Same rows, same answer.
    """
    often = np.ones(len(rows.seconds)) if kept is None else kept.astype(float)
    steps = rows.steps + (rows.prefills if prefill_first else 0.0)
    columns = np.column_stack([steps, rows.sequences, rows.prompts, rows.overheads]) / rows.seconds[:, None]
    in_group = np.bincount(rows.groups, weights=often)
    even = often / np.maximum(in_group[rows.groups], 1.0)
    scale = np.maximum(columns.max(axis=0), 1e-300)
    weights = even.copy()
    found = np.zeros(4)
    spread = _LEAST_SPREAD
    for _ in range(ROUNDS):
        root = np.sqrt(weights)
        solved, _ = scipy.optimize.nnls(columns / scale * root[:, None], root)
        residuals = np.abs(columns @ (solved / scale) - 1)
        spread = max(_LEAST_SPREAD, _NORMAL * _weighted_median(residuals, even))
        weights = even * np.minimum(1.0, OUTLIER * spread / np.maximum(residuals, 1e-300))
        if np.allclose(solved / scale, found, rtol=1e-9, atol=0.0):
            break
        found = solved / scale
    if found[0] + found[1] <= 0:
        return None
    costs = Costs(
        base_seconds=float(found[0]),
        per_sequence_seconds=float(found[1]),
        per_prompt_token_seconds=float(found[2]),
        overhead_seconds=float(found[3]),
        prefill_first=prefill_first,
    )
    loss = float(np.sum(even * np.abs(columns @ found - 1)) / np.sum(even))
    return Fit(costs=costs, loss=loss)


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values, kind="stable")
    passed = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(passed, passed[-1] / 2)])


def resampled(rows: Equations, count: int, seed: int) -> tuple[Costs, ...]:
    """Return ``count`` fits to bootstrap samples of the turns, in the order of work that fits them all best."""
    best = fit(rows)
    if best is None:
        return ()
    generator = np.random.default_rng(seed)
    numbers, place = np.unique(rows.turns, return_inverse=True)
    found: list[Costs] = []
    for _ in range(count):
        drawn = np.bincount(generator.integers(len(numbers), size=len(numbers)), minlength=len(numbers))
        one = fit_order(rows, drawn[place], prefill_first=best.costs.prefill_first)
        if one is not None:
            found.append(one.costs)
    return tuple(found)
