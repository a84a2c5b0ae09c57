"""Names and images that the program makes are those that preflight looks for: told by walking what it records."""

import collections.abc
import re
import typing

import pytest

from optimal_tp.account.preflight.images import charts, images
from optimal_tp.account.preflight.taken import self_named
from optimal_tp.cli.preflight import experiment
from optimal_tp.facts.names import SelfNamed, alarms
from optimal_tp.plan.stack import compose
from optimal_tp.settings.stack_keys import PROJECT, SECTIONS
from tests.fakes_candidates import TP1, TP2, TP4
from tests.fakes_pulumi import Recorded, Recording, recorded
from tests.fakes_stack_files import stack_config
from tests.fakes_workloads import FAMILY, changed, on_existing, program

NAME_INPUTS: typing.Final = {
    "eks:index:Cluster": ("cluster", "name"),
    "aws:cloudwatch/logGroup:LogGroup": ("log group", "name"),
    "aws:cloudwatch/dashboard:Dashboard": ("dashboard", "dashboardName"),
    "aws:cloudwatch/metricAlarm:MetricAlarm": ("alarm", "name"),
    "aws:cloudwatch/compositeAlarm:CompositeAlarm": ("alarm", "alarmName"),
    "aws:s3/bucket:Bucket": ("bucket", "bucket"),
}
"""Where a thing of the account has its own name, and how preflight calls the thing."""
NOT_OF_THE_ACCOUNT: typing.Final = {
    # Of the cluster, which has its own row.
    "aws:eks/addon:Addon": {"clusterName", "addonName"},
    "aws:eks/nodeGroup:NodeGroup": {"clusterName", "nodeGroupName"},
    "aws:eks/accessEntry:AccessEntry": {"clusterName"},
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": {"clusterName"},
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": {"clusterName"},
    # Of the role that it stands in.
    "aws:iam/rolePolicy:RolePolicy": {"name"},
    # Of a service of AWS, a metric, an attachment.
    "aws:ec2/vpcEndpoint:VpcEndpoint": {"serviceName"},
    "aws:cloudwatch/metricAlarm:MetricAlarm": {"metricName"},
}
"""Inputs that end in a name and give none to a thing of the account."""
_NAMING = re.compile(r"^(name|bucket|identifier|url|.*(Name|NamePrefix|Identifier))$")
_SUFFIX = re.compile(r"-1a2b3c4$|-id$")
"""What the recorder puts for a name that the engine, or AWS, makes up."""


def named(recording: Recording) -> set[SelfNamed]:
    """Return every thing of AWS in ``recording`` under a name of ours. Fails at a name that nobody here knows."""
    found, strange = set[SelfNamed](), []
    for each in recording.resources:
        if not each.type.startswith(("aws:", "eks:")):
            continue
        kind, key = NAME_INPUTS.get(each.type, ("", ""))
        for name, value in each.inputs.items():
            if not _NAMING.match(name) or name in NOT_OF_THE_ACCOUNT.get(each.type, ()) or not isinstance(value, str):
                continue
            if name == key:
                found.add(SelfNamed(kind=kind, name=value))  # type: ignore[arg-type]
            elif not _is_made_up(each, name, value):
                strange.append(f"{each.key}: {name} is {value}")
    assert strange == []
    return found


def _is_made_up(resource: Recorded, name: str, value: str) -> bool:
    """Return whether ``value`` is another resource's own made-up name, or its address."""
    return bool(_SUFFIX.search(value)) or (resource.type.endswith("OpenIdConnectProvider") and name == "url")


def looked_for(config: dict[str, typing.Any], file: str) -> set[SelfNamed]:
    """Return what preflight looks for in a stack with ``config``."""
    sections = {section: config.get(f"{PROJECT}:{section}") for section in SECTIONS}
    stack = compose(sections, config["aws:region"], file=file)
    return set(self_named(stack.infra, experiment(stack)))


@pytest.mark.parametrize("file", ["Pulumi.dev.yaml", "Pulumi.prod.yaml"])
def test_every_name_of_ours_is_looked_for(file: str) -> None:
    """Whatever the stack names itself has a row, and nothing else has."""
    assert named(recorded(file)) == looked_for(stack_config(file), file)


CHANGES: typing.Final[dict[str, dict[str, typing.Any]]] = {
    "an endless probe": {"spend__keep_running": True},
    "a bucket by name": {"loadtest__results__bucket": "results-of-ours"},
    "an endless sweep": {"workloads__models": list(FAMILY), "spend__keep_running": True, "spend__budget_usd": 500},
    "flow logs": {"infra__network__flow_log_days": 7},
}


@pytest.mark.parametrize("name", CHANGES)
def test_names_of_other_settings_are_looked_for_too(name: str) -> None:
    """Alarms of silence, of each model of a sweep, and the bucket come and go with the settings."""
    found = named(program("Pulumi.dev.yaml", **CHANGES[name]))

    assert found == looked_for(changed("Pulumi.dev.yaml", **CHANGES[name]), "Pulumi.dev.yaml")


def test_on_a_cluster_that_is_there_dashboard_and_alarms_are_looked_for() -> None:
    """They carry the cluster's name, which is not ours to give."""
    assert {(each.kind, each.name) for each in named(on_existing())} == {
        ("dashboard", "theirs"),
        *(("alarm", name) for name in alarms("theirs", {"": (TP1, TP2, TP4)}, for_ever=False)),
    }


def _pulled(value: object) -> collections.abc.Iterator[str]:
    """Yield every image in ``value``, and every repository of a chart's values, with its tag where it has one."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "image" and isinstance(inner, str):
                yield inner
            elif key == "repository" and isinstance(inner, str):
                yield f"{inner}:{value.get('tag', '')}"
            else:
                yield from _pulled(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _pulled(inner)


@pytest.mark.parametrize("file", ["Pulumi.dev.yaml", "Pulumi.prod.yaml"])
def test_every_image_and_chart_is_asked_for(file: str) -> None:
    """What pods and charts are told to pull has a row; a tag that only the chart knows is pinned beside the chart."""
    config = stack_config(file)
    sections = {section: config.get(f"{PROJECT}:{section}") for section in SECTIONS}
    stack = compose(sections, config["aws:region"], file=file)
    asked = set(images(stack.infra, experiment(stack)).values())
    pulled = {image for each in recorded(file).resources for image in _pulled(each.inputs)}
    whole = {image for image in pulled if not image.endswith(":")}

    assert whole <= asked
    assert {image.rsplit(":", 1)[0] for image in pulled} == {image.rsplit(":", 1)[0] for image in asked}
    assert {(each.inputs["chart"], each.inputs["version"]) for each in recorded(file).of_type("v3:Release")} == {
        (chart.reference(stack.infra.registries.charts), chart.version) for chart in charts(stack.infra).values()
    }
