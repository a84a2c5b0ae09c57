"""The load generator in the cluster: who it is, its code, its settings, its pod."""

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
from pulumi_kubernetes.rbac.v1 import (
    ClusterRole,
    ClusterRoleBinding,
    RoleRefArgs,
    SubjectArgs,
)

from optimal_tp.plan.cost import Forecast
from optimal_tp.plan.lineup import Lineup
from optimal_tp.servers.deployment import GENERATOR
from optimal_tp.settings.stack_file import ClusterSettings
from workloads.bucket import ResultsBucket
from workloads.manifests import generator, python_pods, rights
from workloads.manifests.bundle import bundle
from workloads.namespace import Identity, config_maps, grant


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoadTestArgs:
    """What the load generator needs."""

    namespace: pulumi.Input[str]
    settings: ClusterSettings
    plan: Lineup
    python_image: str
    region: str
    identity: Identity
    results: ResultsBucket
    pins: collections.abc.Mapping[str, str]
    """What the servers run on, kept with every run."""
    servers: collections.abc.Sequence[pulumi.Resource]
    node_pool: str
    """Whose nodes the receipt counts."""
    money: Forecast


class LoadTest(pulumi.ComponentResource):
    """The load generator.

    Children: ``<name>-role``, ``-rights``, ``-account``, ``-code-<n>``, ``-settings``, ``-scaling`` (unless the servers
    run for ever), ``-seeing``, ``-pods``, ``-budget``, and for several
    load generators ``-job`` and ``-reading``. Takes its Kubernetes and AWS providers from ``opts``.
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
            ready_timeout_seconds=args.settings.serving.start_patience_seconds,
            pins=args.pins,
            node_pool=args.node_pool,
            money=args.money,
        )
        order = self._order(pod)
        meta = ObjectMetaArgs(name=GENERATOR, namespace=args.namespace)
        # On SIGTERM it sends what it holds: its rights and the bucket must still be there. Servers that go first would
        # be measured as failing.
        needs = [
            account,
            rights,
            args.results,
            *code,
            *self._scaling(account, pod),
            *self._seeing(account),
            *args.servers,
        ]
        if wanted.pods > 1:
            needs += self._shared(account, pod, order, needs)
        Deployment(
            f"{name}-pods",
            metadata=meta,
            spec=generator.deployment_spec(pod, order.metadata.name),
            opts=pulumi.ResourceOptions(parent=self, depends_on=needs),
        )
        PodDisruptionBudget(f"{name}-budget", metadata=meta, spec=generator.budget_spec(wanted.pods), opts=self._child)
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
        # Under one name a second try after a lost answer is the first once more; a second policy would hold the role.
        return role, aws.iam.RolePolicy(
            f"{self._name}-rights", name="rights", role=role.name, policy=policy, opts=self._child
        )

    def _shared(
        self, account: ServiceAccount, pod: generator.Generator, order: ConfigMap, needs: list[pulumi.Resource]
    ) -> list[pulumi.Resource]:
        """Make the Job of several load generators, and let them read when it started."""
        namespace = self._args.namespace
        meta = ObjectMetaArgs(name=f"{GENERATOR}-reads-its-job", namespace=namespace)
        reading = grant(f"{self._name}-reading", meta, generator.job_rules(), account, self._child)
        job = Job(
            f"{self._name}-job",
            metadata={
                "name": GENERATOR,
                "namespace": namespace,
                # `up` would wait for the whole experiment, and call a pod's end by signal a failed update.
                "annotations": {"pulumi.com/skipAwait": "true"},
            },
            spec=generator.job_spec(pod, order.metadata.name),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*needs, *reading]),
        )
        return [*reading, job]

    def _scaling(self, account: ServiceAccount, pod: generator.Generator) -> list[pulumi.Resource]:
        """Let the load generator start and stop servers, unless they all run for ever."""
        if not pod.scales:
            return []
        meta = ObjectMetaArgs(name=f"{GENERATOR}-scales-servers", namespace=self._args.namespace)
        rules = generator.scaling_rules(server.name for server in self._args.plan.servers)
        return grant(f"{self._name}-scaling", meta, rules, account, self._child)

    def _seeing(self, account: ServiceAccount) -> list[pulumi.Resource]:
        """Let the load generator see which Neuron nodes there are."""
        namespace = self._args.namespace
        # Not of a namespace, so that its name has to tell it from another stack's.
        meta = ObjectMetaArgs(name=f"{self._args.settings.serving.namespace}-{GENERATOR}-sees-nodes")
        role = ClusterRole(f"{self._name}-seeing", metadata=meta, rules=generator.seeing_rules(), opts=self._child)
        binding = ClusterRoleBinding(
            f"{self._name}-seeing",
            metadata=meta,
            role_ref=RoleRefArgs(api_group="rbac.authorization.k8s.io", kind="ClusterRole", name=role.metadata.name),
            subjects=[SubjectArgs(kind="ServiceAccount", name=account.metadata.name, namespace=namespace)],
            opts=self._child,
        )
        return [role, binding]

    def _order(self, pod: generator.Generator) -> ConfigMap:
        """Make the order's file. Its name follows its content, so that a change starts the experiment anew."""
        text = self._args.results.uri.apply(lambda uri: generator.order(pod, uri).model_dump_json(indent=1) + "\n")
        digest = text.apply(lambda content: hashlib.sha256(content.encode()).hexdigest()[:12])
        return ConfigMap(
            f"{self._name}-settings",
            metadata={
                "name": pulumi.Output.concat(f"{GENERATOR}-settings-", digest),
                "namespace": self._args.namespace,
            },
            data={generator.ORDER_FILE: text},
            immutable=True,
            opts=self._child,
        )
