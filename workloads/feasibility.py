"""Whether what the stack file asks for can run at all, with the arithmetic, before anything is spent."""

from infra.errors import Problem, SettingsError
from infra.hardware import InstanceType
from workloads.cluster_settings import ClusterSettings
from workloads.fit import BYTES_PER_GIB, SHAPES, fit
from workloads.plan import Plan, plan

DTYPE_BYTES = 2
"""bfloat16, as the Qwen3 models' config.json has it and vLLM on Neuron keeps it."""
_BYTES_PER_GB = 10**9


def feasible_plan(settings: ClusterSettings, kind: InstanceType, *, maximum_nodes: int, file: str) -> Plan:
    """Return the plan of servers and nodes.

    Raises SettingsError with every degree that cannot hold the model and every amount that a pod cannot have,
    CapacityError where nodes cannot hold the servers.
    """
    model = settings.workloads.model
    problems = []
    for index, degree in enumerate(settings.workloads.degrees):
        found = fit(
            SHAPES[settings.shape_name],
            degree,
            max_model_len_tokens=model.max_model_len_tokens,
            max_num_seqs=model.max_num_seqs,
            dtype_bytes=DTYPE_BYTES,
            gib_per_core=round(kind.memory_per_logical_core_gb * _BYTES_PER_GB / BYTES_PER_GIB, 2),
        )
        if not found.fits:
            rule = f"the model does not fit it: {found.arithmetic}"
            remedy = f"drop the degree in {file}, or shorten workloads.model"
            problems.append(Problem(path=f"workloads.degrees[{index}]", value=degree, rule=rule, remedy=remedy))
    if problems:
        raise SettingsError(problems)
    made = plan(
        settings.wish,
        kind,
        nodes_available=maximum_nodes,
        limited_by="infra.neuron.maximum_nodes",
        shortage=settings.serving.when_nodes_are_few,
    )
    smallest = min(made.servers, key=lambda server: server.memory_mib)
    shared = settings.serving.shared_memory_gib
    if shared * 1024 * 2 > smallest.memory_mib:
        rule = (
            f"shared memory counts as the pod's, and takes at most half of the smallest one's {smallest.memory_mib} MiB"
        )
        problem = Problem(path="serving.shared_memory_gib", value=shared, rule=rule, remedy=f"lower it in {file}")
        raise SettingsError([problem])
    return made
