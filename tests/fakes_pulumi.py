"""The Pulumi engine as tests see it: records what a program registers, and refuses what it does not know.

Unlike Pulumi's own mocks the recording keeps parents, dependencies, providers and delete timeouts.
"""

import asyncio
import collections.abc
import contextlib
import contextvars
import dataclasses
import functools
import gc
import hashlib
import json
import pathlib
import runpy
import typing

import pulumi
import pulumi.runtime
import pytest
from google.protobuf import struct_pb2
from pulumi.runtime import mocks, rpc, settings
from pulumi.runtime.proto import resource_pb2

from tests.fakes_stack_files import ACCOUNT, ROOT, stack_config

PROJECT = "optimal-tp"
CALLER = f"arn:aws:sts::{ACCOUNT}:assumed-role/builder/me"
CLUSTER = "eks:index:Cluster"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recorded:
    """One resource as the program registered it; ``depends_on`` is everything Pulumi sends, properties included."""

    urn: str
    type: str
    name: str
    custom: bool
    inputs: dict[str, typing.Any]
    parent: str
    depends_on: frozenset[str]
    inputs_from: frozenset[str]
    """What the inputs are outputs of, alone."""
    provider: str
    delete_timeout: str
    create_timeout: str
    retained: bool
    """True if destroy leaves it where it is."""
    ignored: tuple[str, ...]
    """Inputs whose changes Pulumi leaves alone."""
    protect: bool

    @property
    def key(self) -> str:
        """Short name for messages and selections: ``NodePool pool-nodes``."""
        return f"{self.type.rsplit(':', maxsplit=1)[-1]} {self.name}"


@dataclasses.dataclass(kw_only=True)
class Recording:
    """Everything that one run of a program asked of the engine."""

    resources: list[Recorded] = dataclasses.field(default_factory=list)
    calls: list[str] = dataclasses.field(default_factory=list)
    outputs: dict[str, typing.Any] = dataclasses.field(default_factory=dict)
    refused: list[str] = dataclasses.field(default_factory=list)

    def one(self, key: str) -> Recorded:
        """Return the resource with this ``key``; fails when there is none or more than one."""
        found = [resource for resource in self.resources if resource.key == key]
        if len(found) != 1:
            known = "\n  ".join(sorted(resource.key for resource in self.resources))
            raise LookupError(f"{len(found)} resources are {key!r}; recorded:\n  {known}")
        return found[0]

    def of_type(self, ending: str) -> list[Recorded]:
        """Return the resources whose type ends so (``iam/role:Role``)."""
        return [resource for resource in self.resources if resource.type.endswith(ending)]

    def must_outlive(self) -> dict[str, frozenset[str]]:
        """Return, for each URN, the URNs that the engine deletes only after it: dependencies, parents, providers."""
        direct = {
            each.urn: {*each.depends_on, each.parent, each.provider.rsplit("::", maxsplit=1)[0]}
            for each in self.resources
        }

        def reached(urn: str) -> frozenset[str]:
            found: set[str] = set()
            waiting = [urn]
            while waiting:
                near = direct[waiting.pop()] & direct.keys()
                waiting += near - found
                found |= near
            return frozenset(found)

        return {urn: reached(urn) for urn in direct}


class RecordingMonitor(mocks.MockMonitor):
    """Pulumi's mock monitor, keeping what the mocks themselves are not told."""

    def __init__(self, answers: "Answers", recording: Recording) -> None:
        super().__init__(answers)
        self.recording = recording

    def RegisterResource(self, request: typing.Any) -> resource_pb2.RegisterResourceResponse:  # noqa: N802 - gRPC's name
        """Record ``request`` and answer as the mock monitor does."""
        _name_resources(request.object)
        with _event_loop():
            response: resource_pb2.RegisterResourceResponse = super().RegisterResource(request)  # type: ignore[no-untyped-call]
        if request.type != "pulumi:pulumi:Stack":
            inputs_from = frozenset(urn for each in request.propertyDependencies.values() for urn in each.urns)
            self.recording.resources.append(
                Recorded(
                    urn=response.urn,
                    type=request.type,
                    name=request.name,
                    custom=request.custom,
                    inputs=pulumi.runtime.rpc.deserialize_properties(request.object),
                    parent=request.parent,
                    depends_on=frozenset(request.dependencies) | inputs_from,
                    inputs_from=inputs_from,
                    # A component only passes its providers on: it does not use one, so none must outlive it.
                    provider=request.provider if request.custom else "",
                    delete_timeout=request.customTimeouts.delete,
                    create_timeout=request.customTimeouts.create,
                    retained=request.retainOnDelete,
                    ignored=tuple(request.ignoreChanges),
                    protect=request.protect,
                )
            )
        return response

    def Invoke(self, request: typing.Any) -> resource_pb2.ResourceInvokeRequest:  # noqa: N802 - gRPC's name
        """Answer an invoke as the mock monitor does."""
        with _event_loop():
            response: resource_pb2.ResourceInvokeRequest = super().Invoke(request)  # type: ignore[no-untyped-call]
        return response


