"""A scene in words: a few lines that fit a terminal, the same for a log."""

import dataclasses
import datetime as dt

from optimal_tp.measurement.estimate import MISSING, duration, figure, percent, plural, usd
from optimal_tp.measurement.metrics import BY_NAME
from optimal_tp.measurement.progress import Look, Progress, Ratio
from optimal_tp.telemetry.snapshot import SHOWN, Snapshot

_BRIEF = {"OutputTokensPerSecondPerCore": "tokens/s per core", "RPS": "requests/s", "WithinLimits": "within limits"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spending:
    """What a stack costs, from its outputs; None is what nobody said."""

    usd_per_hour: float | None = None
    """While every server runs."""
    budget_usd: float | None = None
    stops_at: dt.datetime | None = None
    """When the guard stops the servers; None where it never does, too."""

    def spent_usd(self, seconds: float) -> float | None:
        """Return what ``seconds`` cost at most: as if every server had run all the time."""
        return None if self.usd_per_hour is None else self.usd_per_hour * seconds / 3600


UNKNOWN = Spending()
"""Of a run that was named without its stack."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bar:
    """How much of something is reached: a share from 0 to 1, and the same in words."""

    label: str
    share: float
    words: str


def bars(scene: Snapshot, spending: Spending) -> list[Bar]:
    """Return how far the money and the precision are, of a run under way; none of what is not known."""
    progress = scene.progress
    if progress is None or scene.has_ended or scene.is_silent:
        return []
    found = []
    spent = spending.spent_usd(_seconds(scene, progress))
    if spent is not None and spending.budget_usd:
        words = f"at most {usd(spent)} of {usd(spending.budget_usd)}"
        found.append(Bar(label="spent", share=min(1.0, spent / spending.budget_usd), words=words))
    return [*found, *look_bars(progress.looks[-1] if progress.looks else None)]


def look_bars(look: Look | None) -> list[Bar]:
    """Return how much of the experiment's time is used and how near the precision is that was asked for."""
    if look is None:
        return []
    found = []
    if look.spent_seconds is not None and look.budget_seconds:
        words = f"{duration(look.spent_seconds)} of {duration(look.budget_seconds)}"
        found.append(Bar(label="time", share=min(1.0, look.spent_seconds / look.budget_seconds), words=words))
    if look.precision is not None and look.resolution is not None and look.precision_share is not None:
        words = f"±{percent(look.precision)}, goal ±{percent(look.resolution)}"
        found.append(Bar(label="precision", share=look.precision_share, words=words))
    return found


def lines(scene: Snapshot, spending: Spending) -> list[str]:
    """Return what is to be said of ``scene``, whose stack costs ``spending``."""
    progress = scene.progress
    if progress is None:
        return [*_sweep_line(scene), _nothing_yet(scene), *_stops(scene, spending)]
    said = [*_sweep_line(scene), f"{progress.model}  {scene.place}"]
    if scene.has_ended:
        answers = scene.answers or (_without_answer(scene, progress),)
        return [*said, *answers, _spent(scene, progress, spending)]
    said += [_stage_line(scene, progress), _spent(scene, progress, spending)]
    if scene.is_silent:
        silent = (
            f"The load generator has been silent for {duration(scene.silent_seconds)}: it is gone or cannot reach the "
            "bucket. Its log says why; its Deployment starts it again."
        )
        return [*said, silent, *progress.lines[-1:]]
    return [*said, *_look_lines(progress), *_value_lines(scene, progress), *progress.lines[-1:]]


def as_data(scene: Snapshot, spending: Spending) -> dict[str, object]:
    """Return ``scene`` as plain data with units in the keys; None is what is not known."""
    progress = scene.progress
    look = progress.looks[-1] if progress is not None and progress.looks else None
    spent = None if progress is None else spending.spent_usd(_seconds(scene, progress))
    ratios = () if look is None else look.ratios
    return {
        "place": scene.place,
        "run": None if progress is None else progress.run,
        "model": None if progress is None else progress.model,
        "stage": None if progress is None else progress.stage,
        "detail": None if progress is None else progress.detail,
        "blocks": None if look is None else look.blocks,
        "standing": None if look is None else look.reason,
        "ratios_per_core": [
            {
                "first": str(ratio.first),
                "second": str(ratio.second),
                "value": ratio.value,
                "low": ratio.interval.low,
                "high": ratio.interval.high,
            }
            for ratio in ratios
        ],
        "spent_usd_at_most": spent,
        "budget_usd": spending.budget_usd,
        "servers_stop_at": None if spending.stops_at is None else spending.stops_at.isoformat(),
        "silent_seconds": None if progress is None else round(scene.silent_seconds, 1),
        "has_ended": scene.has_ended,
        "answers": list(scene.answers),
    }


def brief(scene: Snapshot) -> str:
    """Return the scene in one line that changes only when something happened."""
    progress = scene.progress
    if progress is None or scene.has_ended or scene.is_silent:
        return " ".join(lines(scene, UNKNOWN)[-2:])
    last = progress.looks[-1].words if progress.looks else ""
    return "  ".join(filter(None, (progress.model, progress.stage, progress.detail, last)))


def _sweep_line(scene: Snapshot) -> list[str]:
    if scene.sweep is None:
        return []
    legs = scene.sweep.legs
    words = ", ".join(f"{leg.model} {leg.state}" for leg in legs)
    return [f"{plural(len(legs), 'model')}: {words}"]


def _nothing_yet(scene: Snapshot) -> str:
    if scene.sweep is not None:
        return f"The next model is about to begin in {scene.place}."
    return f"No run yet in {scene.place}: the load generator writes there as soon as its pod starts."


def _without_answer(scene: Snapshot, progress: Progress) -> str:
    if not scene.is_over:
        return "The run has ended and its report is being written."
    last = progress.lines[-1] if progress.lines else "none"
    return f"The run is over without a verdict. Its last line: {last}"


def _stage_line(scene: Snapshot, progress: Progress) -> str:
    in_stage = scene.now - progress.stage_started
    left = ""
    if progress.stage_seconds is not None:
        left = f", at most {duration(max(0.0, progress.stage_seconds - in_stage))} left"
    detail = f", {progress.detail}" if progress.detail else ""
    return f"{progress.stage}{detail}: {duration(in_stage)}{left}"


def _seconds(scene: Snapshot, progress: Progress) -> float:
    until = progress.written if scene.has_ended else scene.now
    return until - (progress.started if scene.started is None else scene.started)


def _spent(scene: Snapshot, progress: Progress, spending: Spending) -> str:
    seconds = _seconds(scene, progress)
    spent = spending.spent_usd(seconds)
    if spent is None:
        return f"{duration(seconds)} since the load generator began; --stack STACK adds what it costs"
    most = "" if spending.budget_usd is None else f" of {usd(spending.budget_usd)}"
    said = f"spent at most {usd(spent)}{most} in {duration(seconds)}, at {usd(spending.usd_per_hour)} an hour"
    return "; ".join([said, *_stops(scene, spending)])


def _stops(scene: Snapshot, spending: Spending) -> list[str]:
    if spending.stops_at is None or scene.has_ended:
        return []
    left = spending.stops_at.timestamp() - scene.now
    clock = spending.stops_at.astimezone(dt.UTC).strftime("%H:%M UTC")
    return [f"servers stop by {clock}, in {duration(left)}" if left > 0 else f"servers were stopped at {clock}"]


def _look_lines(progress: Progress) -> list[str]:
    """Return a line per pair of degrees: what its interval is by now, and what it was at its first look."""
    if not progress.looks:
        return []
    last = progress.looks[-1]
    heading = f"after {plural(last.blocks, 'block')}: {last.reason}"
    return [heading, *(_ratio_line(ratio, progress.looks) for ratio in last.ratios)]


def _ratio_line(ratio: Ratio, looks: tuple[Look, ...]) -> str:
    earlier = (
        (look.blocks, each.half_width)
        for look in looks
        for each in look.ratios
        if (each.first, each.second) == (ratio.first, ratio.second)
    )
    began = next(((blocks, width) for blocks, width in earlier if width is not None), None)
    line = f"  {ratio.words}"
    if began is None or ratio.half_width is None:
        return line
    return f"{line}, ±{percent(ratio.half_width)}; after {plural(began[0], 'block')} it was ±{percent(began[1])}"


def _value_lines(scene: Snapshot, progress: Progress) -> list[str]:
    """Return the last values from CloudWatch, a line per candidate; nothing where there are none."""
    if not scene.values:
        return []
    heads = [_BRIEF[name] for name in SHOWN]
    width = max(6, *(len(each.name) + 1 for each in progress.candidates))
    rows = [f"{'':<{width}}{''.join(f'{head:>20}' for head in heads)}"]
    for candidate in progress.candidates:
        cells = [_cell(name, scene.values.get(name, {}).get(candidate)) for name in SHOWN]
        rows.append(f"{candidate.name:<{width}}{''.join(f'{cell:>20}' for cell in cells)}")
    return rows


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return MISSING
    return f"{figure(value)} %" if BY_NAME[name].unit == "Percent" else figure(value)
