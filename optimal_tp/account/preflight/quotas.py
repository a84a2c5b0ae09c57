"""Check that the account's quotas have room for a cluster and its network. Pure."""

import collections
import collections.abc
import dataclasses
import re
import typing

from optimal_tp.account import questions
from optimal_tp.account.preflight.context import Scene
from optimal_tp.account.preflight.rows import Row, judged, unknown
from optimal_tp.account.questions import Answer, Unknown, tags_of
from optimal_tp.settings import sizing


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quota:
    """A quota of Service Quotas. ``counts`` names the counted resources, in the plural."""

    counts: str
    service: str
    code: str

    def request(self, region: str) -> str:
        """Return the command that asks for more, with the new value left open."""
        return (
            f"aws service-quotas request-service-quota-increase --region {region} --service-code {self.service} "
            f"--quota-code {self.code} --desired-value N"
        )


# Codes of the Service Quotas console, from public scripts that use them (2026-11-24); not read from AWS itself.
TRN_ON_DEMAND = Quota(counts="vCPUs of on-demand Trn", service="ec2", code="L-2C3B7624")
TRN_SPOT = Quota(counts="vCPUs of spot Trn", service="ec2", code="L-6B0D517C")
STANDARD = Quota(counts="vCPUs of on-demand standard instances", service="ec2", code="L-1216C47A")
CLUSTERS = Quota(counts="EKS clusters", service="eks", code="L-1194D53C")
VPCS = Quota(counts="VPCs", service="vpc", code="L-F678F1CE")
INTERNET_GATEWAYS = Quota(counts="internet gateways", service="vpc", code="L-A4707A72")
ADDRESSES = Quota(counts="Elastic IPs", service="ec2", code="L-0263D0A3")
NAT_GATEWAYS = Quota(counts="NAT gateways in a zone", service="vpc", code="L-FE5A380F")

TRN: typing.Final = frozenset({"trn"})
STANDARD_FAMILIES: typing.Final = frozenset({"a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z"})
"""Families in the standard quota (EC2 user guide, "On-Demand Instance quotas"): the letters before the generation."""


def room(quota: Quota, allowed: Answer, used: int | Unknown, needed: int, *, region: str, hint: str = "") -> Row:
    """Compare ``allowed`` with what others use and the stack needs; ``hint`` is a remedy other than a higher quota.

    A quota that is below the stack's own need is wrong even if nothing is in use.
    """
    check, required = f"room for {quota.counts}", f"{needed} more ({quota.code})"
    if isinstance(allowed, Unknown):
        return unknown(check, allowed.reason, required)
    if not allowed:
        return unknown(check, f"Service Quotas does not know {quota.code} here", required)
    value = float(allowed[0]["Value"])
    enough = value >= needed
    if enough and isinstance(used, Unknown):
        return unknown(check, used.reason, required)
    others = 0 if isinstance(used, Unknown) else used
    enough = value >= others + needed
    count = "not asked" if isinstance(used, Unknown) else str(others)
    remedy = f"{hint or 'free some of it'} or request more: {quota.request(region)}"
    return judged(check, f"quota {value:g}, in use {count}", required, remedy, is_right=enough)


def vcpus_in_use(
    instances: Answer, families: collections.abc.Container[str], *, spot: bool, except_cluster: str
) -> int | Unknown:
    """Return the vCPUs of pending and running ``instances`` of ``families``, those of ``except_cluster`` left out.

    Instances of Capacity Blocks count against no quota (EC2 user guide, "Capacity Blocks").
    """
    if isinstance(instances, Unknown):
        return instances
    counted = 0
    for entry in instances:
        lifecycle = entry.get("InstanceLifecycle", "on-demand")
        is_counted = family(entry["InstanceType"]) in families and lifecycle == ("spot" if spot else "on-demand")
        if is_counted and not of_cluster(entry, except_cluster):
            counted += int(entry["CpuOptions"]["CoreCount"]) * int(entry["CpuOptions"]["ThreadsPerCore"])
    return counted


