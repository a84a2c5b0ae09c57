"""Check that the fixed names of the program's resources are free. Pure."""

import collections.abc
import typing

from optimal_tp.account import questions
from optimal_tp.account.changes import ChangingCall, call
from optimal_tp.account.preflight.context import ExperimentNeeds, Scene
from optimal_tp.account.preflight.rows import Row, unknown
from optimal_tp.account.questions import Answer, Unknown
from optimal_tp.facts import names
from optimal_tp.facts.names import SelfNamed
from optimal_tp.settings.infra import InfraSettings

_OTHER_CLUSTER: typing.Final = "choose another infra.cluster_name"
_OTHER_NAMESPACE: typing.Final = "choose another serving.namespace, which gives nodes, dashboard and alarms other names"
_OVERWRITES: typing.Final = {"dashboard": "; `up` overwrites it", "alarm": "; `up` overwrites them"}
"""CloudWatch replaces existing dashboards and alarms without a warning."""


def self_named(settings: InfraSettings, experiment: ExperimentNeeds) -> list[SelfNamed]:
    """Return every resource of the account to which the program gives a fixed name."""
    cluster = settings.physical_name
    found = [SelfNamed(kind="dashboard", name=experiment.dashboard)]
    if settings.existing is None:
        group = names.control_plane_log_group(cluster)
        found = [SelfNamed(kind="cluster", name=cluster), SelfNamed(kind="log group", name=group), *found]
    found += [SelfNamed(kind="alarm", name=alarm) for alarm in experiment.alarms]
    if experiment.bucket is not None:
        found.append(SelfNamed(kind="bucket", name=experiment.bucket))
    return found


def rows(scene: Scene) -> list[Row]:
    """Return a row for each kind of resource with a fixed name."""
    wanted: dict[str, list[str]] = {}
    for each in self_named(scene.settings, scene.experiment):
        wanted.setdefault(each.kind, []).append(each.name)
    return [_row(scene, kind, found, _looked(kind, found, scene)) for kind, found in wanted.items()]


def _looked(kind: str, wanted: list[str], scene: Scene) -> Answer:
    """Return the names in ``wanted`` that are taken; AWS answers with every name that begins like one of them."""
    name = wanted[0]
    if kind == "cluster":
        return _of("name", wanted, scene.ask(questions.CLUSTER, name=name))
    if kind == "log group":
        return _of("logGroupName", wanted, scene.ask(questions.LOG_GROUPS, logGroupNamePrefix=name))
    if kind == "dashboard":
        return _of("DashboardName", wanted, scene.ask(questions.DASHBOARDS, DashboardNamePrefix=name))
    if kind == "bucket":
        there = scene.ask(questions.BUCKET, Bucket=name)
        return there if isinstance(there, Unknown) or not there else (name,)
    prefix = f"{scene.experiment.dashboard}-"
    plain = scene.ask(questions.ALARMS, AlarmNamePrefix=prefix, AlarmTypes=["MetricAlarm"])
    composite = scene.ask(questions.COMPOSITE_ALARMS, AlarmNamePrefix=prefix, AlarmTypes=["CompositeAlarm"])
    if isinstance(plain, Unknown) or isinstance(composite, Unknown):
        return plain if isinstance(plain, Unknown) else composite
    return _of("AlarmName", wanted, (*plain, *composite))


def _of(key: str, wanted: collections.abc.Collection[str], answer: Answer) -> Answer:
    return answer if isinstance(answer, Unknown) else tuple(str(each[key]) for each in answer if each[key] in wanted)


def _removal(kind: str, taken: tuple[str, ...]) -> ChangingCall:
    """Return the step that removes a leftover; never for a bucket, which may hold a deleted stack's results."""
    if kind == "cluster":
        return call("eks", "delete_cluster", name=taken[0])
    if kind == "log group":
        return call("logs", "delete_log_group", logGroupName=taken[0])
    if kind == "dashboard":
        return call("cloudwatch", "delete_dashboards", DashboardNames=list(taken))
    return call("cloudwatch", "delete_alarms", AlarmNames=list(taken))


def _row(scene: Scene, kind: str, wanted: list[str], taken: Answer) -> Row:
    """Say whether the names are free; this stack, one of its leftovers, or somebody else may hold them."""
    check = f"name of the {kind}" if len(wanted) == 1 else f"names of {kind}s"
    required = f"{', '.join(wanted)} not taken, unless by this stack"
    if isinstance(taken, Unknown):
        return unknown(check, taken.reason, required)
    if not taken:
        return Row(check=check, state="fine", found="free", required=required)
    if kind == "bucket":
        remedy = "choose another loadtest.results.bucket or remove it to get a generated name"
    else:
        command = _removal(kind, taken).command(scene.settings.region) + _OVERWRITES.get(kind, "")
        other = _OTHER_CLUSTER if scene.settings.existing is None else _OTHER_NAMESPACE
        remedy = f"if it is a leftover: {command}; if somebody uses it: {other}"
    return Row(check=check, state="warning", found=f"taken: {', '.join(taken)}", required=required, remedy=remedy)
