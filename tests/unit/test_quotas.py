"""Quotas against what is in use and what is needed."""

import typing

import pytest

from optimal_tp.account.preflight import quotas
from optimal_tp.account.preflight.quotas import VPCS, count, family, most_in_a_zone, others, room, vcpus_in_use
from optimal_tp.account.questions import Answer, Unknown

DENIED = Unknown(reason="no right")


@pytest.mark.parametrize(
    ("allowed", "used", "state"),
    [
        (({"Value": 5.0},), 4, "fine"),
        (({"Value": 5.0},), 5, "wrong"),
        (({"Value": 0.0},), DENIED, "wrong"),
        (({"Value": 5.0},), DENIED, "unknown"),
        (DENIED, 0, "unknown"),
        ((), 0, "unknown"),
    ],
    ids=["just enough", "one short", "short whatever is used", "use unknown", "quota unknown", "no such quota"],
)
def test_room_is_quota_less_use(allowed: Answer, used: int | Unknown, state: str) -> None:
    """One more is needed; a quota below the need is wrong whatever is in use, else what nobody knows is unknown."""
    assert room(VPCS, allowed, used, 1, region="us-east-2").state == state


def test_the_remedy_has_the_command() -> None:
    """It can be copied; only the new value is left to say."""
    row = room(VPCS, ({"Value": 5.0},), 5, 1, region="us-east-2", hint="remove one")

    assert row.found == "quota 5, in use 5"
    assert row.remedy == (
        "remove one or request more: aws service-quotas request-service-quota-increase --region us-east-2 "
        "--service-code vpc --quota-code L-F678F1CE --desired-value N"
    )


def _instance(kind: str, cores: int, *, cluster: str = "", lifecycle: str = "") -> dict[str, typing.Any]:
    tags = [{"Key": "eks:cluster-name", "Value": cluster}] if cluster else []
    life = {"InstanceLifecycle": lifecycle} if lifecycle else {}
    return {"InstanceType": kind, "CpuOptions": {"CoreCount": cores, "ThreadsPerCore": 2}, "Tags": tags, **life}


def test_vcpus_of_others_are_counted_by_family_and_lifecycle() -> None:
    """Ours are left out, and so is what a Capacity Block runs, which counts against no quota."""
    alive = (
        _instance("trn2.3xlarge", 6),
        _instance("trn1.2xlarge", 4, lifecycle="spot"),
        _instance("trn2.48xlarge", 96, lifecycle="capacity-block"),
        _instance("trn2.3xlarge", 6, cluster="ours"),
        _instance("m7i.large", 1),
        _instance("im4gn.large", 1),
        _instance("inf2.xlarge", 2),
    )

    assert vcpus_in_use(alive, quotas.TRN, spot=False, except_cluster="ours") == 12
    assert vcpus_in_use(alive, quotas.TRN, spot=True, except_cluster="ours") == 8
    assert vcpus_in_use(alive, quotas.STANDARD_FAMILIES, spot=False, except_cluster="ours") == 4
    assert vcpus_in_use(DENIED, quotas.TRN, spot=False, except_cluster="ours") == DENIED


@pytest.mark.parametrize(("kind", "letters"), [("m7i.large", "m"), ("trn2.3xlarge", "trn"), ("u-6tb1.metal", "u")])
def test_a_family_is_the_letters_before_the_generation(kind: str, letters: str) -> None:
    """That is how quotas group instance types."""
    assert family(kind) == letters


def test_what_carries_all_tags_of_the_stack_is_its_own() -> None:
    """One tag alone is not enough; without tags nothing is ours; unknown stays unknown."""
    ours = {"Tags": [{"Key": "project", "Value": "p"}, {"Key": "stack", "Value": "s"}]}
    half = {"Tags": [{"Key": "project", "Value": "p"}]}
    found: Answer = (ours, half, {})

    assert others(found, {"project": "p", "stack": "s"}) == (half, {})
    assert others(found, {}) == found
    assert others(DENIED, {"project": "p"}) == DENIED
    assert (count(found), count(DENIED)) == (3, DENIED)


def test_nat_gateways_are_counted_in_the_zone_that_has_most() -> None:
    """The quota is a zone's; a gateway in a zone of no use to us does not count."""
    subnets = tuple({"SubnetId": f"s{zone}", "AvailabilityZone": zone} for zone in "abc")
    gateways = tuple({"SubnetId": f"s{zone}"} for zone in "aabccc")

    assert most_in_a_zone(gateways, subnets, ["a", "b"]) == 2
    assert most_in_a_zone((), subnets, ["a"]) == 0
    assert most_in_a_zone(DENIED, subnets, ["a"]) == DENIED
    assert most_in_a_zone(gateways, DENIED, ["a"]) == DENIED
