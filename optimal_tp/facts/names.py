"""Fixed resource names; Pulumi adds a random suffix to all others.

A fixed name may already be taken by a leftover, another stack, or somebody else, so preflight checks each of them.
"""

import collections.abc
import dataclasses
import typing

from optimal_tp.facts.candidates import Candidate


@dataclasses.dataclass(frozen=True, kw_only=True)
class SelfNamed:
    """One resource of an account with a fixed name."""

    kind: typing.Literal["cluster", "log group", "dashboard", "alarm", "bucket"]
    name: str


def control_plane_log_group(cluster_name: str) -> str:
    """Return the log group that EKS writes to and, if absent, creates (EKS user guide, "Control plane logs")."""
    return f"/aws/eks/{cluster_name}/cluster"


def void_alarm(dashboard: str, slug: str, candidate: Candidate) -> str:
    """Return the alarm of a candidate's failed self-audit; ``slug`` is the model's in a sweep, else empty."""
    return f"{dashboard}-void-{slug}-{candidate.slug}" if slug else f"{dashboard}-void-{candidate.slug}"


def silent_alarm(dashboard: str, slug: str) -> str:
    """Return the alarm of a silent load generator; ``slug`` is the model's in a sweep, empty for all of them."""
    return f"{dashboard}-silent-{slug}" if slug else f"{dashboard}-silent"


def is_alarm(dashboard: str, name: str) -> bool:
    """Return whether the alarm ``name`` belongs to ``dashboard``, with any models and candidates."""
    silent = silent_alarm(dashboard, "")
    return name == silent or name.startswith((f"{silent}-", f"{dashboard}-void-"))


def alarms(
    dashboard: str, candidates: collections.abc.Mapping[str, collections.abc.Iterable[Candidate]], *, for_ever: bool
) -> list[str]:
    """Return every alarm of ``dashboard``; ``candidates``: by model's slug; ``for_ever``: with the alarm of silence."""
    void = [void_alarm(dashboard, slug, candidate) for slug, of in candidates.items() for candidate in of]
    silent = [silent_alarm(dashboard, slug) for slug in dict.fromkeys(["", *candidates])] if for_ever else []
    return [*void, *silent]


NAMESPACE = "optimal-tp"
"""Namespace of the experiment unless a setting names another."""
NODE_CLASS = "neuron-al2023"
NODE_POOL = "neuron-trn-2"
FLEET_NODE_POOL = "neuron-trn-2-fleet"
"""Node pool of a planned fleet: an experiment's limits and node lifetimes do not apply to it, and nothing is measured
on its nodes."""
NODE_OVERLAY = "neuron-trn-2-price"
_IN = "-in-"
LONGEST_NAMESPACE = 63 - len(f"{FLEET_NODE_POOL}{_IN}")
"""Letters of a namespace that ends names: names of node pools are values of labels, which have 63 at most."""


def ending(namespace: str, *, shares: bool) -> str:
    """Return what ends the names of a stack's objects that are in no namespace: nodes, dashboard, alarms.

    Empty unless the stack ``shares`` a cluster that it did not create. There a second stack needs a namespace of its
    own; the first, in the default one, has plain names.
    """
    return f"{_IN}{namespace}" if shares and namespace != NAMESPACE else ""


SCHEDULER = "my-scheduler"
"""Name of the scheduler that knows which cores of a chip are free; pods name it in schedulerName."""
SYSTEM_NAMESPACE = "kube-system"
PART = "optimal-tp/part"
"""Label with an object's role in the experiment: a measured ``server``, the ``load-generator``, a model's ``job``."""
