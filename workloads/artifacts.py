"""The files that servers load: the shared volume with the model and each candidate's compiled artifacts."""

import collections.abc
import dataclasses
import json

import pulumi
import pulumi_aws as aws
from pulumi_kubernetes.batch.v1 import Job
from pulumi_kubernetes.core.v1 import PersistentVolume, PersistentVolumeClaim, Secret, ServiceAccount
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_kubernetes.networking.v1 import NetworkPolicy

from optimal_tp.facts.candidates import Candidate
from optimal_tp.facts.names import PART
from optimal_tp.plan.lineup import Lineup, ModelPlan
from optimal_tp.servers import neuron_pod
from optimal_tp.servers.deployment import closed_spec
from optimal_tp.settings.spend import Serving
from workloads.manifests import jobs, python_pods, rights, volumes
from workloads.manifests.bundle import FETCH_REQUIREMENTS, CodeConfigMap, bundle, with_fixed_names
from workloads.namespace import MADE, Identity, config_maps


def _bundle() -> tuple[CodeConfigMap, ...]:
    return bundle(jobs.FETCH, [jobs.COMPILING, jobs.FETCHING], requirements=FETCH_REQUIREMENTS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompiledArtifactsArgs:
    """Arguments of the volume and its Jobs."""

    namespace: pulumi.Input[str]
    """Resolves once the namespace exists."""
    sites: collections.abc.Mapping[str, neuron_pod.Site]
    """By the model's slug."""
    plan: Lineup
    fetched: collections.abc.Mapping[str, jobs.Fetched]
    """By the model's slug."""
    python_image: str
    package_index_url: str | None
    hub_token: pulumi.Output[str] | None
    """Secret token for gated models of a hub; None: no token."""
    volume_handle: pulumi.Input[str]
    """EFS file system and access point, as ``fs-…::fsap-…``."""
    run: str
    """The experiment's name."""
    identity: Identity
    foundation: collections.abc.Sequence[pulumi.Resource]
    """The file system and its driver."""
    before_nodes: collections.abc.Sequence[pulumi.Resource]
    """The Neuron nodes' pool and the guard, which must exist before the first node."""


class CompiledArtifacts(pulumi.ComponentResource):
    """The claim, and for each model the fetch Job and one compile Job per candidate, all of them suspended.

    Children: ``<name>-closed``, ``-volume``, ``-claim``, ``-code-<n>``, ``-fetch``, ``-fetch-account``,
    ``-fetch-role`` (with a model from a bucket), ``-fetch-token`` (with a hub's token) and ``-compile-<candidate>``
    (``tp1``, ``tp1-b4``); in a sweep ``-fetch-<slug>`` and ``-compile-<slug>-<candidate>``. Takes its Kubernetes and
    AWS providers from ``opts``.
    """

    claim_name: pulumi.Output[str]
    jobs: list[Job]
    """Jobs that the load generator resumes."""

    def __init__(self, name: str, args: CompiledArtifactsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("optimal-tp:workloads:CompiledArtifacts", name, None, opts)
        self._name, self._args, self._child = name, args, pulumi.ResourceOptions(parent=self)
        self._parts = with_fixed_names(f"{jobs.FETCH}-code", _bundle())
        self._code = config_maps(f"{name}-code", self._parts, args.namespace, self._child)
        closed = NetworkPolicy(
            f"{name}-closed",
            metadata={"name": "closed", "namespace": args.namespace},
            spec=closed_spec(),
            opts=self._child,
        )
        claim = self._claim()
        self.claim_name = claim.metadata.name
        needs = self._fetch_needs(claim, closed)
        self.jobs = [self._fetch(model, needs) for model in args.plan.models]
        # Without the pool there can be no node. Deleted after it, the Job's pod would block its node's drain.
        needs = [*needs, *args.before_nodes]
        self.jobs += [self._compile(model, each, needs) for model in args.plan.models for each in model.plan.candidates]
        self.register_outputs({"claim_name": self.claim_name})

    def _claim(self) -> PersistentVolumeClaim:
        args, claim = self._args, self._serving.volume_claim
        namespace = self._serving.namespace
        volume_name = f"{namespace}-{claim}"
        # The driver mounts and unmounts the volume; without it pods hang in termination.
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
            # A claim on a volume that does not exist yet waits, and so does Pulumi.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[volume]),
        )

    @property
    def _serving(self) -> Serving:
        """The serving settings, which all sites share."""
        return next(iter(self._args.sites.values())).serving

    def _fetch_needs(self, claim: PersistentVolumeClaim, closed: NetworkPolicy) -> list[pulumi.Resource]:
        """Return the dependencies of every Job's pods while they run."""
        args, source = self._args, self._serving.model_source
        policy = self._fetch_role(source) if source.startswith("s3://") else None
        account = ServiceAccount(
            f"{self._name}-fetch-account",
            metadata={
                "name": jobs.FETCH,
                "namespace": args.namespace,
                "annotations": {} if policy is None else {"eks.amazonaws.com/role-arn": policy[0].arn},
            },
            opts=self._child,
        )
        # Without claim and role, pods hang or are refused. Without the network policy, any pod of the cluster may call
        # them.
        return [claim, account, closed, *self._code, *self._token(), *([] if policy is None else [policy[1]])]

    @property
    def _token_secret(self) -> str | None:
        """Return the name of the Secret with the hub's token; a bucket needs none."""
        needs_none = self._args.hub_token is None or self._serving.model_source.startswith("s3://")
        return None if needs_none else f"{jobs.FETCH}-token"

    def _token(self) -> list[pulumi.Resource]:
        token, named = self._args.hub_token, self._token_secret
        if token is None or named is None:
            return []
        meta = ObjectMetaArgs(name=named, namespace=self._args.namespace)
        return [Secret(f"{self._name}-fetch-token", metadata=meta, string_data={"token": token}, opts=self._child)]

    def _fetch(self, model: ModelPlan, needs: collections.abc.Sequence[pulumi.Resource]) -> Job:
        args, app = self._args, model.part(jobs.FETCH)
        runtime = python_pods.Runtime(
            image=args.python_image,
            installs=True,
            package_index_url=args.package_index_url,
            parts=self._parts,
            requirements=FETCH_REQUIREMENTS,
        )
        fetched = args.fetched[model.slug]
        spec = jobs.fetch_spec(
            fetched,
            self._serving,
            runtime,
            app=app,
            service_account=jobs.FETCH,
            run=args.run,
            token_secret=self._token_secret,
        )
        return Job(
            model.part(f"{self._name}-fetch"),
            metadata={"name": app, "namespace": args.namespace, "labels": {PART: "job"}, "annotations": MADE},
            spec=spec,
            opts=self._suspended(needs),
        )

    def _fetch_role(self, source: str) -> tuple[aws.iam.Role, aws.iam.RolePolicy]:
        args = self._args
        trust = args.identity.trust(namespace=self._serving.namespace, service_account=jobs.FETCH)
        role = aws.iam.Role(
            f"{self._name}-fetch-role",
            description="Reads the model for the experiment",
            assume_role_policy=trust,
            permissions_boundary=args.identity.boundary,
            tags=dict(args.identity.tags),
            opts=self._child,
        )
        policy = rights.fetch_policy(partition=args.identity.partition, source=source)
        return role, aws.iam.RolePolicy(
            f"{self._name}-fetch-role", name="rights", role=role.name, policy=json.dumps(policy), opts=self._child
        )

    def _compile(self, model: ModelPlan, candidate: Candidate, needs: collections.abc.Sequence[pulumi.Resource]) -> Job:
        args = self._args
        server = model.plan.of(candidate)[0]
        return Job(
            f"{model.part(f'{self._name}-compile')}-{candidate.slug}",
            metadata={
                "name": jobs.compile_name(model, candidate),
                "namespace": args.namespace,
                "labels": {PART: "job"},
                "annotations": MADE,
            },
            spec=jobs.compile_spec(args.sites[model.slug], server, self._parts, run=args.run),
            opts=self._suspended(needs),
        )

    def _suspended(self, needs: collections.abc.Sequence[pulumi.Resource]) -> pulumi.ResourceOptions:
        """Let the load generator and the guard decide when a Job runs; no `up` and no refresh reverts that."""
        return pulumi.ResourceOptions(parent=self, depends_on=needs, ignore_changes=["spec.suspend"])