def _name_resources(inputs: struct_pb2.Struct) -> None:
    """Put its URN in the place of each resource that is an input: reading one back would ask the engine for it."""
    for value in inputs.fields.values():
        fields = value.struct_value.fields
        if rpc._special_sig_key in fields and fields[rpc._special_sig_key].string_value == rpc._special_resource_sig:
            value.string_value = fields["urn"].string_value


@contextlib.contextmanager
def _event_loop() -> collections.abc.Iterator[None]:
    """Give this thread an event loop and close it; Pulumi would make one and leave it open, which is a warning."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        yield
    finally:
        asyncio.set_event_loop(None)
        loop.close()


@contextlib.contextmanager
def _garbage_kept() -> collections.abc.Iterator[None]:
    """Leave garbage where it is: looking for it among the SDK's classes takes a third of a run."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


Outputs = collections.abc.Callable[[str, dict[str, typing.Any]], dict[str, typing.Any]]


def _arn(service: str, kind: str) -> Outputs:
    return lambda name, _: {"arn": f"arn:aws:{service}:ap-southeast-4:{ACCOUNT}:{kind}{name}"}


def _named(service: str, kind: str) -> Outputs:
    return lambda name, inputs: {
        "arn": f"arn:aws:{service}:ap-southeast-4:{ACCOUNT}:{kind}{inputs.get('name', name)}",
        "name": inputs.get("name", f"{name}-1a2b3c4"),
    }


def _global(kind: str) -> Outputs:
    return lambda name, _: {"arn": f"arn:aws:iam::{ACCOUNT}:{kind}/{name}-1a2b3c4", "name": f"{name}-1a2b3c4"}


def _nothing(_: str, __: dict[str, typing.Any]) -> dict[str, typing.Any]:
    return {}


def _bucket(name: str, inputs: dict[str, typing.Any]) -> dict[str, typing.Any]:
    bucket = inputs.get("bucket", f"{name}-1a2b3c4")
    return {"bucket": bucket, "arn": f"arn:aws:s3:::{bucket}"}


def _control_plane(_: str, inputs: dict[str, typing.Any]) -> dict[str, typing.Any]:
    issuer = "oidc.eks.ap-southeast-4.amazonaws.com/id/0123456789ABCDEF0123456789ABCDEF"
    return {
        "clusterSecurityGroupId": "sg-0aaaaaaaaaaaaaaaa",
        "kubeconfigJson": json.dumps({"clusters": [{"name": inputs["name"]}]}),
        "kubeconfig": {"clusters": [{"name": inputs["name"]}], "profile": inputs.get("providerCredentialOpts")},
        "oidcIssuer": issuer,
        "oidcProviderUrl": f"https://{issuer}",
    }


