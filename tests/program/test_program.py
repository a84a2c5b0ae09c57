"""The real program with every stack file: what it makes, what it asks, and that asking twice changes nothing."""

import collections
import functools
import json
import pathlib
import time
import typing

import pytest

from optimal_tp.errors import SettingsError
from tests.fakes_pulumi import CALLS, Recorded, Recording, recorded, run_main
from tests.fakes_stack_files import STACK_FILES, stack_config

HOUSE = "optimal-tp:infra:"
EXPERIMENT = ("optimal-tp:workloads:", "::experiment")
"""Parts of the URNs of rows 9 to 11, which have tests of their own."""
ONE_EACH = (
    *("Vpc", "DefaultSecurityGroup", "InternetGateway", "VpcEndpoint", "SecurityGroup", "SecurityGroupIngressRule"),
    *("Key", "Cluster", "OpenIdConnectProvider", "NodeGroup", "LaunchTemplate", "kubernetes"),
    *("InstanceProfile", "PodIdentityAssociation", "Queue", "QueuePolicy"),
    *("FileSystem", "AccessPoint", "EC2NodeClass", "NodePool"),
)
EXPECTED = {
    "Pulumi.dev.yaml": {
        "zones": 2,
        "NatGateway": 1,
        "FlowLog": 0,
        "NodeOverlay": 0,
        "AccessPolicyAssociation": 0,
    },
    "Pulumi.sample.yaml": {
        "zones": 2,
        "NatGateway": 1,
        "FlowLog": 0,
        "NodeOverlay": 0,
        "AccessPolicyAssociation": 0,
    },
    "Pulumi.prod.yaml": {
        "zones": 3,
        "NatGateway": 3,
        "FlowLog": 1,
        "NodeOverlay": 1,
        "AccessPolicyAssociation": 1,
    },
}


def rows_1_to_8(recording: Recording) -> list[Recorded]:
    """Return what stands below the experiment."""
    return [each for each in recording.resources if not any(part in each.urn for part in EXPERIMENT)]


@pytest.fixture(scope="module", params=STACK_FILES)
def stack(request: pytest.FixtureRequest) -> tuple[str, Recording]:
    """One run of the program for each stack file."""
    file: str = request.param
    return file, recorded(file)


def test_resources_of_a_stack(stack: tuple[str, Recording]) -> None:
    """Each stack makes what its file asks for: so many of each kind, and nothing else."""
    file, recording = stack
    expected = EXPECTED[file]
    zones, flow_logs = expected["zones"], expected["FlowLog"]
    counted = collections.Counter(
        resource.key.split(" ")[0] for resource in rows_1_to_8(recording) if not resource.type.startswith(HOUSE)
    )

    assert counted == +collections.Counter(
        {
            **dict.fromkeys(ONE_EACH, 1),
            **{key: value for key, value in expected.items() if key != "zones"},
            "Subnet": 2 * zones,
            "RouteTable": 1 + zones,
            "RouteTableAssociation": 2 * zones,
            "Route": 1 + zones,
            "Eip": expected["NatGateway"],
            "RolePolicy": flow_logs,
            "LogGroup": 1 + flow_logs,
            "Role": 4 + flow_logs,
            "RolePolicyAttachment": 4 + 1 + 4 + 6,
            "Policy": 6,
            "Addon": 5,
            "AccessEntry": 1 + expected["AccessPolicyAssociation"],
            "EventRule": 5,
            "EventTarget": 5,
            "Release": 3,
            "MountTarget": zones,
        }
    )


def test_every_resource_has_an_owner(stack: tuple[str, Recording]) -> None:
    """Every child stands under the component that makes it, in its URN as well."""
    _, recording = stack
    components = {each.urn: each.type for each in recording.resources if each.type.startswith("optimal-tp:")}
    # The namespace of the experiment belongs to no part of it.
    children = [each for each in recording.resources if each.urn not in components and each.name != "experiment"]

    assert {child.urn.split("::")[2] for child in children} == {
        f"{components[child.parent]}${child.type}" for child in children
    }


