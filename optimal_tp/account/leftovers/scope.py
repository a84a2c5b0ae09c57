"""Tell this stack's resources from all others in the account by names and tags, sparing what existed before."""

import collections.abc
import dataclasses
import re
import typing

from optimal_tp.account.questions import Ask, Question, Unknown
from optimal_tp.facts.names import NODE_POOL
from optimal_tp.settings.infra import InfraSettings


class KindSearch:
    """Asks the questions about one kind, and keeps the reasons of those without an answer."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self.unknown: list[str] = []

    def __call__(self, question: Question, **parameters: object) -> tuple[typing.Any, ...]:
        """Return AWS's answer; empty if there is none, and then ``unknown`` holds the reason."""
        answer = self._ask(question, **parameters)
        if isinstance(answer, Unknown):
            self.doubt(answer.reason)
            return ()
        return answer

    def doubt(self, reason: str) -> None:
        """Keep ``reason``, once."""
        if reason not in self.unknown:
            self.unknown.append(reason)


_HEX_DIGITS: typing.Final = r"-[0-9a-f]{7}"
"""What Pulumi's AWS provider appends to a name that the program does not fix."""
_NO_TAGS: typing.Final = "infra.tags is empty, so this stack's resources cannot be recognized"

Filters = list[dict[str, object]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scope:
    """The stack whose leftovers are searched."""

    settings: InfraSettings
    bucket: str | None
    """Name of the results bucket; None: a generated name."""
    keeps_bucket: bool
    """Whether the bucket is to stay when the stack is destroyed."""
    ending: str = ""
    """What ends the names of the stack's nodes, dashboard and alarms."""

    @property
    def region(self) -> str:
        """The region that everything lies in."""
        return self.settings.region

    @property
    def cluster_name(self) -> str:
        """The cluster's physical name."""
        return self.settings.physical_name

    @property
    def dashboard(self) -> str:
        """Name of the dashboard; the alarms' names begin with it."""
        return f"{self.cluster_name}{self.ending}"

    @property
    def makes_cluster(self) -> bool:
        """False if the cluster existed before and stays."""
        return self.settings.existing is None

    @property
    def makes_network(self) -> bool:
        """False if the VPC existed before and stays."""
        return self.makes_cluster and self.settings.network.existing is None

    def tag_filters(self, look: KindSearch) -> Filters | None:
        """Return EC2's filters for our tags; without tags None, and note the doubt."""
        if not self.settings.tags:
            look.doubt(_NO_TAGS)
            return None
        return filters({f"tag:{key}": value for key, value in self.settings.tags.items()})

    def owns(self, tags: collections.abc.Mapping[str, str], look: KindSearch) -> bool:
        """Return whether something with ``tags`` is ours; without tags of ours False, and note the doubt."""
        if not self.settings.tags:
            look.doubt(_NO_TAGS)
            return False
        return self.settings.tags.items() <= tags.items()

    def searches(self, look: KindSearch) -> list[Filters]:
        """Return the searches of EC2 that find what Karpenter, EKS, its drivers and the program launch.

        An existing cluster has nodes, volumes and interfaces of its own, with the same tags of cluster and drivers. In
        such a cluster only what this stack's node pool launched is ours. Names are never matched in part.
        """
        name = self.cluster_name
        if not self.makes_cluster:
            return [filters({"tag:eks:eks-cluster-name": name, "tag:karpenter.sh/nodepool": NODE_POOL + self.ending})]
        # Tags of Karpenter; managed node groups; the network plugin; the EBS driver and the controller of Services.
        keys = ("eks:eks-cluster-name", "eks:cluster-name", "aws:eks:cluster-name", "cluster.k8s.amazonaws.com/name")
        searches = [filters({f"tag:{key}": name}) for key in keys]
        searches += [filters({f"tag:kubernetes.io/cluster/{name}": "owned"}), filters({"tag:Name": f"{name}-system"})]
        of_stack = self.tag_filters(look)
        return searches if of_stack is None else [*searches, of_stack]

    def balances_for(self, tags: collections.abc.Mapping[str, str]) -> bool:
        """Return whether a load balancer with ``tags`` was made for a Service or Ingress of our cluster."""
        name = self.cluster_name
        return tags.get(f"kubernetes.io/cluster/{name}") == "owned" or tags.get("elbv2.k8s.aws/cluster") == name


def filters(wanted: collections.abc.Mapping[str, str]) -> Filters:
    """Return EC2's filters for ``wanted``, all of which must hold."""
    return [{"Name": name, "Values": [value]} for name, value in wanted.items()]


def is_made_of(physical: str, logical: str) -> bool:
    """Return whether Pulumi made the name ``physical`` from the program's ``logical`` one."""
    return re.fullmatch(re.escape(logical) + _HEX_DIGITS, physical) is not None


def distinct(entries: collections.abc.Iterable[typing.Any], key: str) -> list[typing.Any]:
    """Return each entry once, by its ``key``."""
    return list({entry[key]: entry for entry in entries}.values())


def searched(
    look: KindSearch, question: Question, key: str, searches: collections.abc.Iterable[Filters], **parameters: object
) -> list[typing.Any]:
    """Return what any of ``searches`` finds, each once by its ``key``."""
    return distinct((each for search in searches for each in look(question, Filters=search, **parameters)), key)
