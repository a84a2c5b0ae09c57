"""The policy pack's rules over every run of the program, and over stacks that break them one by one."""

import dataclasses
import json
import typing

import pytest
from cloud_rules import UNTAGGED
from rulebook import Options, Resource
from rules import RESOURCE_RULES, STACK_RULES

from tests.fakes_pulumi import Recording
from tests.fakes_schemas import whole
from tests.fakes_workloads import PROGRAMS, program

RULES = {rule.name: rule for rule in (*RESOURCE_RULES, *STACK_RULES)}
PLAIN = "policy that refuses plain HTTP"
PRIVATE = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"


def resources(recording: Recording) -> list[Resource]:
    """Return the recorded resources as the engine hands them to the pack."""
    return [
        Resource(
            type=each.type, name=each.name, properties=whole(each.inputs), depends_on=each.depends_on, urn=each.urn
        )
        for each in recording.resources
    ]


def broken(found: list[Resource], options: Options = Options()) -> dict[str, list[str]]:  # noqa: B008 - frozen
    """Return the sentences of every rule that ``found`` breaks, by rule."""
    sentences = {
        rule.name: [sentence for resource in found for sentence in rule.check(resource, options)]
        for rule in RESOURCE_RULES
    }
    sentences |= {rule.name: list(rule.check(found, options)) for rule in STACK_RULES}
    return {name: told for name, told in sentences.items() if told}


def changed(name: str, path: str, value: typing.Any) -> list[Resource]:
    """Return the first stack with ``path`` of one resource set, or taken away for ``None``."""
    found = []
    for each in resources(PROGRAMS["one-each"]()):
        if each.name == name and each.type.rsplit(":", maxsplit=1)[-1] == path.split("/", maxsplit=1)[0]:
            properties = json.loads(json.dumps(each.properties))
            *above, last = path.split("/", maxsplit=1)[1].split(".")
            place = properties
            for part in above:
                place = place[int(part)] if isinstance(place, list) else place[part]
            if value is None:
                del place[last]
            else:
                place[last] = value
            each = dataclasses.replace(each, properties=properties)  # noqa: PLW2901 - the changed one goes in its place
        found.append(each)
    return found


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_program_keeps_every_rule(name: str) -> None:
    """Every stack file and layout passes the pack that users may run over it."""
    assert broken(resources(PROGRAMS[name]())) == {}


EVERYBODY = json.dumps({"Statement": [{"Sid": "All", "Action": "s3:GetObject", "Resource": "*"}]})


@pytest.mark.parametrize(
    ("rule", "name", "path", "value"),
    [
        ("required-tags", "results-bucket", "Bucket/tags", None),
        ("required-tags", "storage-files", "FileSystem/tags", {"project": "optimal-tp"}),
        ("required-tags", "pool-class", "EC2NodeClass/spec.tags", {}),
        ("closed-endpoint", "cluster-control-plane", "Cluster/publicAccessCidrs", ["198.51.100.0/24", "0.0.0.0/0"]),
        ("closed-endpoint", "cluster-control-plane", "Cluster/publicAccessCidrs", ["::/0"]),
        ("closed-endpoint", "cluster-control-plane", "Cluster/publicAccessCidrs", []),
        ("closed-endpoint", "cluster-control-plane", "Cluster/publicAccessCidrs", None),
        ("encryption", "storage-files", "FileSystem/encrypted", False),
        ("encryption", "storage-files", "FileSystem/encrypted", None),
        ("encryption", "cluster-secrets", "Key/enableKeyRotation", False),
        ("encryption", "karpenter-interruptions", "Queue/sqsManagedSseEnabled", False),
        ("encryption", "cluster-nodes", "LaunchTemplate/blockDeviceMappings.0.ebs.encrypted", "false"),
        ("encryption", "pool-class", "EC2NodeClass/spec.blockDeviceMappings.0.ebs.encrypted", None),
        ("encryption", "cluster-control-plane", "Cluster/encryptionConfigKeyArn", None),
        ("encryption", "cluster-control-plane", "Cluster/encryptionConfigKeyArn", ""),
        ("whole-access-block", "results-public", "BucketPublicAccessBlock/restrictPublicBuckets", False),
        ("whole-access-block", "results-public", "BucketPublicAccessBlock/blockPublicAcls", None),
        ("explained-wildcards", "loadgen-rights", "RolePolicy/policy", EVERYBODY),
        ("pinned-images", "tp1-pods", "Deployment/spec.template.spec.containers.0.image", "example.org/vllm:latest"),
        ("pinned-images", "tp1-pods", "Deployment/spec.template.spec.containers.0.image", "example.org/vllm"),
        ("pinned-images", "artifacts-fetch", "Job/spec.template.spec.containers.0.image", "example.org/python:3.11"),
        ("pinned-images", "loadgen-pods", "Deployment/spec.template.spec.initContainers.0.image", "python"),
        ("pinned-charts", "neuron-chart", "Release/version", ">=1.10.0"),
        ("pinned-charts", "neuron-chart", "Release/version", None),
        ("bounded-pools", "pool-nodes", "NodePool/spec.limits", None),
        ("bounded-pools", "pool-nodes", "NodePool/spec.limits", {"cpu": "10000"}),
        ("bounded-pools", "pool-nodes", "NodePool/spec.template.spec.terminationGracePeriod", None),
        ("bounded-pools", "pool-nodes", "NodePool/spec.template.spec.requirements", []),
        ("inside-services", "tp1-address", "Service/spec.type", "NodePort"),
        ("inside-services", "tp1-address", "Service/spec.type", "LoadBalancer"),
    ],
)
def test_a_broken_rule_is_told(rule: str, name: str, path: str, value: object) -> None:
    """One change that a rule forbids breaks that rule and no other, and the sentence names the resource."""
    found = broken(changed(name, path, value))

    assert list(found) == [rule]
    assert len(found[rule]) == 1
    assert found[rule][0].startswith(name)