def test_names_are_identities(stack: tuple[str, Recording]) -> None:
    """No two resources share a URN, and none is named by an id, an account or a version."""
    _, recording = stack
    urns = [resource.urn for resource in recording.resources]

    assert len(set(urns)) == len(urns)
    assert not [urn for urn in urns if urn.endswith("-id") or "111122223333" in urn or "1.35" in urn]


def test_kubernetes_objects_go_to_our_cluster(stack: tuple[str, Recording]) -> None:
    """Every Kubernetes object is made through the one provider, which knows its cluster by ARN."""
    _, recording = stack
    provider = recording.one("kubernetes cluster-kubernetes")
    objects = [resource for resource in recording.resources if resource.type.startswith("kubernetes:")]

    assert {resource.provider.rsplit("::", maxsplit=1)[0] for resource in objects} == {provider.urn}
    assert provider.inputs["clusterIdentifier"].endswith(f":cluster/{recording.outputs['cluster_name']}")


def test_questions_of_a_preview(stack: tuple[str, Recording]) -> None:
    """A preview asks AWS for its partition and its account, once each."""
    _, recording = stack

    # Who runs `up` is held against the clusters that there are only where the settings may end it half-way.
    assert sorted(recording.calls) == sorted({*CALLS} - {"aws:eks/getClusters:getClusters"})


def test_control_plane(stack: tuple[str, Recording]) -> None:
    """The control plane is open to named networks, keeps its logs, and stays in standard support."""
    file, recording = stack
    is_prod = file == "Pulumi.prod.yaml"
    inputs = recording.one("Cluster cluster-control-plane").inputs
    kept = {
        key: inputs.get(key)
        for key in ("endpointPrivateAccess", "endpointPublicAccess", "publicAccessCidrs", "deletionProtection")
    }

    assert kept == {
        "endpointPrivateAccess": True,
        "endpointPublicAccess": True,
        "publicAccessCidrs": ["203.0.113.0/24"],
        "deletionProtection": is_prod,
    }
    assert inputs["upgradePolicy"] == {"supportType": "STANDARD"}
    assert inputs["encryptionConfigKeyArn"].startswith("arn:aws:kms:")
    assert inputs["authenticationMode"] == "API"


def test_component_does_nothing_behind_our_back(stack: tuple[str, Recording]) -> None:
    """The cluster component makes no nodes, groups, add-ons or OIDC provider of its own."""
    _, recording = stack
    inputs = recording.one("Cluster cluster-control-plane").inputs
    switches = ("skipDefaultNodeGroup", "skipDefaultSecurityGroups", "useDefaultVpcCni", "createOidcProvider")

    assert [inputs[key] for key in switches] == [True, True, True, False]
    assert inputs["bootstrapSelfManagedAddons"] is False
    assert [inputs[key]["enabled"] for key in ("kubeProxyAddonOptions", "corednsAddonOptions")] == [False, False]


def test_disks_are_encrypted(stack: tuple[str, Recording]) -> None:
    """Every volume and the file system are encrypted, and volumes go with their instance."""
    _, recording = stack
    system = recording.one("LaunchTemplate cluster-nodes").inputs["blockDeviceMappings"][0]["ebs"]
    neuron = recording.one("EC2NodeClass pool-class").inputs["spec"]["blockDeviceMappings"][0]["ebs"]

    assert (system["encrypted"], system["deleteOnTermination"]) == ("true", "true")
    assert (neuron["encrypted"], neuron["deleteOnTermination"]) == (True, True)
    assert recording.one("FileSystem storage-files").inputs["encrypted"] is True


