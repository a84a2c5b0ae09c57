"""What servers load: the shared volume, the model on it, and one degree's compiled artifacts after the other."""

import collections.abc
import dataclasses
import json

import pulumi
import pulumi_aws as aws
from pulumi_kubernetes.batch.v1 import Job
from pulumi_kubernetes.core.v1 import PersistentVolume, PersistentVolumeClaim, ServiceAccount
from pulumi_kubernetes.networking.v1 import NetworkPolicy

from workloads import rights
from workloads.bundle import with_fixed_names
from workloads.code import bundle, config_maps
from workloads.manifests import cores, jobs, python, volumes
from workloads.manifests.servers import closed_spec
from workloads.plan import Plan

COMPILING = "workloads.compiling"
FETCHING = "workloads.fetching"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Identity:
    """The cluster's OIDC provider, for service accounts that take IAM roles."""

    provider_arn: pulumi.Input[str]
    issuer: pulumi.Input[str]
    """Without the scheme."""
    partition: str
    tags: collections.abc.Mapping[str, str]
    """On every AWS resource of the experiment."""

    def trust(self, *, namespace: str, service_account: str) -> pulumi.Output[str]:
        """Return the trust document of a role that this service account alone may take, as JSON."""
        return pulumi.Output.all(self.provider_arn, self.issuer).apply(
            lambda known: json.dumps(
                rights.account_trust(
                    provider_arn=known[0], issuer=known[1], namespace=namespace, service_account=service_account
                )
            )
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompiledArtifactsArgs:
    """What the volume and its Jobs need."""

    namespace: pulumi.Input[str]
    """Resolves once the namespace is there."""
    site: cores.Site
    plan: Plan
    shape_name: str
    """Key of the model's sizes in ``workloads.fit.SHAPES``; the Job holds the fetched model against them."""
    python_image: str
    package_index_url: str | None
    volume_handle: pulumi.Input[str]
    """EFS file system and access point, as ``fs-…::fsap-…``."""
    identity: Identity
    foundation: collections.abc.Sequence[pulumi.Resource]
    """The file system and its driver."""
    pool: pulumi.Resource
    """The Neuron nodes."""


class CompiledArtifacts(pulumi.ComponentResource):
    """The claim, the fetch Job and one compile Job per degree.

    Children: ``<name>-closed``, ``-volume``, ``-claim``, ``-code-<n>``, ``-fetch``, ``-fetch-account``, ``-fetch-role``
    (with a model from a bucket) and ``-compile-tp<degree>``. Takes its Kubernetes and AWS providers from ``opts``.
    """

    claim_name: pulumi.Output[str]
    compiled: dict[int, Job]
    """By degree: what its servers depend on."""

    def __init__(self, name: str, args: CompiledArtifactsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("optimal-tp:workloads:CompiledArtifacts", name, None, opts)
        self._name, self._args, self._child = name, args, pulumi.ResourceOptions(parent=self)
        self._parts = with_fixed_names(f"{jobs.FETCH}-code", bundle(jobs.FETCH, [COMPILING, FETCHING]))
        self._code = config_maps(f"{name}-code", self._parts, args.namespace, self._child)
        closed = NetworkPolicy(
            f"{name}-closed",
            metadata={"name": "closed", "namespace": args.namespace},
            spec=closed_spec(),
            opts=self._child,
        )
        claim = self._claim()
        self.claim_name = claim.metadata.name
        fetched = self._fetch(claim, closed)
        self.compiled = {}
        before: list[Job] = []
        for degrees in args.plan.phases:
            # Degrees that take turns have too few nodes for all their Jobs at once; in the same order as the turns,
            # none waits for a node that another one holds.
            made = {degree: self._compile(degree, [fetched, *before]) for degree in degrees}
            self.compiled |= made
            before = list(made.values())
        self.register_outputs({"claim_name": self.claim_name})

    def _claim(self) -> PersistentVolumeClaim:
        args, claim = self._args, self._args.site.serving.volume_claim
        namespace = args.site.serving.namespace
        volume_name = f"{namespace}-{claim}"
        # The driver mounts and unmounts; gone before the pods, it leaves them hanging in their end.
        after = pulumi.ResourceOptions(parent=self, depends_on=args.foundation)
        volume = PersistentVolume(
            f"{self._name}-volume",
            metadata={"name": volume_name},
            spec=volumes.volume_spec(args.volume_handle, claim, namespace),
            opts=after,
        )
        return PersistentVolumeClaim(
            f"{self._name}-claim",
            metadata={"name": claim, "namespace": args.namespace},
            spec=volumes.claim_spec(volume_name),
            # A claim on a volume that is not there yet waits, and Pulumi with it.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[volume]),
        )

    def _fetch(self, claim: PersistentVolumeClaim, closed: NetworkPolicy) -> Job:
        args, site = self._args, self._args.site
        from_bucket = site.serving.model_source.startswith("s3://")
        policy = self._fetch_role(site.serving.model_source) if from_bucket else None
        account = ServiceAccount(
            f"{self._name}-fetch-account",
            metadata={
                "name": jobs.FETCH,
                "namespace": args.namespace,
                "annotations": {} if policy is None else {"eks.amazonaws.com/role-arn": policy[0].arn},
            },
            opts=self._child,
        )
        runtime = python.Runtime(
            image=args.python_image,
            installs=from_bucket,
            package_index_url=args.package_index_url,
            parts=self._parts,
        )
        spec = jobs.fetch_spec(
            site.model, site.serving, runtime, shape_name=args.shape_name, service_account=jobs.FETCH
        )
        # The pod waits for what it mounts and is refused what its role may not yet read; the Job would use up its
        # tries on either. Before the namespace is closed, any pod of the cluster may call this one and those after it.
        needs = [claim, account, closed, *self._code, *([] if policy is None else [policy[1]])]
        return Job(
            f"{self._name}-fetch",
            metadata={"name": jobs.FETCH, "namespace": args.namespace},
            spec=spec,
            opts=self._awaited(needs),
        )

    def _fetch_role(self, source: str) -> tuple[aws.iam.Role, aws.iam.RolePolicy]:
        args = self._args
        trust = args.identity.trust(namespace=args.site.serving.namespace, service_account=jobs.FETCH)
        role = aws.iam.Role(
            f"{self._name}-fetch-role",
            description="Reads the model for the experiment",
            assume_role_policy=trust,
            tags=dict(args.identity.tags),
            opts=self._child,
        )
        policy = rights.fetch_policy(partition=args.identity.partition, source=source)
        return role, aws.iam.RolePolicy(
            f"{self._name}-fetch-role", role=role.name, policy=json.dumps(policy), opts=self._child
        )

    def _compile(self, degree: int, after: collections.abc.Sequence[Job]) -> Job:
        args = self._args
        server = args.plan.of_degree(degree)[0]
        return Job(
            f"{self._name}-compile-tp{degree}",
            metadata={"name": f"{server.name}-compile", "namespace": args.namespace},
            spec=jobs.compile_spec(args.site, server, self._parts),
            # Before the pool no node can come. Deleted after it, the Job's pod would keep its node from draining.
            opts=self._awaited([args.pool, *after]),
        )

    def _awaited(self, needs: collections.abc.Sequence[pulumi.Resource]) -> pulumi.ResourceOptions:
        """Wait for a Job as long as a node's launch and a server's start may take; Pulumi's default is 10 minutes."""
        patience = f"{cores.await_seconds(self._args.site.serving)}s"
        return pulumi.ResourceOptions(
            parent=self,
            depends_on=needs,
            custom_timeouts=pulumi.CustomTimeouts(create=patience, update=patience),
        )