@pytest.mark.parametrize("path", ["Deployment/spec.template.spec.containers.0.image"])
@pytest.mark.parametrize(
    "image", [f"example.org/vllm@sha256:{'0' * 64}", "example.org:5000/vllm:0.9.1", "python:3.11.14-slim-bookworm"]
)
def test_an_image_by_pin_is_well(path: str, image: str) -> None:
    """A digest, or the tag of one release, names an image that does not move."""
    assert broken(changed("tp1-pods", path, image)) == {}


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (PRIVATE, "results-bucket has no public access block beside it; every bucket has a public access block"),
        (
            "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
            "results-bucket has no encryption of its own beside it; every bucket has encryption of its own",
        ),
        (
            "aws:s3/bucketPolicy:BucketPolicy",
            f"results-bucket has no {PLAIN} beside it; every bucket has a {PLAIN}",
        ),
    ],
)
def test_a_bare_bucket_is_told(kind: str, words: str) -> None:
    """A bucket without what protects it breaks a rule of the whole stack."""
    bare = [each for each in resources(PROGRAMS["one-each"]()) if each.type != kind]

    assert broken(bare) == {"private-buckets": [words]}


UNPAID = "asks for Neuron cores and no namespace carries optimal-tp/budget-usd with an amount above 0"


@pytest.mark.parametrize("annotations", [{}, {"optimal-tp/budget-usd": "0"}, {"optimal-tp/budget-usd": "much"}])
def test_spending_without_a_budget_is_told(annotations: dict[str, str]) -> None:
    """Neuron cores that nobody set a budget for break a rule of the whole stack."""
    found = broken(changed("experiment", "Namespace/metadata.annotations", annotations))

    assert list(found) == ["bounded-spending"]
    assert [sentence.split(" ", maxsplit=1)[1] for sentence in found["bounded-spending"]] == [UNPAID]


def test_spending_without_a_guard_is_told() -> None:
    """Neuron cores that nothing stops at the deadline break it too."""
    unguarded = [each for each in resources(PROGRAMS["one-each"]()) if not each.type.endswith(":CronJob")]

    assert [sentence.split(" ", maxsplit=1)[1] for sentence in broken(unguarded)["bounded-spending"]] == [
        "asks for Neuron cores and no CronJob guards the deadline"
    ]


def test_an_endless_probe_is_a_choice() -> None:
    """Whoever sets keep_running has chosen that nothing stops the servers; the budget is still named."""
    assert broken(resources(program(spend__keep_running=True))) == {}


def test_without_neuron_cores_nothing_is_asked() -> None:
    """A cluster alone needs neither budget nor guard."""
    cluster = [each for each in resources(PROGRAMS["one-each"]()) if "optimal-tp:infra:" in each.urn]

    assert cluster
    assert broken(cluster) == {}


def test_required_tags_are_an_option() -> None:
    """A company asks for its own tags."""
    found = broken(resources(PROGRAMS["one-each"]()), Options(required_tags=("project", "cost-centre")))

    assert list(found) == ["required-tags"]
    assert (
        "results-bucket lacks the tags cost-centre; bills and leftovers are found by them" in (found["required-tags"])
    )


def test_no_exemption_outlives_its_type() -> None:
    """Every type that is spared its tags is one that the program makes, and none of it has any."""
    made = [each for name in PROGRAMS for each in resources(PROGRAMS[name]()) if each.type in UNTAGGED]

    assert {each.type for each in made} == UNTAGGED
    assert not any("tags" in each.properties for each in made)


def test_rules_say_what_to_do() -> None:
    """Each rule has a name of its own, and says what it asks for and how to meet it."""
    assert len(RULES) == len(RESOURCE_RULES) + len(STACK_RULES)
    assert all(rule.description.endswith(".") and rule.remedy.endswith(".") for rule in RULES.values())
