"""Whether what the stack file asks for can run at all, with the arithmetic, before anything is spent."""

import collections.abc

from optimal_tp.errors import Problem, SettingsError
from optimal_tp.facts.hardware import InstanceType
from optimal_tp.facts.shapes import SHAPES
from optimal_tp.plan.fit import BYTES_PER_GIB, fit
from optimal_tp.plan.lineup import Lineup, line_up
from optimal_tp.plan.reach import unseated
from optimal_tp.settings.stack_file import ClusterSettings
from optimal_tp.settings.workload import WorkloadSettings

DTYPE_BYTES = 2
"""bfloat16, as the Qwen3 models' config.json has it and vLLM on Neuron keeps it."""
_BYTES_PER_GB = 10**9


def feasible_plan(
    settings: ClusterSettings,
    kind: InstanceType,
    *,
    maximum_nodes: int,
    file: str,
    system_vcpus: collections.abc.Sequence[int] | None = None,
) -> Lineup:
    """Return the plan of every model's servers and the nodes; ``system_vcpus`` of each system node, None if unknown.

    Raises SettingsError with every degree of every model that cannot hold it and every amount that a pod cannot have,
    CapacityError where nodes cannot hold the servers.
    """
    problems = [
        problem for index, of in enumerate(settings.models) for problem in _misfits(settings, of, index, kind, file)
    ]
    problems += unseated(settings, system_vcpus, file=file)
    if problems:
        raise SettingsError(problems)
    made = line_up(
        [(of, settings.slug(of), settings.wish(of)) for of in settings.models],
        kind,
        nodes_available=maximum_nodes,
        limited_by="infra.neuron.maximum_nodes",
        shortage=settings.serving.when_nodes_are_few,
    )
    if settings.loadtest.pods > 1 and made.takes_turns:
        rule = "several load generators follow a plan by the clock, and servers that take turns start when they can"
        remedy = f"allow more nodes or set it to 1 in {file}"
        raise SettingsError([Problem(path="loadtest.pods", value=settings.loadtest.pods, rule=rule, remedy=remedy)])
    smallest = min(made.servers, key=lambda server: server.memory_mib)
    shared = settings.serving.shared_memory_gib
    if shared * 1024 * 2 > smallest.memory_mib:
        rule = (
            f"shared memory counts as the pod's, and takes at most half of the smallest one's {smallest.memory_mib} MiB"
        )
        problem = Problem(path="serving.shared_memory_gib", value=shared, rule=rule, remedy=f"lower it in {file}")
        raise SettingsError([problem])
    return made


def _misfits(
    settings: ClusterSettings, of: WorkloadSettings, index: int, kind: InstanceType, file: str
) -> list[Problem]:
    """Return the degrees of one model that cannot hold it."""
    problems = []
    for number, degree in enumerate(of.degrees):
        found = fit(
            SHAPES[settings.shape_name(of)],
            degree,
            max_model_len_tokens=of.model.max_model_len_tokens,
            max_num_seqs=of.model.max_num_seqs,
            dtype_bytes=DTYPE_BYTES,
            gib_per_core=round(kind.memory_per_logical_core_gb * _BYTES_PER_GB / BYTES_PER_GIB, 2),
        )
        if not found.fits:
            path = settings.path(index)
            rule = f"the model does not fit it: {found.arithmetic}"
            remedy = f"drop the degree in {file}, or lower {path}.model.max_model_len_tokens or max_num_seqs"
            problems.append(Problem(path=f"{path}.degrees[{number}]", value=degree, rule=rule, remedy=remedy))
    return problems