def test_our_tags_are_everywhere(stack: tuple[str, Recording]) -> None:
    """Every AWS resource that takes tags has ours; so has what Karpenter and the node group launch."""
    file, recording = stack
    ours = stack_config(file)["optimal-tp:infra"]["tags"]
    untagged = (
        *("EventTarget", "MountTarget", "QueuePolicy", "Route", "RouteTableAssociation", "RolePolicy"),
        *("RolePolicyAttachment", "AccessPolicyAssociation", "Dashboard", "BucketLifecycleConfiguration"),
        *("BucketPolicy", "BucketPublicAccessBlock", "BucketServerSideEncryptionConfiguration", "BucketVersioning"),
    )
    tagged = [
        resource
        for resource in recording.resources
        if resource.type.startswith("aws:") and resource.key.split(" ")[0] not in untagged
    ]
    launched = [each["tags"] for each in recording.one("LaunchTemplate cluster-nodes").inputs["tagSpecifications"]]
    node_class = recording.one("EC2NodeClass pool-class").inputs["spec"]["tags"]

    assert [resource.key for resource in tagged if not ours.items() <= resource.inputs.get("tags", {}).items()] == []
    assert all(ours.items() <= tags.items() for tags in [*launched, node_class])


@functools.cache
def again(file: str) -> tuple[Recording, float]:
    """Return another run of the program with a stack file, and its seconds of processor time."""
    start = time.process_time()
    recording = run_main(stack_config(file), stack=file.split(".")[1])
    return recording, time.process_time() - start


@pytest.mark.parametrize("file", STACK_FILES)
def test_a_second_run_plans_nothing(file: str) -> None:
    """Two runs register the same inputs, dependencies and options: nothing random, nothing of the clock."""
    first, (second, _) = recorded(file), again(file)

    assert {each.urn: each for each in first.resources} == {each.urn: each for each in second.resources}
    assert first.outputs == second.outputs


@pytest.mark.parametrize("file", STACK_FILES)
def test_a_run_is_quick(file: str) -> None:
    """A run under mocks takes under three seconds of processor time (measured 2026-11: 0.5)."""
    _, seconds = again(file)

    assert seconds < 3


def test_outputs(stack: tuple[str, Recording]) -> None:
    """The stack says what a person and the workloads need."""
    _, recording = stack

    assert set(recording.outputs) >= {
        *("access_point_id", "cluster_name", "file_system_id", "kubeconfig_command", "node_pool_name"),
        *("oidc_provider_arn", "region"),
    }
    assert recording.outputs["node_pool_name"] == "neuron-trn-2"


def test_wrong_region_is_refused() -> None:
    """A stack whose AWS calls would go elsewhere than its zones is refused before the first of them."""
    config = {**stack_config("Pulumi.dev.yaml"), "aws:region": "us-east-1"}

    with pytest.raises(SettingsError) as refused:
        run_main(config)

    assert str(refused.value) == (
        "Pulumi.dev.yaml aws:region: must be the region of infra.zones (ap-southeast-4) (got 'us-east-1')"
    )


def test_a_conflicting_pair_is_refused_before_anything_is_made() -> None:
    """An AMI whose driver the image cannot use ends the preview with the reason."""
    config = stack_config("Pulumi.dev.yaml")
    config["optimal-tp:infra"]["neuron"] |= {"pair": "neuronx-0.9.1", "ami_release": "v20260903"}

    with pytest.raises(SettingsError, match=r"its driver 2\.30\.2\.0 wants a runtime of 2\.33 or newer"):
        run_main(config)


def test_existing_network_is_left_alone() -> None:
    """With a VPC that is there already no network resource is made, and its subnets are used."""
    config = stack_config("Pulumi.dev.yaml")
    subnets = {"ap-southeast-4c": "subnet-0c", "ap-southeast-4a": "subnet-0a"}
    config["optimal-tp:infra"]["network"] = {"existing": {"vpc_id": "vpc-0123", "private_subnet_ids": subnets}}
    recording = run_main(config)
    node_class = recording.one("EC2NodeClass pool-class").inputs["spec"]

    assert [resource.key for resource in recording.resources if resource.name.startswith("network")] == []
    assert node_class["subnetSelectorTerms"] == [{"id": "subnet-0c"}]
    assert recording.one("NodeGroup cluster-nodes").inputs["subnetIds"] == ["subnet-0c", "subnet-0a"]


