"""The load generator in the cluster: its identity, its code, its settings, its pod."""

import collections.abc
import dataclasses
import hashlib
import json

import pulumi
import pulumi_aws as aws
from pulumi_kubernetes.apps.v1 import Deployment
from pulumi_kubernetes.batch.v1 import Job
from pulumi_kubernetes.core.v1 import ConfigMap, ServiceAccount
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_kubernetes.policy.v1 import PodDisruptionBudget

from optimal_tp.facts.names import PART
from optimal_tp.plan.cost import Forecast
from optimal_tp.plan.lineup import Lineup
from optimal_tp.servers.deployment import GENERATOR
from optimal_tp.settings.stack_file import ClusterSettings
from workloads.bucket import ResultsBucket
from workloads.manifests import generator, python_pods, rights, traffic
from workloads.manifests.bundle import bundle
from workloads.namespace import MADE, Identity, config_maps, grant, grant_nodes

_LABELS = {PART: "load-generator"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoadTestArgs:
    """Arguments of the load generator."""

    namespace: pulumi.Input[str]
    settings: ClusterSettings
    plan: Lineup
    python_image: str
    region: str
    identity: Identity
    results: ResultsBucket
    pins: collections.abc.Mapping[str, str]
    """Versions and hardware of the servers, kept with every run."""
    drives: collections.abc.Sequence[pulumi.Resource]
    """The Jobs and servers that it resumes, starts and stops."""
    own_nodes: pulumi.Resource
    """The policy that keeps it from removing nodes of others."""
    node_pool: str
    """NodePool whose nodes the receipt counts."""
    money: Forecast


class LoadTest(pulumi.ComponentResource):
    """The load generator, which conducts the experiment; the only part of it that `up` waits for.

    Children: ``<name>-role``, ``-rights``, ``-account``, ``-code-<n>``, ``-settings``, ``-conducting`` (Role and its
    binding), ``-nodes`` (ClusterRole and its binding), ``-pods``, and for several load generators ``-job`` and
    ``-budget``. Takes its Kubernetes and AWS providers from ``opts``.
    """

    role_arn: pulumi.Output[str]

    def __init__(self, name: str, args: LoadTestArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("optimal-tp:workloads:LoadTest", name, None, opts)
        self._name, self._args, self._child = name, args, pulumi.ResourceOptions(parent=self)
        role, rights = self._role()
        account = ServiceAccount(
            f"{name}-account",
            metadata={
                "name": GENERATOR,
                "namespace": args.namespace,
                "annotations": {"eks.amazonaws.com/role-arn": role.arn},
            },
            opts=self._child,
        )
        wanted = args.settings.loadtest
        parts = bundle(f"{GENERATOR}-code", generator.PROGRAMS)
        code = config_maps(f"{name}-code", parts, args.namespace, self._child)
        runtime = python_pods.Runtime(
            image=args.python_image if wanted.image is None else wanted.image,
            installs=wanted.image is None,
            package_index_url=wanted.package_index_url,
            parts=parts,
        )
        pod = generator.Generator(
            settings=wanted,
            runtime=runtime,
            plan=args.plan,
            region=args.region,
            serving=args.settings.serving,
            pins=args.pins,
            node_pool=args.node_pool,
            money=args.money,
        )
        order = self._order(pod)
        meta = ObjectMetaArgs(name=GENERATOR, namespace=args.namespace)
        # On SIGTERM it uploads the remaining results, for which it needs its rights and the bucket. The servers must be
        # deleted after it, or it would measure deleted servers as failing.
        needs = [
            account,
            rights,
            args.results,
            *code,
            *self._conducting(account, meta, pod),
            *args.drives,
        ]
        if wanted.pods > 1:
            needs += self._shared(meta, pod, order, needs)
        Deployment(
            f"{name}-pods",
            metadata=ObjectMetaArgs(name=GENERATOR, namespace=args.namespace, labels=_LABELS),
            spec=generator.deployment_spec(pod, order.metadata.name),
            opts=pulumi.ResourceOptions(parent=self, depends_on=needs),
        )
        self.role_arn = role.arn
        self.register_outputs({"role_arn": self.role_arn})

    def _role(self) -> tuple[aws.iam.Role, aws.iam.RolePolicy]:
        args = self._args
        trust = args.identity.trust(namespace=args.settings.serving.namespace, service_account=GENERATOR)
        role = aws.iam.Role(
            f"{self._name}-role",
            description="Load generator: publishes metrics and keeps results",
            assume_role_policy=trust,
            permissions_boundary=args.identity.boundary,
            tags=dict(args.identity.tags),
            opts=self._child,
        )
        prefix = args.settings.loadtest.results.prefix
        policy = args.results.arn.apply(lambda arn: json.dumps(rights.generator_policy(bucket_arn=arn, prefix=prefix)))
        # With a fixed name, a second try after a lost answer repeats the first; a second policy would block the role's
        # deletion.
        return role, aws.iam.RolePolicy(
            f"{self._name}-rights", name="rights", role=role.name, policy=policy, opts=self._child
        )

    def _shared(
        self, meta: ObjectMetaArgs, pod: generator.Generator, order: ConfigMap, needs: list[pulumi.Resource]
    ) -> list[pulumi.Resource]:
        """Create the Job of several load generators, and protect its pods from eviction."""
        job = Job(
            f"{self._name}-job",
            metadata=ObjectMetaArgs(name=GENERATOR, namespace=self._args.namespace, labels=_LABELS, annotations=MADE),
            spec=generator.job_spec(pod, order.metadata.name),
            # The load generator resumes it when the servers are ready.
            opts=pulumi.ResourceOptions(parent=self, depends_on=needs, ignore_changes=["spec.suspend"]),
        )
        budget = generator.budget_spec(pod.settings.pods)
        return [job, PodDisruptionBudget(f"{self._name}-budget", metadata=meta, spec=budget, opts=self._child)]

    def _conducting(
        self, account: ServiceAccount, meta: ObjectMetaArgs, pod: generator.Generator
    ) -> list[pulumi.Resource]:
        """Let the load generator run Jobs and servers, see why one does not start, and remove nodes."""
        return [
            *grant(f"{self._name}-conducting", meta, generator.rules(pod), account, self._child),
            *grant_nodes(
                f"{self._name}-nodes",
                account,
                namespace=self._args.settings.serving.namespace,
                account_name=GENERATOR,
                limit=self._args.own_nodes,
                opts=self._child,
            ),
        ]

    def _order(self, pod: generator.Generator) -> ConfigMap:
        """Create the order's ConfigMap. Its name depends on its content, so that a change restarts the experiment."""
        text = self._args.results.uri.apply(lambda uri: generator.order(pod, uri).model_dump_json(indent=1) + "\n")
        traces = traffic.traces(self._args.plan)
        of_traces = "".join(traces.values())
        digest = text.apply(lambda content: hashlib.sha256((content + of_traces).encode()).hexdigest()[:12])
        return ConfigMap(
            f"{self._name}-settings",
            metadata={
                "name": pulumi.Output.concat(f"{GENERATOR}-settings-", digest),
                "namespace": self._args.namespace,
            },
            data={generator.ORDER_FILE: text, **traces},
            immutable=True,
            opts=self._child,
        )
