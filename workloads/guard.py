"""The guard in the cluster: at the deadline it stops everything that holds Neuron cores, even if all else fails."""

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

CLOCK = "qwen-vllm-clock"


@dataclasses.dataclass(frozen=True, kw_only=True)
class GuardArgs:
    """Arguments of the guard."""

    namespace: pulumi.Input[str]
    namespace_name: str
    plan: Lineup
    node_pool: str
    """NodePool whose nodes it removes."""
    own_nodes: pulumi.Resource
    """The policy that keeps it from removing other nodes."""
    run: str
    """The experiment's name; a new name restarts the clock."""
    stop_after_seconds: int
    """Time from the creation of the clock to the deadline."""
    python_image: str
    after: collections.abc.Sequence[pulumi.Resource]
    """Resources without which there is no Neuron node; the clock starts after them."""


class Guard(pulumi.ComponentResource):
    """A CronJob that stops servers and compile Jobs at the deadline, and removes empty nodes.

    Children: ``<name>-clock``, ``-deadline``, ``-account``, ``-rights`` (Role and RoleBinding), ``-nodes`` (ClusterRole
    and its binding), ``-calls``, ``-code-<n>`` and ``-cron``. Takes its Kubernetes provider from ``opts``.

    The deadline is a duration after the API server created the clock, an object named by the run. The CronJob has it as
    a date, so neither a restart of the guard nor another ``pulumi up`` moves it. A changed budget moves it by the
    difference, a changed run sets a new one.
    """

    deadline: pulumi.Output[str]

    def __init__(self, name: str, args: GuardArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("optimal-tp:workloads:Guard", name, None, opts)
        self._name, self._args, self._child = name, args, pulumi.ResourceOptions(parent=self)
        self.deadline = self._deadline()
        rights = self._rights()
        parts = bundle(f"{guard.GUARD}-code", [guard.PROGRAM], installs=False)
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
            # Without these rights its calls are refused; without this code it does not start.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*rights, *code, calls]),
        )
        self.register_outputs({"deadline": self.deadline})

    def _deadline(self) -> pulumi.Output[str]:
        """Create the clock, and give the deadline to the load generator, which sees changes of it while it runs."""
        args = self._args
        clock = ConfigMap(
            f"{self._name}-clock",
            metadata={"name": f"{CLOCK}-{args.run}", "namespace": args.namespace},
            data={"run": args.run},
            immutable=True,
            # Time before any node can be launched costs nothing and does not count.
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
