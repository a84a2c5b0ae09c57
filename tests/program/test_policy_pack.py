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


PLANE, ENCRYPTION = "cluster-control-plane Cluster", "encryptionConfigKeyArn"
BLOCK, POOL = "results-public BucketPublicAccessBlock", "pool-nodes NodePool/spec"
EVERYBODY = json.dumps({"Statement": [{"Sid": "All", "Action": "s3:GetObject", "Resource": "*"}]})


PODS = "spec.template.spec"
PINNED = "must name its image by digest or by the tag of one release"
NO_NETWORKS = "must name the networks of its public endpoint, or AWS admits the whole internet"
BROKEN: dict[str, tuple[str, tuple[tuple[str, object, str], ...]]] = {
    "required-tags": (
        ", by which bills and leftovers are found",
        (
            ("results-bucket Bucket/tags", None, "must have the tags project, stack"),
            ("storage-files FileSystem/tags", {"project": "optimal-tp"}, "must have the tags stack"),
            ("pool-class EC2NodeClass/spec.tags", {}, "must have the tags project, stack"),
        ),
    ),
    "closed-endpoint": (
        "",
        (
            (
                f"{PLANE}/publicAccessCidrs",
                ["1.1.1.0/24", "0.0.0.0/0"],
                "must not admit the whole internet (got 0.0.0.0/0)",
            ),
            (f"{PLANE}/publicAccessCidrs", ["::/0"], "must not admit the whole internet (got ::/0)"),
            (f"{PLANE}/publicAccessCidrs", [], NO_NETWORKS),
            (f"{PLANE}/publicAccessCidrs", None, NO_NETWORKS),
        ),
    ),
    "encryption": (
        "",
        (
            (
                "storage-files FileSystem/encrypted",
                False,
                "encrypted must be true: it encrypts files at rest (got false)",
            ),
            ("storage-files FileSystem/encrypted", None, "encrypted must be true: it encrypts files at rest (not set)"),
            (
                "cluster-secrets Key/enableKeyRotation",
                False,
                "enableKeyRotation must be true: it rotates the key (got false)",
            ),
            (
                "karpenter-interruptions Queue/sqsManagedSseEnabled",
                False,
                "sqsManagedSseEnabled must be true: it encrypts messages at rest (got false)",
            ),
            (
                "cluster-nodes LaunchTemplate/blockDeviceMappings.0.ebs.encrypted",
                "false",
                'disk 0 must be encrypted (got "false")',
            ),
            (
                "pool-class EC2NodeClass/spec.blockDeviceMappings.0.ebs.encrypted",
                None,
                "disk 0 must be encrypted (not set)",
            ),
            (f"{PLANE}/{ENCRYPTION}", None, f"{ENCRYPTION} must be set, to encrypt Kubernetes secrets (not set)"),
            (f"{PLANE}/{ENCRYPTION}", "", f'{ENCRYPTION} must be set, to encrypt Kubernetes secrets (got "")'),
        ),
    ),
    "whole-access-block": (
        "",
        (
            (
                f"{BLOCK}/restrictPublicBuckets",
                False,
                "restrictPublicBuckets must be true, to block public access all four ways (got false)",
            ),
            (
                f"{BLOCK}/blockPublicAcls",
                None,
                "blockPublicAcls must be true, to block public access all four ways (not set)",
            ),
        ),
    ),
    "explained-wildcards": (
        "",
        (("loadgen-rights RolePolicy/policy", EVERYBODY, "statement All must name its resources (got *)"),),
    ),
    "pinned-images": (
        "",
        (
            (f"tp1-pods Deployment/{PODS}.containers.0.image", "a/vllm:latest", f"{PINNED} (got a/vllm:latest)"),
            (f"tp1-pods Deployment/{PODS}.containers.0.image", "a/vllm", f"{PINNED} (got a/vllm)"),
            (f"artifacts-fetch Job/{PODS}.containers.0.image", "a/python:3.11", f"{PINNED} (got a/python:3.11)"),
            (f"loadgen-pods Deployment/{PODS}.initContainers.0.image", "python", f"{PINNED} (got python)"),
        ),
    ),
    "pinned-charts": (
        "",
        (
            ("neuron-chart Release/version", ">=1.10.0", "must have one exact version of its chart (got '>=1.10.0')"),
            ("neuron-chart Release/version", None, "must have one exact version of its chart (got '')"),
        ),
    ),
    "bounded-pools": (
        "",
        (
            (f"{POOL}.limits", None, "must limit the nodes or chips that it launches (got limits {})"),
            (
                f"{POOL}.limits",
                {"cpu": "1"},
                'must limit the nodes or chips that it launches (got limits {"cpu": "1"})',
            ),
            (
                f"{POOL}.template.spec.terminationGracePeriod",
                None,
                "must have a terminationGracePeriod; without it a stuck pod keeps a node billed",
            ),
            (
                f"{POOL}.template.spec.requirements",
                [],
                "must pin an instance type; otherwise Karpenter may launch the largest",
            ),
        ),
    ),
    "inside-services": (
        "",
        (
            (
                "tp1-address Service/spec.type",
                "NodePort",
                "must be a ClusterIP, because servers have no authentication (got NodePort)",
            ),
            (
                "tp1-address Service/spec.type",
                "LoadBalancer",
                "must be a ClusterIP, because servers have no authentication (got LoadBalancer)",
            ),
        ),
    ),
}
"""By rule: what all its sentences end with; resource and path, the value there, and what is told of it."""


@pytest.mark.parametrize(
    ("rule", "where", "value", "told"),
    [(rule, where, value, told + end) for rule, (end, rows) in BROKEN.items() for where, value, told in rows],
)
def test_a_broken_rule_is_told(rule: str, where: str, value: object, told: str) -> None:
    """One change that a rule forbids breaks that rule and no other; the sentence names the resource and the rule."""
    name, path = where.split(" ")

    assert broken(changed(name, path, value)) == {rule: [f"{name}: {told}"]}


def test_an_open_statement_is_told() -> None:
    """Everything for anybody is told three times, and an allowance of all but a list is told too."""
    wide = {"Sid": "All", "Action": "s3:*", "Resource": "*", "Principal": "*"}
    policy = json.dumps({"Statement": [wide, {"Sid": "Rest", "NotAction": "iam:*", "Resource": "arn:a"}]})

    assert broken(changed("loadgen-rights", "RolePolicy/policy", policy))["explained-wildcards"] == [
        "loadgen-rights: statement All must name its resources (got *)",
        "loadgen-rights: statement All must name its actions (got a wildcard)",
        "loadgen-rights: statement All must name its principals (got *)",
        "loadgen-rights: statement Rest must not have NotAction, which allows all the rest",
    ]


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
        (PRIVATE, "results-bucket: must have a public access block beside it"),
        (
            "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
            "results-bucket: must have encryption of its own beside it",
        ),
        (
            "aws:s3/bucketPolicy:BucketPolicy",
            f"results-bucket: must have a {PLAIN} beside it",
        ),
    ],
)
def test_a_bare_bucket_is_told(kind: str, words: str) -> None:
    """A bucket without what protects it breaks a rule of the whole stack."""
    bare = [each for each in resources(PROGRAMS["one-each"]()) if each.type != kind]

    assert broken(bare) == {"private-buckets": [words]}


UNPAID = "must have a namespace with optimal-tp/budget-usd above 0, because it asks for Neuron cores"


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
        "must have a CronJob that guards the deadline, because it asks for Neuron cores"
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
        "results-bucket: must have the tags cost-centre, by which bills and leftovers are found"
        in (found["required-tags"])
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