def test_releases_are_pinned_and_atomic(stack: tuple[str, Recording]) -> None:
    """Each chart has an exact version, waits for what it installs, and cleans up after a failure."""
    _, recording = stack
    releases = recording.of_type(":Release")

    assert {release.inputs["chart"].rsplit("/", maxsplit=1)[-1]: release.inputs["version"] for release in releases} == {
        "karpenter": "1.14.1",
        "karpenter-crd": "1.14.1",
        "neuron-helm-chart": "1.10.0",
    }
    assert all(release.inputs["atomic"] and release.inputs["timeout"] == 600 for release in releases)


def test_helm_deletes_no_definition(stack: tuple[str, Recording]) -> None:
    """Karpenter's definitions carry Helm's policy to keep them: each would take its node pools or classes along."""
    _, recording = stack

    assert recording.one("Release karpenter-crds").inputs["values"] == {
        "additionalAnnotations": {"helm.sh/resource-policy": "keep"}
    }


def test_karpenter_is_told_the_queue_and_the_gates(stack: tuple[str, Recording]) -> None:
    """The controller reads our queue, and NodeOverlay is on exactly when a price is told."""
    file, recording = stack
    settings = recording.one("Release karpenter-controller").inputs["values"]["settings"]

    assert settings["interruptionQueue"] == "karpenter-interruptions-1a2b3c4"
    assert settings["featureGates"] == {"reservedCapacity": True, "nodeOverlay": file == "Pulumi.prod.yaml"}


def test_events_are_the_five_of_karpenter(stack: tuple[str, Recording]) -> None:
    """The queue hears of every event that takes a node away."""
    _, recording = stack
    patterns = [json.loads(rule.inputs["eventPattern"]) for rule in recording.of_type(":EventRule")]

    assert sorted(pattern["detail-type"][0] for pattern in patterns) == [
        "AWS Health Event",
        "EC2 Capacity Reservation Instance Interruption Warning",
        "EC2 Instance Rebalance Recommendation",
        "EC2 Instance State-change Notification",
        "EC2 Spot Instance Interruption Warning",
    ]


def changed_infra(**changes: object) -> dict[str, typing.Any]:
    """Return the dev stack with other keys of ``infra``."""
    config = stack_config("Pulumi.dev.yaml")
    config["optimal-tp:infra"] |= changes
    return config


@pytest.mark.parametrize("file", ["Pulumi.dev.yaml", "Pulumi.prod.yaml"])
def test_a_boundary_bounds_every_role(file: str) -> None:
    """Those of the workloads too, and the control plane's, which the cluster component would make without one."""
    bound = "arn:aws:iam::111122223333:policy/bound"
    config = stack_config(file)
    config["optimal-tp:infra"]["permissions_boundary_arn"] = bound
    config["optimal-tp:serving"] = {**config["optimal-tp:serving"], "model_source": "s3://mine/models"}
    recording = run_main(config)
    roles = recording.of_type("iam/role:Role")
    plane = recording.one("Cluster cluster-control-plane")

    assert {role.name: role.inputs.get("permissionsBoundary") for role in roles} == dict.fromkeys(
        (role.name for role in roles), bound
    )
    assert {"cluster-control-plane", "artifacts-fetch-role", "loadgen-role"} <= {role.name for role in roles}
    assert plane.inputs["serviceRole"] == recording.one("Role cluster-control-plane").urn
    # A cluster whose role has lost its policy cannot be deleted.
    policy = recording.one("RolePolicyAttachment cluster-control-plane-AmazonEKSClusterPolicy")
    assert policy.urn in plane.depends_on


