"""The fake engine itself: it refuses what it does not know, and keeps runs apart."""

import pulumi
import pulumi_aws as aws
import pytest

from tests.fakes_pulumi import record


def test_unknown_resources_are_refused() -> None:
    """A type that nobody listed fails the run by name, instead of being answered with a guess."""

    def program() -> None:
        aws.efs.FileSystemPolicy("policy", file_system_id="fs-0", policy="{}")

    with pytest.raises(LookupError, match=r"known to make: aws:efs/fileSystemPolicy:FileSystemPolicy \(policy\)$"):
        record(program)


def test_unknown_questions_are_refused() -> None:
    """A question that nobody listed fails the run."""
    with pytest.raises(LookupError, match=r"^aws:index/getAvailabilityZones:getAvailabilityZones is not a question"):
        record(aws.get_availability_zones)


def test_dependencies_are_kept() -> None:
    """What mocks are not told is in the recording: dependencies by option and by property, parents, timeouts."""

    def program() -> None:
        one = aws.ec2.Vpc("one", cidr_block="10.0.0.0/16")
        two = aws.sqs.Queue("two", opts=pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(delete="9m")))
        opts = pulumi.ResourceOptions(depends_on=[two])
        aws.ec2.Subnet("three", vpc_id=one.id, cidr_block="10.0.0.0/24", opts=opts)

    recording = record(program)
    urns = {each.name: each.urn for each in recording.resources}

    assert recording.one("Subnet three").depends_on == {urns["one"], urns["two"]}
    assert recording.must_outlive()[urns["three"]] == {urns["one"], urns["two"]}
    assert recording.one("Queue two").delete_timeout == "9m"


def test_runs_do_not_mix() -> None:
    """The second run knows nothing of the first, outputs included."""

    def first() -> None:
        aws.sqs.Queue("first")
        pulumi.export("first", 1)

    def second() -> None:
        aws.sqs.Queue("second")
        pulumi.export("second", 2)

    runs = [record(first), record(second)]

    assert [[each.name for each in run.resources] for run in runs] == [["first"], ["second"]]
    assert [run.outputs for run in runs] == [{"first": 1}, {"second": 2}]
