"""Whether what the stack file asks for can run at all, with the arithmetic, before anything is spent."""

import collections.abc
import dataclasses
import functools
import math

from optimal_tp.errors import Problem, SettingsError, quantity
from optimal_tp.facts.candidates import Candidate
from optimal_tp.facts.engines import FORK, Engine
from optimal_tp.facts.hardware import LOGICAL_CORES_PER_CHIP, TRAINIUM2, InstanceType, cores_held
from optimal_tp.facts.physics import Physics
from optimal_tp.plan.fit import BYTES_PER_GIB, MemoryFit, fit
from optimal_tp.plan.lineup import Lineup, Refusal, line_up, wish
from optimal_tp.plan.memory_batches import decided
from optimal_tp.plan.roofline.prior import impossible, promises
from optimal_tp.plan.timetable import timetable
from optimal_tp.plan.traces import trace_of
from optimal_tp.settings.batches import batches_of
from optimal_tp.settings.stack_file import ClusterSettings
from optimal_tp.settings.workload import WorkloadSettings

# bench/README.md, 2026-11-24, one core of an Intel Xeon at full speed: 35,561 plain requests and 57,657 streamed chunks
# (32 in a request, each in a read of its own) per second of its processor; chunks that come together cost a tenth.
REQUEST_MICROSECONDS = 1e6 / 35_561
CHUNK_MICROSECONDS = (32 * 1e6 / 57_657 - REQUEST_MICROSECONDS) / 32
MOST_BUSY_SHARE = 0.5
"""A client that is busier than this is late when requests come close together, and the audit voids its turns."""

TAKEN_MILLICORES = 70
"""Of a system node at least: kubelet's reserve of two cores by EKS's formula; DaemonSets and Karpenter come on top."""


def cores_needed(of: WorkloadSettings) -> float | None:
    """Return the cores of the client that the stated loads keep busy; None where the run finds its loads itself.

    A closed loop that holds a limit on total latency turns at least as fast as the limit says. Raises SettingsError for
    a trace that cannot be read.
    """
    rates = of.load.rates_per_second_per_core
    limit = of.limits.total_latency_ms
    if rates is not None:
        rate = max(rates) * max(of.degrees)
    elif of.load.concurrency is not None and limit is not None:
        rate = 1000 * max(of.load.concurrency) / limit.at_most_ms
    else:
        return None
    trace = trace_of(of)
    output_tokens = of.load.output_tokens if trace is None else trace.mean_output
    return rate * (REQUEST_MICROSECONDS + CHUNK_MICROSECONDS * output_tokens) / 1e6


def reach_lines(settings: ClusterSettings) -> tuple[str, ...]:
    """Return a warning for each model whose load is more than the load generators can produce on time."""
    pods = settings.loadtest.pods
    lines = []
    for of in settings.models:
        cores = cores_needed(of)
        wanted = 1 if cores is None else math.ceil(cores / MOST_BUSY_SHARE)
        if cores is not None and wanted > pods:
            lines.append(
                f"loadtest.pods: must be {wanted} for {of.model.name}, or turns will be void (got {pods}): the load "
                f"keeps {cores:.1f} cores busy, and a load generator is late above {MOST_BUSY_SHARE:g} of a core (at "
                f"most 57,657 streamed chunks/s a core, bench/README.md, 2026-11-24)"
            )
    return tuple(lines)


def seat_lines(settings: ClusterSettings) -> tuple[str, ...]:
    """Return what several load generators want of the nodes without the Neuron taint, for the preview."""
    wanted = settings.loadtest
    if wanted.pods == 1:
        return ()
    line = (
        f"{wanted.pods} load generators need {wanted.cpu_millicores} millicores each, free on nodes without the "
        f"Neuron taint. The run ends if one is not ready {wanted.start_after_seconds} s after the Job's start "
        "(loadtest.start_after_seconds)"
    )
    return (line,)


