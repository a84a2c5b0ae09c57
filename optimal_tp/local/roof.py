"""The roof of this machine's cores, measured before and after a run: for a virtual core no figure is published."""

import collections.abc
import contextlib
import dataclasses
import datetime as dt
import json
import pathlib
import statistics
import subprocess
import typing

from optimal_tp.facts.hardware import Roof
from optimal_tp.facts.physics import STEADY_SHARE, Physics
from optimal_tp.facts.shapes import ModelShape
from optimal_tp.local import attaining
from optimal_tp.local.server import own
from optimal_tp.measurement.estimate import figure, percent, plural
from optimal_tp.plan.roofline.work import step_weights

SECONDS = 2.0
"""Length of one measurement, all cores at once; importing the servers' libraries takes longer."""
PATIENCE_SECONDS = 120.0
LARGEST_BYTES = 512 * 1024**2
"""Largest buffer of a core: with larger ones a machine's memory might not hold those of all cores."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attained:
    """The roof in ``words`` too, which say why where there is none."""

    roof: Roof | None
    words: str


def attained_roof(
    python: pathlib.Path,
    cores: collections.abc.Sequence[int],
    buffer_bytes: int,
    dtype: str,
    environment: collections.abc.Mapping[str, str],
    *,
    seconds: float = SECONDS,
) -> Attained:
    """Return what each of ``cores`` attains while all read and compute; a failure leaves the run without a roof.

    ``python`` is the servers' interpreter, ``buffer_bytes`` the bytes that one core reads in a step.
    """
    dtypes = [*dict.fromkeys((dtype, "float32"))]
    try:
        answers = _answers(python, cores, buffer_bytes, dtypes, environment, seconds)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return Attained(roof=None, words=f"The peak of this machine's cores was not measured ({error}).")
    slow = [each for each in answers if each["read"]["cached"] < attaining.LEAST_SPEED_UP * each["read"]["best"]]
    if slow:
        ratio = min(each["read"]["cached"] / each["read"]["best"] for each in slow)
        why = f"the loop is only {figure(ratio)} times as fast on a core's own cache, so memory was not its limit"
        return Attained(roof=None, words=f"The peak of this machine's cores is not known: {why}.")
    best = statistics.fmean(each["read"]["best"] for each in answers)
    median = statistics.fmean(each["read"]["median"] for each in answers)
    rates = [max(each["compute"].values()) for each in answers if each["compute"]]
    flop = statistics.fmean(rates) if len(rates) == len(answers) else None
    computed = (
        "" if flop is None else f" and {figure(flop / 1e9)} GFLOP/s in products of {' or '.join(dtypes)} matrices"
    )
    now = dt.datetime.now(dt.UTC).isoformat(timespec="minutes")
    source = (
        f"what each of {plural(len(cores), 'core')} attained at {now}, all at once: {figure(best / 1e9)} GB/s reading "
        f"{figure(buffer_bytes / 1e6)} MB (median pass {figure(median / 1e9)}; caches are not excluded){computed}"
    )
    roof = Roof(kind="attained", bytes_per_second=best, flop_per_second=flop, source=source)
    return Attained(roof=roof, words=sentence(roof))


def sentence(roof: Roof) -> str:
    """Return where the figures of ``roof`` come from, as a sentence."""
    return f"Peak of this machine: {roof.source}."


def physics_of(shape: ModelShape, dtype_bytes: int, before: Roof | None, after: Roof | None) -> Physics | None:
    """Return the physics of a run whose roof was measured ``before`` the servers started and ``after`` they ended.

    Each figure is the larger of the two: the clock or a neighbour may have lowered one, which then bounds nothing. A
    roof that could not be measured is None; so is the answer where neither could.
    """
    measured = tuple(each for each in (before, after) if each is not None)
    if not measured:
        return None
    physics = Physics(roof=measured[0], shape=shape, dtype_bytes=dtype_bytes, measured=measured)
    return physics if len(measured) == 1 else dataclasses.replace(physics, roof=_larger(physics))


def _larger(physics: Physics) -> Roof:
    """Return the larger figures of the two roofs that were measured."""
    before, after = physics.measured
    drift, rates = physics.drift_share or 0.0, [each.flop_per_second for each in physics.measured]
    said = f"{figure(after.bytes_per_second / 1e9)} GB/s"
    if after.flop_per_second is not None:
        said += f" and {figure(after.flop_per_second / 1e9)} GFLOP/s"
    steady = (
        f", more than the {percent(STEADY_SHARE)} of a steady machine, so its clock or its neighbours changed"
        if drift > STEADY_SHARE
        else ""
    )
    return dataclasses.replace(
        before,
        bytes_per_second=max(before.bytes_per_second, after.bytes_per_second),
        flop_per_second=max((each for each in rates if each is not None), default=None),
        source=f"{before.source}; after the run {said}; the larger of each counts, and they differ by up to "
        f"{percent(drift)}{steady}",
    )


def buffer_bytes(shape: ModelShape, dtype_bytes: int, largest_degree: int) -> int:
    """Return the bytes that a core of the largest server reads in a step: the fewest, so caches help the roof most."""
    return min(LARGEST_BYTES, max(8, step_weights(shape) * dtype_bytes // largest_degree))


def _answers(
    python: pathlib.Path,
    cores: collections.abc.Sequence[int],
    count: int,
    dtypes: list[str],
    environment: collections.abc.Mapping[str, str],
    seconds: float,
) -> list[dict[str, typing.Any]]:
    """Return the figures of each core's process; all begin when the last is ready."""
    program = str(pathlib.Path(attaining.__file__).resolve())
    with contextlib.ExitStack() as stack:
        processes = [
            stack.enter_context(
                _process([str(python), program, str(core), str(count), str(seconds), *dtypes], environment)
            )
            for core in cores
        ]
        for process in processes:
            if process.stdout is None or process.stdout.readline() != "ready\n":
                raise ValueError("the servers' Python has no numpy")
        for process in processes:
            if process.stdin is not None:
                process.stdin.write("go\n")
                process.stdin.flush()
        return [json.loads(process.communicate(timeout=PATIENCE_SECONDS)[0]) for process in processes]


@contextlib.contextmanager
def _process(
    words: list[str], environment: collections.abc.Mapping[str, str]
) -> collections.abc.Iterator[subprocess.Popen[str]]:
    """Run the command ``words``, and end it afterwards."""
    process = subprocess.Popen(
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**own(environment), "OMP_NUM_THREADS": "1"},
    )
    with process:
        try:
            yield process
        finally:
            process.kill()
