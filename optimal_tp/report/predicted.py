"""What is said of another program's predictions, held against the run."""

import dataclasses
import math

from optimal_tp.measurement.estimate import METRIC_WORDS, MISSING, Estimate, Interval, bounds, figure, percent
from optimal_tp.settings.workload import LimitedMetric
from optimal_tp.verdict.analysis import Analysis
from optimal_tp.verdict.comparisons import UNIT
from optimal_tp.verdict.findings import Verdict
from optimal_tp.verdict.predictors.judgement import Judged, JudgedPair, Metric

FIGURE_WORDS: dict[Metric, str] = {
    "ttft_ms": "time to first token, ms",
    "tpot_ms": "time per output token, ms",
    "requests_per_second_per_core": "goodput, requests/s per core",
    "output_tokens_per_second_per_core": "output tokens/s per core",
}

PREDICTED_CAPTION = "Predicted by another program, and measured; the error is predicted over measured"
PREDICTED_HEADS = ("Candidate", "Figure", "Load", "Predicted", "Measured", "Error", "Not compared")


def predicted_rows(found: Judged | None) -> tuple[tuple[str, ...], ...]:
    """Return every figure that another program predicted, beside the measured one."""
    return tuple(
        (
            row.name,
            FIGURE_WORDS[one.metric],
            one.at,
            figure(one.predicted),
            figure(one.measured) + ("" if one.interval is None else f" ({bounds(one.interval)})"),
            times(one.ratio),
            one.why_not or MISSING,
        )
        for row in (() if found is None else found.rows)
        for one in row.figures
    )


def predicted_claim(analysis: Analysis) -> str:
    """Return what the predictions come to: their order against the measured one, then their errors."""
    found = analysis.predicted
    if found is None:
        return ""
    parts = [_choice(found, analysis.verdict)]
    parts += [f"{sentence(found, pair, analysis.verdict)}." for pair in found.inversions]
    open_ = [pair for pair in found.pairs if pair.word == "not decided"]
    right = sum(pair.word == "right" for pair in found.pairs)
    if found.pairs and not found.inversions:
        parts.append(f"Of {len(found.pairs)} predicted pairs the run confirms {right} and contradicts none.")
    if open_:
        names = ", ".join(f"{pair.preferred} before {pair.other}" for pair in open_)
        parts.append(f"Not decided by this run: {names}.")
    parts.append(_errors(found))
    return " ".join(part for part in parts if part)


def _choice(found: Judged, verdict: Verdict) -> str:
    who = _who(found)
    if found.ordered_by is None:
        return f"{who} does not state a rate for every candidate, so it gives no order."
    if found.first is None:
        return f"{who} prefers no single candidate."
    if verdict.chosen is None:
        return f"{who} would choose {found.first}; the run chooses none."
    if found.first == verdict.chosen:
        return f"{who} would choose {found.first}, as the run does."
    return f"{who} would choose {found.first}; the run chooses {verdict.chosen}."


def _who(found: Judged) -> str:
    return found.predictor if found.version is None else f"{found.predictor} {found.version}"


def sentence(found: Judged, pair: JudgedPair, verdict: Verdict) -> str:
    """Return what was predicted of a pair and what was measured: "… prefers TP4; measured, TP2 carries 23 % …"."""
    by = "predicted to miss a limit" if pair.predicted_ratio is None else f"{_more(pair.predicted_ratio)} predicted"
    start = f"{found.predictor} prefers {pair.preferred} to {pair.other} ({by})"
    if pair.predicted_ratio is None:
        start = f"{found.predictor} prefers {pair.preferred}, as it predicts that {pair.other} misses a limit"
    if pair.why is not None:
        return f"{start}; {'not decided' if pair.word == 'not decided' else 'measured'}: {pair.why}"
    winner, ratio = pair.preferred, pair.measured_ratio
    if pair.word == "inverted":
        winner = pair.other
        ratio = None if ratio is None else inverse(ratio)
    carries = "" if ratio is None else f" carries {more(ratio)} {UNIT[verdict.criterion]}"
    return f"{start}; measured, {winner}{carries}, at {percent(verdict.confidence)} confidence"


def inverse(ratio: Estimate) -> Estimate:
    """Return one over ``ratio``."""
    low, high = ratio.interval.low, ratio.interval.high
    return Estimate(
        value=1 / ratio.value, interval=Interval(low=1 / high if high else None, high=1 / low if low else None)
    )


def more(ratio: Estimate) -> str:
    """Return a ratio above 1 in percent, with its ends in percent: "23 % (18-28) more", with a dash."""
    low, high = (None if end is None else 100 * (end - 1) for end in (ratio.interval.low, ratio.interval.high))
    if low is None:
        return _more(ratio.value)
    ends = f"at least {low:.0f}" if high is None else f"{low:.0f}\N{EN DASH}{high:.0f}"
    return f"{100 * (ratio.value - 1):.0f} % ({ends}) more"


def _more(ratio: float) -> str:
    share = 100 * (ratio - 1)
    return f"{share:.0f} % more" if share >= 1 else f"{share:.1f} % more"


def _errors(found: Judged) -> str:
    """Return the figure of each kind that is furthest off, as predicted over measured."""
    parts = []
    for metric, words in FIGURE_WORDS.items():
        ratios = [
            (one.ratio, row.name)
            for row in found.rows
            for one in row.figures
            if one.metric == metric and one.ratio is not None
        ]
        if ratios:
            ratio, name = max(ratios, key=lambda pair: abs(math.log(pair[0])) if pair[0] else math.inf)
            parts.append(f"{words.partition(',')[0]} {times(ratio)} ({name})")
    return f"Furthest off, predicted over measured: {', '.join(parts)}." if parts else ""


def times(ratio: float | None) -> str:
    """Return predicted over measured: "1.31\N{MULTIPLICATION SIGN}"."""
    shown = figure(ratio)
    return shown if ratio is None else f"{shown}\N{MULTIPLICATION SIGN}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictedWords:
    """The page's section on predictions."""

    title: str
    pairs: tuple[tuple[str, str], ...]
    """Word and sentence of each pair, inversions first."""
    notes: tuple[str, ...]


def predicted_words(analysis: Analysis) -> PredictedWords | None:
    """Return the section; None without predictions."""
    found = analysis.predicted
    if found is None:
        return None
    order = {"inverted": 0, "not decided": 1, "right": 2}
    pairs = sorted(found.pairs, key=lambda pair: order[pair.word])
    missing = [
        f"{row.name} is predicted to miss {_limits(row.misses)} ({row.place})" for row in found.rows if row.misses
    ]
    return PredictedWords(
        title=f"Predicted by {_who(found)}, and measured",
        pairs=tuple((pair.word, sentence(found, pair, analysis.verdict)) for pair in pairs),
        notes=(f"read from {found.file}", *missing, *found.notes),
    )


def _limits(metrics: tuple[LimitedMetric, ...]) -> str:
    return " and ".join(f"the limit on {METRIC_WORDS[metric]}" for metric in metrics)