def unseated(
    settings: ClusterSettings, vcpus: collections.abc.Sequence[int] | None, *, file: str
) -> collections.abc.Iterator[Problem]:
    """Yield the problem of more load generators than even empty system nodes hold.

    ``vcpus``: of each system node; None where nobody knows, which is no problem yet.
    """
    wanted = settings.loadtest
    if vcpus is None or wanted.pods == 1:
        return
    left = [1000 * each - TAKEN_MILLICORES for each in vcpus]
    held = sum(each // wanted.cpu_millicores for each in left)
    if wanted.pods > held:
        rule = (
            f"must be at most {held}: {len(left)} system nodes have {left[0]} millicores each for pods, and a load "
            f"generator needs {wanted.cpu_millicores}"
        )
        remedy = "choose a larger infra.system_nodes.instance_type or lower loadtest.cpu_millicores"
        yield Problem(path="loadtest.pods", value=wanted.pods, rule=rule, remedy=remedy, file=file)


DTYPE_BYTES = 2
"""bfloat16, as the Qwen3 models' config.json has it and vLLM on Neuron keeps it."""
_BYTES_PER_GB = 10**9


def on_cores(
    settings: ClusterSettings,
    of: WorkloadSettings,
    kind: InstanceType,
    degree: int,
    batch: int,
    *,
    engine: Engine = FORK,
) -> MemoryFit:
    """Return how the model ``of`` and ``batch`` sequences of it fit ``degree`` cores of ``kind``."""
    sizes = settings.sizes_of(of)
    return fit(
        sizes.shape,
        degree,
        max_model_len_tokens=of.model.max_model_len_tokens,
        max_num_seqs=batch,
        dtype_bytes=DTYPE_BYTES,
        gib_per_core=round(kind.memory_per_logical_core_gb * _BYTES_PER_GB / BYTES_PER_GIB, 2),
        uncounted=sizes.uncounted,
        engine=engine,
    )


def with_batches(settings: ClusterSettings, kind: InstanceType, *, engine: Engine = FORK) -> ClusterSettings:
    """Return ``settings`` with the batches that the memory of ``kind`` holds in the place of ``auto``."""

    def sequences(of: WorkloadSettings, degree: int) -> int:
        """Return how many sequences the KV cache of a server of ``degree`` holds."""
        return on_cores(settings, of, kind, degree, 1, engine=engine).kv_sequences

    models = tuple(decided(of, functools.partial(sequences, of)) for of in settings.models)
    return dataclasses.replace(settings, models=models)


def memory_lines(settings: ClusterSettings, plan: Lineup, *, engine: Engine = FORK) -> tuple[str, ...]:
    """Return, for the preview, how much each server's KV cache holds beside the weights, a line per served degree."""
    return tuple(
        f"{of.model.title} at TP{degree}: {found.weights_gib_per_core:.2f} GiB of weights on each core"
        f"{f' ({found.padding})' if found.padding else ''}; beside them "
        f"the KV cache holds {quantity(found.kv_sequences, 'sequence', 'sequences')} of "
        f"{of.model.max_model_len_tokens} tokens ({found.kv_tokens:,} tokens); max_num_seqs "
        f"{', '.join(map(str, batches_of(of.model.max_num_seqs, degree)))}"
        for model in plan.models
        for of in (model.settings,)
        for degree in sorted({each.degree for each in model.plan.candidates})
        for found in (on_cores(settings, of, plan.instance_type, degree, 1, engine=engine),)
    )


def feasible_plan(
    settings: ClusterSettings,
    kind: InstanceType,
    *,
    maximum_nodes: int,
    file: str,
    system_vcpus: collections.abc.Sequence[int] | None = None,
    engine: Engine = FORK,
) -> Lineup:
    """Return the plan of every model's servers and the nodes; ``system_vcpus`` of each system node, None if unknown.

    A candidate whose cores cannot hold it, or that physics keeps from a limit, has no servers, and the plan says why.
    ``engine`` as in ``fit``. Raises SettingsError with every model of which no candidate is left, why several load
    generators cannot share the experiment and every amount that a pod cannot have, CapacityError where nodes cannot
    hold the servers.
    """
    for of in settings.models:
        trace_of(of, file=file)  # a bad one is told with the name of the stack's file, which nobody has further in
    gates = [refusals(settings, of, kind, engine=engine) for of in settings.models]
    served = [[each for each in of.candidates if each not in no] for of, no in zip(settings.models, gates, strict=True)]
    problems = [
        _none_fits(settings, index, gates[index], file) for index, candidates in enumerate(served) if not candidates
    ]
    if not problems:
        problems += [*unshareable(settings, served[0], file, engine=engine), *_parted_chips(settings, engine, file)]
    problems += unseated(settings, system_vcpus, file=file)
    if problems:
        raise SettingsError(problems)
    made = line_up(
        [
            (
                of,
                settings.slug(of),
                wish(
                    settings,
                    of,
                    candidates,
                    promises(settings, of, candidates, DTYPE_BYTES),
                    whole_chips=engine.whole_chips,
                ),
            )
            for of, candidates in zip(settings.models, served, strict=True)
        ],
        kind,
        nodes_available=maximum_nodes,
        limited_by="infra.neuron.maximum_nodes",
        shortage=settings.serving.when_nodes_are_few,
    )
    models = tuple(
        dataclasses.replace(model, gates=no, physics=_physics(settings, model.settings, kind, engine))
        for model, no in zip(made.models, gates, strict=True)
    )
    _refuse_what_pods_cannot_have(settings, made, file)
    return dataclasses.replace(made, models=models)


def _physics(settings: ClusterSettings, of: WorkloadSettings, kind: InstanceType, engine: Engine) -> Physics:
    degrees = sorted(of.degrees)
    rooms = tuple(on_cores(settings, of, kind, degree, 1, engine=engine).room(degree) for degree in degrees)
    return Physics(roof=TRAINIUM2, shape=settings.sizes_of(of).shape, dtype_bytes=DTYPE_BYTES, rooms=rooms)


def _refuse_what_pods_cannot_have(settings: ClusterSettings, made: Lineup, file: str) -> None:
    if settings.loadtest.pods > 1 and made.runs_in_rounds:
        rule = "must be 1 when servers take turns: several load generators follow a plan by the clock"
        remedy = "set it to 1 or allow more nodes"
        pods = settings.loadtest.pods
        raise SettingsError([Problem(path="loadtest.pods", value=pods, rule=rule, remedy=remedy, file=file)])
    smallest = min(made.servers, key=lambda server: server.memory_mib)
    shared = settings.serving.shared_memory_gib
    if shared * 1024 * 2 > smallest.memory_mib:
        rule = (
            f"must be at most half of the smallest pod's {smallest.memory_mib} MiB: shared memory counts as the pod's"
        )
        problem = Problem(path="serving.shared_memory_gib", value=shared, rule=rule, file=file)
        raise SettingsError([problem])


def refusals(
    settings: ClusterSettings, of: WorkloadSettings, kind: InstanceType, *, engine: Engine = FORK
) -> dict[Candidate, Refusal]:
    """Return the candidates of the model ``of`` that need no measurement, each with its word and arithmetic."""
    unfit = misfits(settings, of, kind, engine=engine)
    others = [each for each in of.candidates if each not in unfit]
    slow = impossible(settings, of, others, DTYPE_BYTES)
    found = {each: Refusal("no-fit", reason) for each, reason in unfit.items()}
    found |= {each: Refusal("misses-slo", reason) for each, reason in slow.items()}
    return dict(sorted(found.items()))


def misfits(
    settings: ClusterSettings, of: WorkloadSettings, kind: InstanceType, *, engine: Engine = FORK
) -> dict[Candidate, str]:
    """Return the candidates of the model ``of`` whose cores cannot hold it, each with the number that decided it."""
    found = {}
    for candidate in of.candidates:
        degree = candidate.degree
        if degree > kind.logical_cores:
            found[candidate] = (
                f"TP{degree} needs {degree} logical cores on one node, but {kind.name} has {kind.logical_cores}"
            )
            continue
        fits = on_cores(settings, of, kind, degree, of.model.batch_of(candidate), engine=engine)
        if not fits.fits:
            found[candidate] = fits.arithmetic
    return found


def _none_fits(
    settings: ClusterSettings, index: int, gates: collections.abc.Mapping[Candidate, Refusal], file: str
) -> Problem:
    path = settings.path(index)
    reasons = "; ".join(gate.reason for gate in gates.values())
    if any(gate.gate == "misses-slo" for gate in gates.values()):
        return Problem(
            path=f"{path}.limits",
            value={metric: limit.at_most_ms for metric, limit in settings.models[index].limits.asked().items()},
            rule=f"must be limits that at least one candidate can meet; physics rules out all ({reasons})",
            remedy="raise the limit, add a larger degree, request fewer tokens or serve a smaller model",
            file=file,
        )
    return Problem(
        path=f"{path}.degrees",
        value=list(settings.models[index].degrees),
        rule=f"must have at least one candidate that fits; none does ({reasons})",
        remedy=(
            f"add a degree that fits, lower {path}.model.max_model_len_tokens or max_num_seqs, or choose a "
            "larger infra.neuron.instance_type"
        ),
        file=file,
    )


def _parted_chips(settings: ClusterSettings, engine: Engine, file: str) -> list[Problem]:
    cores = settings.serving.equal_cores
    if cores is None or not engine.whole_chips or cores % LOGICAL_CORES_PER_CHIP == 0:
        return []
    whole = LOGICAL_CORES_PER_CHIP
    rule = f"must be a multiple of {whole}: the image of infra.neuron.pair takes whole chips of {whole} logical cores"
    return [Problem(path="serving.equal_cores", value=cores, rule=rule, remedy="correct it or remove it", file=file)]


def unshareable(
    settings: ClusterSettings, served: collections.abc.Sequence[Candidate], file: str, *, engine: Engine = FORK
) -> list[Problem]:
    """Return why several load generators cannot share the experiment with the candidates ``served``."""
    pods = settings.loadtest.pods
    if pods == 1:
        return []
    if len(settings.models) > 1:
        rule = "must be 1 with several models: several load generators share one model's experiment"
        return [Problem(path="loadtest.pods", value=pods, rule=rule, file=file)]
    try:
        timetable(
            settings.models[0], {each: cores_held(each.degree, whole_chips=engine.whole_chips) for each in served}
        )
    except SettingsError as error:
        return list(error.problems)
    return []
