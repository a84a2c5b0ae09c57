"""Resources beside the cluster: dashboard, alarms, Karpenter's queue and its rules, the key of the secrets."""

import collections.abc
import json
import typing

from optimal_tp.account.changes import ChangingCall, call
from optimal_tp.account.leftovers import questions
from optimal_tp.account.leftovers.kinds import Kind, Leftover
from optimal_tp.account.leftovers.monthly_prices import (
    ALARM_METRIC,
    DASHBOARD,
    FREE_ALARM_METRICS,
    FREE_DASHBOARD_METRICS,
    FREE_DASHBOARDS,
    KEY,
    MonthlyPrice,
)
from optimal_tp.account.leftovers.scope import KindSearch, Scope, is_made_of
from optimal_tp.account.questions import pairs
from optimal_tp.facts import names

_QUEUE: typing.Final = "karpenter-interruptions"
_RULE: typing.Final = "karpenter-"
RULES: typing.Final = ("health", "spot", "rebalance", "state", "reservation")
"""The last word of each rule's logical name."""


def _dashboards(scope: Scope, look: KindSearch) -> list[Leftover]:
    boards = [each["DashboardName"] for each in look(questions.DASHBOARDS)]
    return [_dashboard(name, len(boards), look) for name in boards if name == scope.dashboard]


def _dashboard(name: str, boards: int, look: KindSearch) -> Leftover:
    """Return the dashboard; the account's first three are free, of 50 metrics each."""
    bodies = look(questions.DASHBOARD, DashboardName=name)
    is_free: bool | None = False
    if boards <= FREE_DASHBOARDS:
        is_free = _metrics(bodies[0]) <= FREE_DASHBOARD_METRICS if bodies else None
    return Leftover(
        kind="dashboard",
        name=name,
        bills=None if is_free is None else not is_free,
        price=DASHBOARD,
        steps=(call("cloudwatch", "delete_dashboards", DashboardNames=[name]),),
    )


def _metrics(body: str) -> int:
    """Return how many metrics a dashboard draws; rows with an expression compute from those."""
    rows = [row for widget in json.loads(body).get("widgets", ()) for row in _rows(widget)]
    return sum(1 for row in rows if not (row and isinstance(row[-1], dict) and "expression" in row[-1]))


def _rows(widget: collections.abc.Mapping[str, typing.Any]) -> list[typing.Any]:
    return list(widget.get("properties", {}).get("metrics", ()))


def _composite_alarms(scope: Scope, look: KindSearch) -> list[Leftover]:
    found = look(questions.COMPOSITE_ALARMS, AlarmTypes=["CompositeAlarm"])
    return [
        _alarm("composite alarm", each["AlarmName"], bills=True, price=None)
        for each in found
        if names.is_alarm(scope.dashboard, each["AlarmName"])
    ]


def _alarms(scope: Scope, look: KindSearch) -> list[Leftover]:
    """Return the alarms. An account's first ten metrics are free, over all regions, of which only one is searched."""
    found = look(questions.ALARMS, AlarmTypes=["MetricAlarm"])
    watched = sum(_watched(each) for each in found)
    return [
        _alarm(
            "alarm",
            each["AlarmName"],
            bills=True if watched > FREE_ALARM_METRICS else None,
            price=ALARM_METRIC.times(_watched(each)),
        )
        for each in found
        if names.is_alarm(scope.dashboard, each["AlarmName"])
    ]


def _watched(alarm: collections.abc.Mapping[str, typing.Any]) -> int:
    return sum(1 for query in alarm.get("Metrics", ()) if "MetricStat" in query) or 1


def _alarm(kind: str, name: str, *, bills: bool | None, price: MonthlyPrice | None) -> Leftover:
    step = call("cloudwatch", "delete_alarms", AlarmNames=[name])
    return Leftover(kind=kind, name=name, bills=bills, price=price, steps=(step,))