def instances(answer: Answer) -> Answer:
    """Return the instances inside the reservations that DescribeInstances answers with."""
    if isinstance(answer, Unknown):
        return answer
    return tuple(instance for reservation in answer for instance in reservation["Instances"])


def family(instance_type: str) -> str:
    """Return the letters before the generation: "m" of m7i.large, "trn" of trn2.3xlarge."""
    return typing.cast("re.Match[str]", re.match(r"[a-z]*", instance_type))[0]


def of_cluster(instance: typing.Any, cluster: str) -> bool:  # noqa: ANN401 - as AWS answers
    """Return whether Karpenter or a managed node group launched ``instance`` for ``cluster``."""
    tags = tags_of(instance)
    return cluster in (tags.get("eks:eks-cluster-name"), tags.get("eks:cluster-name"))


def others(answer: Answer, tags: collections.abc.Mapping[str, str]) -> Answer:
    """Leave out resources with all of the stack's ``tags``, made by an earlier ``up``. Without tags all count."""
    if isinstance(answer, Unknown) or not tags:
        return answer
    return tuple(entry for entry in answer if not tags.items() <= tags_of(entry).items())


def count(answer: Answer) -> int | Unknown:
    """Return the number of resources in ``answer``."""
    return answer if isinstance(answer, Unknown) else len(answer)


def most_in_a_zone(gateways: Answer, subnets: Answer, zones: collections.abc.Collection[str]) -> int | Unknown:
    """Return the largest number of NAT gateways in one of ``zones``; a gateway's subnet gives its zone."""
    if isinstance(gateways, Unknown):
        return gateways
    if isinstance(subnets, Unknown):
        return subnets
    zone_of = {entry["SubnetId"]: entry["AvailabilityZone"] for entry in subnets}
    counted = collections.Counter(zone_of.get(entry.get("SubnetId")) for entry in gateways)
    return max(counted[zone] for zone in zones)


_ALIVE: typing.Final = [{"Name": "state", "Values": ["pending", "available", "deleting"]}]
"""NAT gateways that count against the quota (Service Quotas, description of L-FE5A380F)."""


def allowed(scene: Scene, quota: Quota) -> Answer:
    """Return the account's quota, or AWS's default if the account has none of its own."""
    own = scene.ask(questions.QUOTA, ServiceCode=quota.service, QuotaCode=quota.code)
    if isinstance(own, Unknown) or own:
        return own
    return scene.ask(questions.DEFAULT_QUOTA, ServiceCode=quota.service, QuotaCode=quota.code)


def rows(scene: Scene) -> list[Row]:
    """Return a row for each quota; the stack's own resources, known by name and tags, do not count."""
    settings, ask = scene.settings, scene.ask
    clusters = ask(questions.CLUSTERS)
    if not isinstance(clusters, Unknown):
        clusters = tuple(name for name in clusters if name != settings.cluster_name)
    found = [_room(scene, CLUSTERS, count(clusters), 1)]
    if settings.network.existing is not None:
        return found
    gateways = sizing.nat_gateways(settings)
    zones = settings.zones if settings.network.nat_gateways == "per-zone" else settings.zones[:1]
    nat = others(ask(questions.NAT_GATEWAYS, Filters=_ALIVE), settings.tags)
    used = {
        VPCS: count(others(ask(questions.VPCS), settings.tags)),
        INTERNET_GATEWAYS: count(others(ask(questions.INTERNET_GATEWAYS), settings.tags)),
    }
    found += [_room(scene, quota, in_use, 1) for quota, in_use in used.items()]
    addresses = others(ask(questions.ADDRESSES), settings.tags)
    found.append(_room(scene, ADDRESSES, count(addresses), gateways))
    most = most_in_a_zone(nat, ask(questions.SUBNETS), zones)
    return [*found, _room(scene, NAT_GATEWAYS, most, 1)]


def _room(scene: Scene, quota: Quota, used: int | Unknown, needed: int) -> Row:
    return room(quota, allowed(scene, quota), used, needed, region=scene.settings.region)
