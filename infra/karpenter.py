"""Karpenter: its identity, the nodes' identity, its interruption queue, and its two charts."""

import collections.abc
import dataclasses
import json

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as kubernetes

from infra import policies, roles
from infra.nodes import karpenter_values
from optimal_tp.facts.names import SYSTEM_NAMESPACE
from optimal_tp.facts.versions import KARPENTER, KARPENTER_CRD, Chart
from optimal_tp.settings.infra import Registries

SERVICE_ACCOUNT = "karpenter"
_EVENTS = {
    "health": ("aws.health", "AWS Health Event"),
    "spot": ("aws.ec2", "EC2 Spot Instance Interruption Warning"),
    "rebalance": ("aws.ec2", "EC2 Instance Rebalance Recommendation"),
    "state": ("aws.ec2", "EC2 Instance State-change Notification"),
    "reservation": ("aws.ec2", "EC2 Capacity Reservation Instance Interruption Warning"),
}
_RELEASE_TIMEOUT_SECONDS = 600
_KEPT: dict[str, object] = {"additionalAnnotations": {"helm.sh/resource-policy": "keep"}}
"""Values of the definitions' chart that keep Helm from deleting definitions (values.yaml of karpenter-crd 1.14.1).

Deleting a definition deletes every node pool and node class. Helm uninstalls after a failed install, even one that has
taken over definitions in use. They go with the cluster.
"""
_QUEUE_RETENTION_SECONDS = 300
"""An interruption comes two minutes after its announcement; older messages are useless."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class KarpenterArgs:
    """Arguments of Karpenter. ``overlays`` enables the feature gate NodeOverlay."""

    cluster_name: str
    control_plane: collections.abc.Sequence[pulumi.Resource]
    """Dependencies of any object in the cluster; empty for an existing cluster."""
    running: collections.abc.Sequence[pulumi.Resource]
    """Dependencies of running pods; empty for an existing cluster."""
    overlays: bool
    dry_run: bool
    """Whether Karpenter tries launches before it accepts a node class."""
    registries: Registries
    place: policies.Place
    boundary: str | None
    """ARN of the permissions boundary of every role."""
    tags: collections.abc.Mapping[str, str]


class Karpenter(pulumi.ComponentResource):
    """Karpenter and its resources. Children: ``<name>-controller``, ``-node``, ``-interruptions``, ``-crds``.

    Takes its AWS and Kubernetes providers from ``opts``. ``instance_profile_name`` is for the nodes that it launches.
    """

    instance_profile_name: pulumi.Output[str]

    def __init__(self, name: str, args: KarpenterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("optimal-tp:infra:Karpenter", name, None, opts)
        self._name, self._args, self._child = name, args, pulumi.ResourceOptions(parent=self)
        queue, events = self._interruptions()
        node_role, node_ready = self._node_role()
        profile = aws.iam.InstanceProfile(f"{name}-node", role=node_role.name, tags=dict(args.tags), opts=self._child)
        identity = self._controller_identity(queue, node_role)
        # A running Karpenter must be able to terminate its nodes: without its rights instances run on and bill, without
        # the nodes' rights they do not drain. So everything here is deleted after the chart.
        crds = self._release("crds", KARPENTER_CRD, _KEPT, after=args.control_plane)
        values = karpenter_values(
            cluster_name=args.cluster_name,
            region=args.place.region,
            queue_name=queue.name,
            overlays=args.overlays,
            dry_run=args.dry_run,
            registries=args.registries,
        )
        self._release(
            "controller",
            KARPENTER,
            values,
            # The controller does not start without its definitions.
            after=[*args.running, crds, profile, *identity, *node_ready, *events],
        )
        self.instance_profile_name = profile.name
        self.register_outputs({"instance_profile_name": self.instance_profile_name})

    def _interruptions(self) -> tuple[aws.sqs.Queue, list[pulumi.Resource]]:
        name, tags = f"{self._name}-interruptions", dict(self._args.tags)
        queue = aws.sqs.Queue(
            name,
            message_retention_seconds=_QUEUE_RETENTION_SECONDS,
            sqs_managed_sse_enabled=True,
            tags=tags,
            opts=self._child,
        )
        rules = {
            event: aws.cloudwatch.EventRule(
                f"{self._name}-{event}",
                description=f"{kind} to Karpenter",
                event_pattern=json.dumps({"source": [source], "detail-type": [kind]}),
                tags=tags,
                opts=self._child,
            )
            for event, (source, kind) in _EVENTS.items()
        }
        policy = aws.sqs.QueuePolicy(
            name,
            queue_url=queue.url,
            policy=pulumi.Output.all(queue.arn, *(rule.arn for rule in rules.values())).apply(
                lambda arns: json.dumps(policies.interruption_queue(arns[0], arns[1:]))
            ),
            opts=self._child,
        )
        targets = [
            # With a generated id, a second try after a lost answer would create a second target, which blocks the
            # deletion of the rule.
            aws.cloudwatch.EventTarget(
                f"{self._name}-{event}", rule=rule.name, target_id="karpenter", arn=queue.arn, opts=self._child
            )
            for event, rule in rules.items()
        ]
        return queue, [policy, *targets]

    def _node_role(self) -> tuple[aws.iam.Role, list[pulumi.Resource]]:
        args, name = self._args, f"{self._name}-node"
        trust = policies.service_trust("ec2.amazonaws.com")
        role = roles.role(self, name, f"Nodes that Karpenter launches for {args.cluster_name}", trust, args)
        needed = [args.place.managed_policy(policy) for policy in policies.NODE_POLICIES]
        attachments = roles.attach(self, name, role, needed)
        # Without its access entry a kubelet is locked out of the cluster, and its node never drains.
        entry = aws.eks.AccessEntry(
            name,
            cluster_name=args.cluster_name,
            principal_arn=role.arn,
            type="EC2_LINUX",
            tags=dict(args.tags),
            opts=pulumi.ResourceOptions(parent=self, depends_on=args.control_plane),
        )
        return role, [*attachments, entry]

    def _controller_identity(self, queue: aws.sqs.Queue, node_role: aws.iam.Role) -> list[pulumi.Resource]:
        args, place, name = self._args, self._args.place, f"{self._name}-controller"
        trust = policies.pod_identity_trust(
            place, cluster_name=args.cluster_name, namespace=SYSTEM_NAMESPACE, service_account=SERVICE_ACCOUNT
        )
        role = roles.role(self, name, f"Karpenter of {args.cluster_name}", trust, args)
        documents: dict[str, pulumi.Input[str]] = {
            "node-lifecycle": json.dumps(policies.karpenter_node_lifecycle(place, args.cluster_name)),
            "iam-integration": node_role.arn.apply(lambda arn: json.dumps(policies.karpenter_iam_integration(arn))),
            "eks-integration": json.dumps(policies.karpenter_eks_integration(place, args.cluster_name)),
            "interruption": queue.arn.apply(lambda arn: json.dumps(policies.karpenter_interruption(arn))),
            "zonal-shift": json.dumps(policies.karpenter_zonal_shift(place, args.cluster_name)),
            "resource-discovery": json.dumps(policies.karpenter_resource_discovery(place)),
        }
        attachments = [self._allow(role, part, document) for part, document in documents.items()]
        # A pod gets the credentials when it is admitted, so an association created later reaches no running pod.
        association = aws.eks.PodIdentityAssociation(
            name,
            cluster_name=args.cluster_name,
            namespace=SYSTEM_NAMESPACE,
            service_account=SERVICE_ACCOUNT,
            role_arn=role.arn,
            tags=dict(args.tags),
            opts=pulumi.ResourceOptions(parent=self, depends_on=args.control_plane),
        )
        return [*attachments, association]

    def _allow(self, role: aws.iam.Role, part: str, document: pulumi.Input[str]) -> pulumi.Resource:
        """Create and attach one policy. There are six, because one document would exceed IAM's 6,144 characters."""
        name = f"{self._name}-{part}"
        policy = aws.iam.Policy(
            name,
            description=f"Karpenter of {self._args.cluster_name}: {part}",
            policy=document,
            tags=dict(self._args.tags),
            opts=self._child,
        )
        return aws.iam.RolePolicyAttachment(name, role=role.name, policy_arn=policy.arn, opts=self._child)

    def _release(
        self, part: str, chart: Chart, values: dict[str, object], *, after: collections.abc.Sequence[pulumi.Resource]
    ) -> kubernetes.helm.v3.Release:
        return kubernetes.helm.v3.Release(
            f"{self._name}-{part}",
            name=chart.path.rsplit("/", maxsplit=1)[-1],
            namespace=SYSTEM_NAMESPACE,
            chart=chart.reference(self._args.registries.charts),
            version=chart.version,
            values=values,
            # The definitions have a chart of their own, because Helm never upgrades a chart's definitions.
            skip_crds=True,
            atomic=True,
            cleanup_on_fail=True,
            timeout=_RELEASE_TIMEOUT_SECONDS,
            opts=pulumi.ResourceOptions(parent=self, depends_on=after),
        )