def _queues(scope: Scope, look: KindSearch) -> list[Leftover]:
    if not scope.makes_cluster:
        return []
    urls = [
        url
        for url in look(questions.QUEUES, QueueNamePrefix=f"{_QUEUE}-")
        if is_made_of(url.rsplit("/", maxsplit=1)[-1], _QUEUE)
    ]
    tagged = [(url, look(questions.QUEUE_TAGS, QueueUrl=url)) for url in urls]
    return [
        # It bills by message.
        Leftover(
            kind="queue",
            name=url,
            steps=(call("sqs", "delete_queue", QueueUrl=url),),
        )
        for url, told in tagged
        if scope.owns(told[0] if told else {}, look)
    ]


def _rules(scope: Scope, look: KindSearch) -> list[Leftover]:
    if not scope.makes_cluster:
        return []
    named = [
        each
        for each in look(questions.RULES, NamePrefix=_RULE)
        if any(is_made_of(each["Name"], f"{_RULE}{word}") for word in RULES)
    ]
    ours = [
        each["Name"] for each in named if scope.owns(pairs(look(questions.RULE_TAGS, ResourceARN=each["Arn"])), look)
    ]
    return [
        Leftover(kind="event rule", name=name, steps=_rule_steps(name, look(questions.TARGETS, Rule=name)))
        for name in ours
    ]


def _rule_steps(name: str, targets: collections.abc.Sequence[typing.Any]) -> tuple[ChangingCall, ...]:
    last = call("events", "delete_rule", Name=name)
    if not targets:
        return (last,)
    ids = [target["Id"] for target in targets]
    return (call("events", "remove_targets", Rule=name, Ids=ids), last)


def _own_keys(scope: Scope, look: KindSearch) -> list[typing.Any]:
    """Return our keys, except those waiting for deletion: they are free, and the wait cannot be shortened."""
    if not scope.makes_cluster or scope.tag_filters(look) is None:
        return []
    wanted = [{"Key": key, "Values": [value]} for key, value in scope.settings.tags.items()]
    tagged = look(questions.TAGGED, ResourceTypeFilters=["kms:key"], TagFilters=wanted)
    found = [key for each in tagged for key in look(questions.KEY, KeyId=each["ResourceARN"])]
    return [each for each in found if each["KeyState"] not in ("PendingDeletion", "PendingReplicaDeletion")]


def _aliases(scope: Scope, look: KindSearch) -> list[Leftover]:
    found = [each for key in _own_keys(scope, look) for each in look(questions.ALIASES, KeyId=key["KeyId"])]
    return [
        Leftover(
            kind="key alias",
            name=each["AliasName"],
            steps=(call("kms", "delete_alias", AliasName=each["AliasName"]),),
        )
        for each in found
    ]


def _keys(scope: Scope, look: KindSearch) -> list[Leftover]:
    days = scope.settings.control_plane.key_deletion_days
    return [
        Leftover(
            kind="key",
            name=each["KeyId"],
            bills=True,
            price=KEY,
            steps=(call("kms", "schedule_key_deletion", KeyId=each["KeyId"], PendingWindowInDays=days),),
        )
        for each in _own_keys(scope, look)
    ]


SERVICES: typing.Final = (
    Kind(
        name="dashboard",
        look=_dashboards,
        asks=(questions.DASHBOARDS, questions.DASHBOARD),
        rights=("cloudwatch:DeleteDashboards",),
    ),
    # AWS refuses to delete an alarm that a composite alarm uses.
    Kind(
        name="composite alarm",
        look=_composite_alarms,
        asks=(questions.COMPOSITE_ALARMS,),
        rights=("cloudwatch:DeleteAlarms",),
    ),
    Kind(name="alarm", look=_alarms, asks=(questions.ALARMS,), rights=("cloudwatch:DeleteAlarms",)),
    Kind(
        name="event rule",
        look=_rules,
        asks=(questions.RULES, questions.RULE_TAGS, questions.TARGETS),
        rights=("events:DeleteRule", "events:RemoveTargets"),
    ),
    Kind(
        name="queue",
        look=_queues,
        asks=(questions.QUEUES, questions.QUEUE_TAGS),
        rights=("sqs:DeleteQueue",),
    ),
    Kind(
        name="key alias",
        look=_aliases,
        asks=(questions.TAGGED, questions.KEY, questions.ALIASES),
        rights=("kms:DeleteAlias",),
    ),
    Kind(name="key", look=_keys, asks=(questions.TAGGED, questions.KEY), rights=("kms:ScheduleKeyDeletion",)),
)
