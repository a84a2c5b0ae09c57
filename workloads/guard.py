"""The guard in the cluster: it stops everything that holds Neuron cores at a deadline, whatever else still works."""

import collections.abc
import dataclasses

import pulumi
from pulumi_kubernetes.batch.v1 import CronJob
from pulumi_kubernetes.core.v1 import ConfigMap, ServiceAccount
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_kubernetes.networking.v1 import NetworkPolicy

from optimal_tp.plan.lineup import Lineup
from workloads.manifests import generator, guard, python_pods
from workloads.manifests.bundle import bundle
from workloads.namespace import config_maps, grant, grant_nodes

PROGRAM = "optimal_tp.pods.guard"
CLOCK = "qwen-vllm-clock"


@dataclasses.dataclass(frozen=True, kw_only=True)
class GuardArgs:
    """What the guard needs."""

    namespace: pulumi.Input[str]
    namespace_name: str
    plan: Lineup
    node_pool: str
    """Whose nodes it gives back."""
    own_nodes: pulumi.Resource
    """What keeps it from giving back others."""
    run: str
    """The experiment's name: another one starts the clock anew."""
    stop_after_seconds: int
    """From the making of the clock."""
    python_image: str
    after: collections.abc.Sequence[pulumi.Resource]
    """What is there before the first Neuron node: the clock starts behind it."""


class Guard(pulumi.ComponentResource):
    """A CronJob that stops servers and compile Jobs at the deadline, and gives back the nodes that hold nothing.

    Children: ``<name>-clock``, ``-deadline``, ``-account``, ``-rights`` (Role and RoleBinding), ``-nodes`` (ClusterRole
    and its binding), ``-calls``, ``-code-<n>`` and ``-cron``. Takes its Kubernetes provider from ``opts``.

    The deadline is the moment at which the API server made the clock, an object named by the run, plus a duration. It
    stands in the CronJob as a date: neither the guard's restart nor another ``pulumi up`` moves it. A changed budget
    moves it by the difference, a changed run starts it anew.
    """

    deadline: pulumi.Output[str]

    def __init__(self, name: str, args: GuardArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("optimal-tp:workloads:Guard", name, None, opts)
        self._name, self._args, self._child = name, args, pulumi.ResourceOptions(parent=self)
        self.deadline = self._deadline()
        rights = self._rights()
        parts = bundle(f"{guard.GUARD}-code", [PROGRAM], installs=False)
        code = config_maps(f"{name}-code", parts, args.namespace, self._child)
        calls = NetworkPolicy(
            f"{name}-calls",
            metadata={"name": guard.GUARD, "namespace": args.namespace},
            spec=guard.policy_spec(),
            opts=self._child,
        )
        runtime = python_pods.Runtime(image=args.python_image, installs=False, package_index_url=None, parts=parts)
        watch = guard.Watch(runtime=runtime, plan=args.plan, node_pool=args.node_pool, deadline=self.deadline)
        CronJob(
            f"{name}-cron",
            metadata={"name": guard.GUARD, "namespace": args.namespace},
            spec=guard.cron_spec(watch),
            # Without its rights it is refused, without its code it does not start.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*rights, *code, calls]),
        )
        self.register_outputs({"deadline": self.deadline})

    def _deadline(self) -> pulumi.Output[str]:
        """Make the clock, and tell the load generator, which may see the deadline moved while it runs."""
        args = self._args
        clock = ConfigMap(
            f"{self._name}-clock",
            metadata={"name": f"{CLOCK}-{args.run}", "namespace": args.namespace},
            data={"run": args.run},
            immutable=True,
            # Time that passes before any node could be launched costs nothing and is not counted.
            opts=pulumi.ResourceOptions(parent=self, depends_on=args.after),
        )
        moment = clock.metadata.apply(lambda made: _moment(made.creation_timestamp, args.stop_after_seconds))
        ConfigMap(
            f"{self._name}-deadline",
            metadata={"name": generator.DEADLINE, "namespace": args.namespace},
            data={generator.DEADLINE_KEY: moment},
            opts=self._child,
        )
        return moment

    def _rights(self) -> list[pulumi.Resource]:
        meta = ObjectMetaArgs(name=guard.GUARD, namespace=self._args.namespace)
        account = ServiceAccount(f"{self._name}-account", metadata=meta, opts=self._child)
        return [
            account,
            *grant(f"{self._name}-rights", meta, guard.rules(self._args.plan), account, self._child),
            *grant_nodes(
                f"{self._name}-nodes",
                account,
                namespace=self._args.namespace_name,
                account_name=guard.GUARD,
                limit=self._args.own_nodes,
                opts=self._child,
            ),
        ]


def _moment(created: str | None, seconds: int) -> str:
    if created is not None:
        return guard.deadline(created, seconds)
    if pulumi.runtime.is_dry_run():
        return f"{seconds} s after the clock is made"
    raise LookupError(f"the API server made the clock {CLOCK} and did not say when; run `pulumi up` again")
