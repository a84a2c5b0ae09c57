"""Linear equations for the cost of an engine's steps, one for each stretch between two tokens of a request.

In every step each running sequence gives one token. So the tokens of all requests between a request's first token and
its last tell how many steps there were, how many sequences took part, and which prompts entered.
"""

import dataclasses
import math
import typing

import numpy as np

from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.turns import Turn

SAME_STEP = 0.3
"""Tokens closer together than this share of a step belong to the same step: a client sees the tokens of one step a
little apart. The measure is a request's own mean step, because a step with new prompts is never shorter than others."""

EXACT = 0.95
"""Single steps are used only if at least this share of a server's requests has a chunk for every token."""

ONE_LOAD = 1.15
"""Rates within this factor count as the same load."""

Timed = tuple[Turn, typing.Sequence[Sample]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Equations:
    """One row each.

    ``seconds = base * steps + batching * shared + per_sequence * sequences + per_prompt_token * prompts + overhead``
    """

    seconds: np.ndarray
    steps: np.ndarray
    """Steps in the stretch, if prompts enter beside running sequences."""
    prefills: np.ndarray
    """Further steps in the stretch, if prompts take steps for themselves."""
    shared: np.ndarray
    """Those of the steps in which another sequence took part."""
    sequences: np.ndarray
    """Running sequences, summed over the steps: the tokens that all requests at the server received."""
    prompts: np.ndarray
    """Prompt tokens that entered."""
    overheads: np.ndarray
    """1 where the stretch begins with a send to an idle server, else 0."""
    groups: np.ndarray
    """Number of the row's load and kind; the fit gives every group the same weight."""
    turns: np.ndarray
    """Number of the turn."""

    @property
    def decoding(self) -> np.ndarray:
        """Whether each row spans a first token to a last one; the other rows end with a first token."""
        is_decoding: np.ndarray = self.groups % 2 == 0
        return is_decoding


Load = tuple[int | None, int | None]


def load_of(turn: Turn) -> Load:
    """Return the load of a turn for grouping: its concurrency, or its rate in steps of ONE_LOAD."""
    if turn.rate_per_second is None:
        return turn.concurrency, None
    return None, round(math.log(turn.rate_per_second) / math.log(ONE_LOAD))


def equations(timed: typing.Sequence[Timed]) -> Equations | None:
    """Return the rows of all turns whose tokens were timed and counted; None where there are none."""
    rows: list[np.ndarray] = []
    loads: dict[Load, int] = {}
    for number, (turn, samples) in enumerate(timed):
        load = loads.setdefault(load_of(turn), len(loads))
        for replica in sorted({sample.replica for sample in samples}):
            rows += _at_one_server([one for one in samples if one.replica == replica], 2 * load, number)
    if not rows:
        return None
    table = np.array(rows)
    return Equations(
        seconds=table[:, 0],
        steps=table[:, 1],
        prefills=table[:, 2],
        shared=table[:, 3],
        sequences=table[:, 4],
        prompts=table[:, 5],
        overheads=table[:, 6],
        groups=table[:, 7].astype(np.int64),
        turns=table[:, 8].astype(np.int64),
    )


def is_timed(sample: Sample) -> bool:
    """Whether the tokens of ``sample`` were timed and counted."""
    return bool(sample.token_seconds) and bool(sample.output_tokens) and sample.prompt_tokens is not None


def _moments(sample: Sample) -> np.ndarray:
    """Return when each output token came; evenly between first and last where several shared a chunk."""
    count = sample.output_tokens or 1
    if len(sample.token_seconds) == count:
        return np.array(sample.token_seconds)
    return np.linspace(sample.token_seconds[0], sample.token_seconds[-1], count)


class _Timeline:
    """The tokens of one server, in the order of time."""

    def __init__(self, samples: typing.Sequence[Sample]) -> None:
        self.tokens = np.sort(np.concatenate([_moments(one) for one in samples]))
        self.lasts = np.sort([one.token_seconds[-1] for one in samples])
        whole = [len(one.token_seconds) == one.output_tokens for one in samples]
        self.is_exact = float(np.mean(whole)) >= EXACT
        order = np.argsort([one.token_seconds[0] for one in samples], kind="stable")
        self.firsts = np.array([samples[index].token_seconds[0] for index in order])
        prompts = [float(samples[index].prompt_tokens or 0) for index in order]
        self.entered = np.concatenate([[0.0], np.cumsum(prompts)])

    def between(self, start: float, end: float, apart: float) -> tuple[float, float, float]:
        """Return prefill steps, tokens and prompt tokens after ``start``, up to and including ``end``."""
        low, high = np.searchsorted(self.tokens, [start, end], side="right")
        first, last = np.searchsorted(self.firsts, [start, end], side="right")
        own = self.firsts[first:last]
        prefills = 0 if not len(own) else 1 + int(np.sum(np.diff(own) > apart))
        return float(prefills), float(high - low), float(self.entered[last] - self.entered[first])

    def shared(self, own: np.ndarray, apart: float) -> float:
        """Return at how many of a request's ``own`` tokens another request was running too."""
        begun = np.searchsorted(self.firsts, own + apart, side="right")
        ended = np.searchsorted(self.lasts, own - apart, side="left")
        return float(np.sum(begun - ended > 1))

    def is_idle(self, moment: float) -> bool:
        """Whether every request with a first token by ``moment`` also had its last by then."""
        begun, ended = (np.searchsorted(all_of, moment, side="right") for all_of in (self.firsts, self.lasts))
        return bool(begun == ended)

    def before(self, moment: float) -> float:
        """Return the time of the last token up to ``moment``; minus infinity if there is none."""
        index = int(np.searchsorted(self.tokens, moment, side="right"))
        return float(self.tokens[index - 1]) if index else -np.inf


def _at_one_server(samples: typing.Sequence[Sample], group: int, turn: int) -> list[np.ndarray]:
    seen = [one for one in samples if is_timed(one)]
    if not seen:
        return []
    line = _Timeline(seen)
    steps = [
        (one.token_seconds[-1] - one.token_seconds[0]) / (one.output_tokens - 1)
        for one in seen
        if one.output_tokens is not None and one.output_tokens > 1 and one.token_seconds[-1] > one.token_seconds[0]
    ]
    usual = float(np.median(steps)) if steps else 0.0
    rows = []
    for one in seen:
        first, last, count = one.token_seconds[0], one.token_seconds[-1], one.output_tokens or 1
        step = (last - first) / (count - 1) if count > 1 and last > first else usual
        near = SAME_STEP * step
        if count > 1 and last > first and one.status == "ok":
            prefills, tokens, prompts = line.between(first + near, last + near, near)
            shared = line.shared(_moments(one)[1:], near)
            rows.append(np.array([last - first, count - 1, prefills, shared, tokens, prompts, 0.0, group, turn]))
        sent = one.begun_seconds
        begun = line.before(first - near)
        start = max(sent, begun)
        # Where chunks hold several tokens, single steps are not visible, except the first step of a lone request.
        if first > start and (line.is_exact or (sent > begun and line.is_idle(sent) and line.is_idle(first - near))):
            _, tokens, prompts = line.between(first - near, first + near, near)
            # The step is its own whichever way the engine works: a prompt's step is counted once.
            waited, shared = float(sent > begun), float(tokens > 1)
            rows.append(np.array([first - start, 1, 0.0, shared, tokens, prompts, waited, group + 1, turn]))
    return rows
