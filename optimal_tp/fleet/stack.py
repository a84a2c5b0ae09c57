"""The stack that a fleet is deployed on: one stack file, read by the same two parsers as the program's.

The one module of ``workloads`` that reads the infrastructure's settings: the fleet's nodes are the stack's own.
"""

import pathlib

from infra import nodes
from optimal_tp.errors import Problem, SettingsError
from optimal_tp.facts import names
from optimal_tp.fleet.manifests import Ground, Manifest
from optimal_tp.servers.neuron_pod import Site
from optimal_tp.settings.infra import parse_infra
from optimal_tp.settings.parser import read_yaml
from optimal_tp.settings.stack_file import parse_cluster
from optimal_tp.settings.workload import Model

_PROJECT = "optimal-tp"


def ground(path: pathlib.Path, model: Model, *, instance_type: str, most_nodes: int) -> Ground:
    """Return where the stack in the file ``path`` puts a fleet of its own model.

    ``model`` is what the run measured: its service times say nothing of another one. Raises SettingsError for a file
    that is no stack's, and for one whose nodes, model or requests at a time are others than those of the plan.
    """
    data = read_yaml(path, key="--stack-file", value=str(path), remedy="name the stack's Pulumi.<stack>.yaml")
    config = data.get("config", {}) if isinstance(data, dict) else {}
    file = path.name
    infra = parse_infra(config.get(f"{_PROJECT}:infra"), file=file)
    sections = {name: config.get(f"{_PROJECT}:{name}") for name in ("workloads", "serving", "loadtest")}
    settings = parse_cluster(sections, file=file)
    neuron = infra.neuron
    # Of a sweep's models the one that was measured; the first where none of them was, for the sentence.
    own = next((each.model for each in settings.models if each.model.name == model.name), settings.models[0].model)
    pairs = (
        ("infra.neuron.instance_type", neuron.instance_type, instance_type, "plan with --instance-type or edit it"),
        ("workloads.model.name", own.name, model.name, f"edit {file} or measure its model"),
        ("workloads.model.max_num_seqs", own.max_num_seqs, model.max_num_seqs, f"edit {file}, or measure with its own"),
    )
    problems = [
        Problem(path=f"{file}: {key}", value=has, rule=f"the fleet was planned with {planned!r}", remedy=remedy)
        for key, has, planned, remedy in pairs
        if has != planned
    ]
    if problems:
        raise SettingsError(problems)
    pair = neuron.image_and_ami
    site = Site(
        model=own,
        serving=settings.serving,
        pair=pair,
        image=pair.image(infra.registries.images),
        scheduler=names.SCHEDULER,
        node_pool=names.NODE_POOL,
    )
    pool: Manifest = {
        "apiVersion": nodes.NODE_POOL_VERSION,
        "kind": "NodePool",
        "metadata": {"name": names.NODE_POOL},
        "spec": nodes.node_pool_spec(neuron.model_copy(update={"maximum_nodes": most_nodes})),
    }
    return Ground(site=site, node_pool=pool)
