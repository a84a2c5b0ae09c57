"""The verdict's intervals over every look of many experiments at once: a second implementation, for simulations."""

import dataclasses
import math

import numpy as np
import numpy.typing as npt
import scipy.special

from optimal_tp.verdict.ranking import FEWEST_BATCHES, MARGIN, resemblance_bound
from optimal_tp.verdict.statistics import LAG_FEWEST, t_bound

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settlement:
    """How many experiments ended. Arrays have one entry per experiment."""

    blocks: npt.NDArray[np.int64]
    """Blocks when it settled; 0 for one that did not."""
    chosen: npt.NDArray[np.int64]
    """Position of the chosen degree; -1 for none."""
    claimed: Mask
    """Whether, at its end, some degree was declared better than another that is not worse."""


def lows_and_highs(differences: Array, alpha: float) -> tuple[Array, Array]:
    """Return the confidence sequence of each row's mean after every column, batching as the verdict does.

    ``differences`` has one experiment per row and one block per column.
    """
    rows, looks = differences.shape
    low, high = np.full((rows, looks), np.inf), np.full((rows, looks), -np.inf)
    alike: Mask = np.ones((rows, looks), dtype=bool)
    size = 1
    while looks // size >= (1 if size == 1 else FEWEST_BATCHES):
        means = differences[:, : looks - looks % size].reshape(rows, -1, size).mean(axis=2)
        middle, half, resembling = _running(means, alpha)
        at = np.arange(1, looks + 1) // size - 1  # batches complete at each look, as an index
        usable: Mask = alike & (at + 1 >= (1 if size == 1 else FEWEST_BATCHES))[None, :]
        low = np.where(usable, np.minimum(low, (middle - half)[:, at]), low)
        high = np.where(usable, np.maximum(high, (middle + half)[:, at]), high)
        alike = usable & resembling[:, at]
        size *= 2
    return low, high


def _running(values: Array, alpha: float) -> tuple[Array, Array, Mask]:
    """Return mean, half width and whether neighbours resemble each other, after every column."""
    counts = np.arange(1, values.shape[1] + 1)
    total, square = values.cumsum(axis=1), (values**2).cumsum(axis=1)
    mean = total / counts
    power = np.maximum(square - counts * mean**2, 0.0)
    bounds = np.array([t_bound(int(count), alpha=alpha) for count in counts])
    with np.errstate(divide="ignore", invalid="ignore"):
        deviation = np.sqrt(power / (counts - 1))
        half = np.where(np.isinf(bounds), np.inf, bounds * deviation / np.sqrt(counts))
        products = np.zeros_like(values)
        products[:, 1:] = (values[:, 1:] * values[:, :-1]).cumsum(axis=1)
        edges = 2 * total - values[:, :1] - values  # both sums of neighbours, less the first and the last value
        lagged = (products - mean * edges + (counts - 1) * mean**2) / power + 1 / counts
    enough = np.array([resemblance_bound(int(count)) if count >= LAG_FEWEST else math.inf for count in counts])
    resembling: Mask = lagged > enough
    return mean, half, resembling


def settle(logs: Array, truth: tuple[float, ...], *, alpha: float, minimum_blocks: int) -> Settlement:
    """Return how experiments end whose log throughputs per core are ``logs``: experiment, block, degree ascending.

    ``truth`` is each degree's true mean: a degree declared better than one that is not worse is a wrong claim.
    """
    rows, looks, degrees = logs.shape
    least = np.full((degrees, degrees, rows, looks), -np.inf)  # by how much the first beats the second at the least
    for first in range(degrees):
        for second in range(first + 1, degrees):
            low, high = lows_and_highs(logs[:, :, first] - logs[:, :, second], alpha)
            least[first, second], least[second, first] = low, -high
    beaten: Mask = np.asarray((least > 0).any(axis=0))  # degree, experiment, look
    settled: Mask = np.zeros((rows, looks), dtype=bool)
    leader = np.where((~beaten).any(axis=0), (~beaten).argmax(axis=0), -1)
    for number in range(degrees):
        others = [beaten[other] | (-least[number, other] <= math.log1p(MARGIN)) for other in range(number + 1, degrees)]
        settled |= (leader == number) & np.all(others, axis=0) if others else leader == number
    settled[:, : minimum_blocks - 1] = False
    ended = settled.any(axis=1)
    when = np.where(ended, settled.argmax(axis=1), looks - 1)
    each = np.arange(rows)
    wrong = np.zeros(rows, dtype=bool)
    for first in range(degrees):
        for second in range(degrees):
            if first != second and truth[first] <= truth[second]:
                wrong |= least[first, second, each, when] > 0
    return Settlement(
        blocks=np.where(ended, when + 1, 0),
        chosen=np.where(ended, leader[each, when], -1),
        claimed=wrong,
    )


def gate_words(hits: Array, per_block: int, target: float, alpha: float) -> tuple[Mask, Mask]:
    """Return, after every block, whether the limit is declared held and whether it is declared missed.

    ``hits`` has one experiment per row and the hits of one block of ``per_block`` requests per column.
    """
    blocks = np.arange(1, hits.shape[1] + 1)
    trials = blocks * float(per_block)
    total, square = hits.cumsum(axis=1), (hits**2).cumsum(axis=1)
    share = total / trials
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (square - 2 * share * per_block * total + blocks * (per_block * share) ** 2) * blocks / (blocks - 1)
        effect = np.fmax(1.0, np.nan_to_num(between / (trials * share * (1 - share)), nan=1.0, posinf=1.0))
    good, bad = total / effect, (trials - total) / effect
    mixture = scipy.special.betaln(good + 0.5, bad + 0.5) - scipy.special.betaln(0.5, 0.5)
    edge = np.where((total == 0) | (total == trials), 0.0, -np.inf)
    evidence = np.logaddexp(mixture, edge) - math.log(3)
    refused = evidence - good * math.log(target) - bad * math.log1p(-target) >= math.log(1 / alpha)
    return refused & (share > target), refused & (share < target)