RESOURCES: dict[str, Outputs] = {
    "aws:cloudwatch/eventRule:EventRule": _named("events", "rule/"),
    "aws:cloudwatch/eventTarget:EventTarget": _nothing,
    "aws:cloudwatch/logGroup:LogGroup": _named("logs", "log-group:"),
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": _nothing,
    "aws:ec2/eip:Eip": _nothing,
    "aws:ec2/flowLog:FlowLog": _nothing,
    "aws:ec2/internetGateway:InternetGateway": _nothing,
    "aws:ec2/launchTemplate:LaunchTemplate": lambda _, __: {"latestVersion": 1},
    "aws:ec2/natGateway:NatGateway": _nothing,
    "aws:ec2/route:Route": _nothing,
    "aws:ec2/routeTable:RouteTable": _nothing,
    "aws:ec2/routeTableAssociation:RouteTableAssociation": _nothing,
    "aws:ec2/securityGroup:SecurityGroup": _nothing,
    "aws:ec2/subnet:Subnet": _nothing,
    "aws:ec2/vpc:Vpc": _nothing,
    "aws:ec2/vpcEndpoint:VpcEndpoint": _nothing,
    "aws:efs/accessPoint:AccessPoint": _nothing,
    "aws:efs/fileSystem:FileSystem": _nothing,
    "aws:efs/mountTarget:MountTarget": _nothing,
    "aws:eks/accessEntry:AccessEntry": _nothing,
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": _nothing,
    "aws:eks/addon:Addon": _nothing,
    "aws:eks/nodeGroup:NodeGroup": _nothing,
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": _nothing,
    "aws:iam/instanceProfile:InstanceProfile": _global("instance-profile"),
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": lambda _, inputs: {
        "arn": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{inputs['url'].removeprefix('https://')}"
    },
    "aws:iam/policy:Policy": _global("policy"),
    "aws:iam/role:Role": _global("role"),
    "aws:iam/rolePolicy:RolePolicy": _nothing,
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": _nothing,
    "aws:kms/key:Key": _arn("kms", "key/"),
    "aws:sqs/queue:Queue": lambda name, inputs: {
        **_named("sqs", "")(name, inputs),
        "url": f"https://sqs.ap-southeast-4.amazonaws.com/{ACCOUNT}/{name}",
    },
    "aws:sqs/queuePolicy:QueuePolicy": _nothing,
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _nothing,
    CLUSTER: _control_plane,
    "kubernetes:helm.sh/v3:Release": _nothing,
    "kubernetes:karpenter.k8s.aws/v1:EC2NodeClass": _nothing,
    "kubernetes:karpenter.sh/v1:NodePool": _nothing,
    "kubernetes:karpenter.sh/v1alpha1:NodeOverlay": _nothing,
    "pulumi:providers:kubernetes": _nothing,
    "aws:cloudwatch/compositeAlarm:CompositeAlarm": _nothing,
    "aws:cloudwatch/dashboard:Dashboard": _nothing,
    "aws:cloudwatch/metricAlarm:MetricAlarm": _nothing,
    "aws:s3/bucket:Bucket": _bucket,
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": _nothing,
    "aws:s3/bucketPolicy:BucketPolicy": _nothing,
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": _nothing,
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": _nothing,
    "aws:s3/bucketVersioning:BucketVersioning": _nothing,
    "kubernetes:admissionregistration.k8s.io/v1:ValidatingAdmissionPolicy": _nothing,
    "kubernetes:admissionregistration.k8s.io/v1:ValidatingAdmissionPolicyBinding": _nothing,
    "kubernetes:apps/v1:Deployment": _nothing,
    "kubernetes:batch/v1:CronJob": _nothing,
    "kubernetes:batch/v1:Job": _nothing,
    "kubernetes:core/v1:ConfigMap": lambda _, inputs: {
        "metadata": {**inputs["metadata"], "creationTimestamp": "2026-11-24T09:00:00Z"}
    },
    "kubernetes:core/v1:Namespace": _nothing,
    "kubernetes:core/v1:PersistentVolume": _nothing,
    "kubernetes:core/v1:PersistentVolumeClaim": _nothing,
    "kubernetes:core/v1:Secret": _nothing,
    "kubernetes:core/v1:Service": _nothing,
    "kubernetes:core/v1:ServiceAccount": _nothing,
    "kubernetes:networking.k8s.io/v1:NetworkPolicy": _nothing,
    "kubernetes:policy/v1:PodDisruptionBudget": _nothing,
    "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole": _nothing,
    "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding": _nothing,
    "kubernetes:rbac.authorization.k8s.io/v1:Role": _nothing,
    "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding": _nothing,
}
"""Every resource type that the program may register, with what AWS would compute for it."""

ID_PREFIXES = {
    "accessPoint": "fsap",
    "fileSystem": "fs",
    "securityGroup": "sg",
    "subnet": "subnet",
    "vpc": "vpc",
}
"""Types whose ids AWS spells so, and the program hands on to somebody who checks the spelling."""


