"""Whether the account has room for a cluster and its network: what is asked of AWS. Pure."""

import typing

from optimal_tp.account import questions
from optimal_tp.account.preflight import limits
from optimal_tp.account.preflight.context import Scene
from optimal_tp.account.preflight.limits import Quota, count, others
from optimal_tp.account.preflight.rows import Row
from optimal_tp.account.questions import Answer, Unknown
from optimal_tp.settings import sizing

_ALIVE: typing.Final = [{"Name": "state", "Values": ["pending", "available", "deleting"]}]
"""NAT gateways that count against the quota (Service Quotas, description of L-FE5A380F)."""


def allowed(scene: Scene, quota: Quota) -> Answer:
    """Return the quota of the account, AWS's default where it has none of its own."""
    own = scene.ask(questions.QUOTA, ServiceCode=quota.service, QuotaCode=quota.code)
    if isinstance(own, Unknown) or own:
        return own
    return scene.ask(questions.DEFAULT_QUOTA, ServiceCode=quota.service, QuotaCode=quota.code)


def rows(scene: Scene) -> list[Row]:
    """Return a row for each kind of thing of which an account may have so many; ours are told by name and tags."""
    settings, ask = scene.settings, scene.ask
    clusters = ask(questions.CLUSTERS)
    if not isinstance(clusters, Unknown):
        clusters = tuple(name for name in clusters if name != settings.cluster_name)
    found = [_room(scene, limits.CLUSTERS, count(clusters), 1)]
    if settings.network.existing is not None:
        return found
    gateways = sizing.nat_gateways(settings)
    zones = settings.zones if settings.network.nat_gateways == "per-zone" else settings.zones[:1]
    nat = others(ask(questions.NAT_GATEWAYS, Filters=_ALIVE), settings.tags)
    used = {
        limits.VPCS: count(others(ask(questions.VPCS), settings.tags)),
        limits.INTERNET_GATEWAYS: count(others(ask(questions.INTERNET_GATEWAYS), settings.tags)),
    }
    found += [_room(scene, quota, in_use, 1) for quota, in_use in used.items()]
    addresses = others(ask(questions.ADDRESSES), settings.tags)
    found.append(_room(scene, limits.ADDRESSES, count(addresses), gateways))
    most = limits.most_in_a_zone(nat, ask(questions.SUBNETS), zones)
    return [*found, _room(scene, limits.NAT_GATEWAYS, most, 1)]


def _room(scene: Scene, quota: Quota, used: int | Unknown, needed: int) -> Row:
    return limits.room(quota, allowed(scene, quota), used, needed, region=scene.settings.region)