def test_without_a_boundary_the_component_makes_its_role(stack: tuple[str, Recording]) -> None:
    """No role of ours takes its place, and none is bounded."""
    _, recording = stack

    assert [role.name for role in recording.of_type("iam/role:Role") if role.name == "cluster-control-plane"] == []
    assert {role.inputs.get("permissionsBoundary") for role in recording.of_type("iam/role:Role")} == {None}


def test_the_stacks_profile_reaches_the_cluster_too() -> None:
    """The AWS provider reads it by itself; kubeconfig and the command that is told would ask somebody else."""
    recording = run_main({**stack_config("Pulumi.dev.yaml"), "aws:profile": "work"})
    kubeconfig = recording.one("kubernetes cluster-kubernetes").inputs["kubeconfig"]

    assert json.loads(kubeconfig)["profile"] == {"profileName": "work"}
    assert recording.outputs["kubeconfig_command"].endswith(" --name optimal-tp-dev --profile work")


def test_who_asks_is_not_said_in_a_way_that_nobody_follows() -> None:
    """The kubeconfig cannot take a role with its session from the provider's settings."""
    config = {**stack_config("Pulumi.dev.yaml"), "aws:assumeRoles": [{"roleArn": "arn:aws:iam::1:role/x"}]}

    with pytest.raises(SettingsError) as refused:
        run_main(config)

    assert str(refused.value) == (
        "Pulumi.dev.yaml aws:assumeRoles: must be absent: the program reads AWS credentials from a profile; "
        "put it into a profile of ~/.aws/config (role_arn and source_profile for a role) and set "
        "aws:profile to it"
    )


def test_a_misspelt_section_is_refused() -> None:
    """Limits that nobody reads would be no limits."""
    with pytest.raises(
        SettingsError, match=r"optimal-tp:loadTest: must be one of .*; did you mean optimal-tp:loadtest\?$"
    ):
        run_main({**stack_config("Pulumi.dev.yaml"), "optimal-tp:loadTest": {"pods": 2}})


def test_a_section_outside_config_is_refused(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pulumi does not tell the program of it, so the program looks into the file."""
    (tmp_path / "Pulumi.dev.yaml").write_text("config: {}\noptimal-tp:workloads: {}\n", encoding="utf-8")
    monkeypatch.setattr("pulumi.get_root_directory", lambda: str(tmp_path))
    with pytest.raises(SettingsError, match=r"^Pulumi\.dev\.yaml:2 optimal-tp:workloads: must be under config:"):
        run_main(stack_config("Pulumi.dev.yaml"))


CLOSED = (
    "Pulumi.dev.yaml infra.control_plane.public_access_cidrs: must name a network at the first `up`: this `up` "
    "creates the VPC, so nobody is inside it yet (got []); name the networks you work from and remove them once you "
    "reach the VPC in another way, or use an existing VPC (infra.network.existing)"
)
ENTERED = (
    "Pulumi.dev.yaml infra.control_plane.admin_role_arns[0]: must not be the role that creates the cluster: EKS gives "
    "it access and refuses a second entry (got 'arn:aws:iam::111122223333:role/team/builder'); remove it; that role "
    "already administers the cluster"
)


@pytest.mark.parametrize(
    ("plane", "sentence"),
    [
        ({"public_access_cidrs": []}, CLOSED),
        (
            {
                "public_access_cidrs": ["198.18.0.0/24"],
                "admin_role_arns": ["arn:aws:iam::111122223333:role/team/builder"],
            },
            ENTERED,
        ),
    ],
    ids=["private", "own role"],
)
def test_what_ends_a_first_up_half_way_ends_its_preview(plane: dict[str, object], sentence: str) -> None:
    """With both remedies; once the cluster is there, the same settings may hold and nothing is refused."""
    with pytest.raises(SettingsError) as refused:
        run_main(changed_infra(control_plane=plane))
    later = run_main(changed_infra(control_plane=plane, cluster_name="there-already"))

    assert str(refused.value) == sentence
    assert later.one("Cluster cluster-control-plane").inputs["name"] == "there-already"