def physical_id(type_: str, name: str) -> str:
    """Return the id that AWS would give: of its kind, and always the same for the same name."""
    prefix = ID_PREFIXES.get(type_.rsplit("/", maxsplit=1)[-1].split(":", maxsplit=1)[0])
    return f"{name}-id" if prefix is None else f"{prefix}-{hashlib.sha256(name.encode()).hexdigest()[:17]}"


CALLS: dict[str, dict[str, typing.Any]] = {
    "aws:index/getPartition:getPartition": {"partition": "aws", "dnsSuffix": "amazonaws.com", "id": "aws"},
    "aws:index/getCallerIdentity:getCallerIdentity": {"accountId": ACCOUNT, "arn": CALLER, "id": ACCOUNT},
    "aws:eks/getClusters:getClusters": {"id": "here", "names": ["there-already"]},
}
"""Everything that a preview may ask AWS."""


class Answers(mocks.Mocks):
    """Answers for the types in RESOURCES and the questions in CALLS; anything else is refused."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, typing.Any]]:
        """Return id and state; components of this program get what they register themselves."""
        if args.typ.startswith(f"{PROJECT}:"):
            return None, {}
        if args.typ not in RESOURCES:
            # Raised when the run is over: an error here comes back once for everything that depends on the resource.
            self.recording.refused.append(f"{args.typ} ({args.name})")
            return None, {}
        return physical_id(args.typ, args.name), {**args.inputs, **RESOURCES[args.typ](args.name, args.inputs)}

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, typing.Any], list[tuple[str, str]]]:
        """Return the answer to an invoke, and record that it was asked."""
        self.recording.calls.append(args.token)
        if args.token not in CALLS:
            raise LookupError(f"{args.token} is not a question that a preview may ask")
        return CALLS[args.token], []


def record(
    program: collections.abc.Callable[[], object],
    *,
    config: collections.abc.Mapping[str, str] | None = None,
    stack: str = "dev",
    project: str = PROJECT,
    answers: collections.abc.Callable[[Recording], Answers] = Answers,
) -> Recording:
    """Run ``program`` against a fresh recording until nothing is outstanding, and return the recording.

    ``answers`` may answer for resources in a way of its own. Raises LookupError for a resource type that is not in
    RESOURCES.
    """
    recording = Recording()
    # A context and an event loop of its own: nothing of one run, its root stack above all, is left for the next.
    with _event_loop(), _garbage_kept():
        contextvars.copy_context().run(_run, program, answers(recording), dict(config or {}), (project, stack))
    if recording.refused:
        raise LookupError(f"not resources that the program is known to make: {', '.join(sorted(recording.refused))}")
    return recording


def _run(
    program: collections.abc.Callable[[], object], answers: Answers, config: dict[str, str], where: tuple[str, str]
) -> None:
    recording, (project, stack) = answers.recording, where
    monitor = RecordingMonitor(answers, recording)
    pulumi.runtime.set_mocks(answers, project=project, stack=stack, preview=False, monitor=monitor)
    pulumi.runtime.set_all_config(config)

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def run() -> object:
        program()
        exported = getattr(settings.get_root_resource(), "outputs", {})
        return pulumi.Output.from_input(exported).apply(recording.outputs.update)

    run()


@functools.cache
def recorded(file: str) -> Recording:
    """Return one run of the program with a stack file as it is; shared by all tests, so nobody changes it."""
    return run_main(stack_config(file), stack=file.split(".")[1])


def run_main(
    config: collections.abc.Mapping[str, typing.Any],
    *,
    stack: str = "dev",
    project: str = PROJECT,
    answers: collections.abc.Callable[[Recording], Answers] = Answers,
) -> Recording:
    """Run the real ``__main__.py`` with ``config`` as a stack file's data."""
    flat = {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}
    with contextlib.chdir(ROOT), pytest.MonkeyPatch.context() as patch:
        if not pathlib.Path(pulumi.get_root_directory()).is_dir():  # without an engine Pulumi names none that exists
            patch.setattr("pulumi.get_root_directory", lambda: str(ROOT))
        try:
            return record(
                lambda: runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__"),
                config=flat,
                stack=stack,
                project=project,
                answers=answers,
            )
        except pulumi.RunError as told:
            raise (told.__cause__ or told) from None
