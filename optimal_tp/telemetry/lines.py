"""A scene in words: a few lines that fit a terminal, the same for a log."""

from optimal_tp.measurement.estimate import MISSING, duration, figure, percent, plural, usd
from optimal_tp.measurement.metrics import BY_NAME
from optimal_tp.measurement.progress import Look, Progress, Ratio
from optimal_tp.telemetry.snapshot import SHOWN, Scene

_BRIEF = {"OutputTokensPerSecondPerCore": "tokens/s per core", "RPS": "requests/s", "WithinLimits": "within limits"}


def lines(scene: Scene, usd_per_hour: float | None) -> list[str]:
    """Return what is to be said of ``scene``; ``usd_per_hour`` is what everything costs, None where nobody said."""
    progress = scene.progress
    if progress is None:
        return [*_sweep_line(scene), _nothing_yet(scene)]
    said = [*_sweep_line(scene), f"{progress.model}  {scene.place}"]
    if scene.has_ended:
        answers = scene.answers or (_without_answer(scene, progress),)
        return [*said, *answers, _spent(scene, progress, usd_per_hour)]
    said += [_stage_line(scene, progress), _spent(scene, progress, usd_per_hour)]
    if scene.is_silent:
        silent = (
            f"The load generator has been silent for {duration(scene.silent_seconds)}: it is gone or cannot reach the "
            "bucket; its log says why, and its Deployment starts it again"
        )
        return [*said, silent, *progress.lines[-1:]]
    return [*said, *_look_lines(progress), *_value_lines(scene, progress), *progress.lines[-1:]]


def brief(scene: Scene) -> str:
    """Return the scene in one line that changes only when something happened."""
    progress = scene.progress
    if progress is None or scene.has_ended or scene.is_silent:
        return " ".join(lines(scene, None)[-2:])
    last = progress.looks[-1].words if progress.looks else ""
    return "  ".join(filter(None, (progress.model, progress.stage, progress.detail, last)))


def _sweep_line(scene: Scene) -> list[str]:
    if scene.sweep is None:
        return []
    legs = scene.sweep.legs
    words = ", ".join(f"{leg.model} {leg.state}" for leg in legs)
    return [f"{plural(len(legs), 'model')}: {words}"]


def _nothing_yet(scene: Scene) -> str:
    if scene.sweep is not None:
        return f"The next model is about to begin in {scene.place}."
    return f"No run yet in {scene.place}: the load generator writes there as soon as it starts."


def _without_answer(scene: Scene, progress: Progress) -> str:
    if not scene.is_over:
        return "It has ended, and the report is being written."
    last = progress.lines[-1] if progress.lines else "nothing was said"
    return f"It is over, and there is no verdict; the last word: {last}"


def _stage_line(scene: Scene, progress: Progress) -> str:
    in_stage = scene.now - progress.stage_started
    left = ""
    if progress.stage_seconds is not None:
        left = f", at most {duration(max(0.0, progress.stage_seconds - in_stage))} left"
    detail = f", {progress.detail}" if progress.detail else ""
    return f"{progress.stage}{detail}: {duration(in_stage)}{left}"


def _spent(scene: Scene, progress: Progress, usd_per_hour: float | None) -> str:
    until = progress.written if scene.has_ended else scene.now
    seconds = until - (progress.started if scene.started is None else scene.started)
    since = f"{duration(seconds)} since the load generator began"
    if usd_per_hour is None:
        return f"{since}; what an hour costs is not known here: name the stack with --stack"
    most = usd(usd_per_hour * seconds / 3600)
    return f"{since}: at most {most} so far, at {usd(usd_per_hour)} an hour where every server runs"


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


def _value_lines(scene: Scene, progress: Progress) -> list[str]:
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
