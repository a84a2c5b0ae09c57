"""The real program on the model of AWS, without an engine: made as it registers, destroyed as the engine would."""

import collections.abc
import copy
import dataclasses
import threading
import typing

from pulumi.runtime import mocks

from tests.engines.fakes_aws import account
from tests.engines.fakes_aws.kinds import NAMED_BY, REFERENCES
from tests.engines.fakes_aws.plugin import kind_of
from tests.engines.fakes_aws.world import Instance, Properties, RefusedError, Thing, World
from tests.fakes_pulumi import CLUSTER, Answers, Recorded, Recording, run_main
from tests.fakes_stack_files import stack_config

CHART, POOL = "karpenter-controller", "pool-nodes"
"""Logical names of Karpenter's chart and of the node pool."""
_PLANE_TRUST = '{"Version": "2012-10-17", "Statement": []}'


class Modelled(Answers):
    """Answers for ``aws:`` out of the model; what makes up the cluster component is made as the component makes it."""

    def __init__(self, recording: Recording, world: World) -> None:
        super().__init__(recording)
        self.world = world
        self.made: dict[str, list[Thing]] = {}
        """By logical name and kind, in the order of their making."""
        self._turn = threading.Lock()

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, typing.Any]]:
        """Make the resource in the model."""
        kind = kind_of(args.typ)
        with self._turn:
            if args.typ == CLUSTER:
                id_, state = super().new_resource(args)
                return id_, {**state, **self._component(args.name, args.inputs)}
            if not args.typ.startswith("aws:") or kind not in REFERENCES:
                return super().new_resource(args)
            inputs = dict(args.inputs)
            if kind in NAMED_BY:
                inputs.setdefault(NAMED_BY[kind][0], f"{args.name}-1a2b3c4")
            thing = self._make(kind, args.name, f"{kind} {args.name}", inputs)
            return thing.id, dict(thing.outputs)

    def _make(self, kind: str, name: str, owner: str, inputs: Properties) -> Thing:
        thing = account.create(self.world, kind, f"urn::{name}", inputs)
        self.made.setdefault(owner, []).append(thing)
        return thing

    def _component(self, name: str, inputs: Properties) -> Properties:
        """Make role, attachment and cluster (pulumi-eks 4.4, seen on the real engine)."""
        owner, role = f"Cluster {name}", f"{name}-eksRole"
        made = self._make("Role", role, owner, {"name": role, "assumeRolePolicy": _PLANE_TRUST})
        policy = {"role": role, "policyArn": "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy"}
        self._make("RolePolicyAttachment", role, owner, policy)
        cluster = {
            "name": inputs["name"],
            "roleArn": made.outputs["arn"],
            "vpcConfig": {"subnetIds": inputs["privateSubnetIds"]},
            "encryptionConfig": {"provider": {"keyArn": inputs["encryptionConfigKeyArn"]}},
            "enabledClusterLogTypes": inputs["enabledClusterLogTypes"],
            "deletionProtection": inputs.get("deletionProtection", False),
        }
        outputs = self._make("Cluster", f"{name}-eksCluster", owner, cluster).outputs
        return {"clusterSecurityGroupId": outputs["vpcConfig"]["clusterSecurityGroupId"]}


@dataclasses.dataclass(kw_only=True)
class Account:
    """An account after ``up``, with two Neuron nodes that Karpenter launched for the pool."""

    world: World
    recording: Recording
    made: dict[str, list[Thing]]
    refused: list[str] = dataclasses.field(default_factory=list)

    def launch(self) -> None:
        """Let Karpenter launch the two nodes of the plan."""
        pool = self.recording.one("EC2NodeClass pool-class").inputs["spec"]
        for number in (1, 2):
            instance = Instance(
                id=self.world.new_id("i"),
                owner=f"claim-{number}",
                of_karpenter=True,
                role=self.made["Role karpenter-node"][0].outputs["name"],
                profile=pool["instanceProfile"],
                subnet=pool["subnetSelectorTerms"][0]["id"],
                groups=[term["id"] for term in pool["securityGroupSelectorTerms"]],
                instance_type="trn2.3xlarge",
            )
            account.launch(self.world, instance)

    def destroy(self, order: collections.abc.Iterable[Recorded]) -> None:
        """Delete in ``order``; a refusal is written down and stops it, as it stops the engine."""
        gone: set[str] = set()
        for each in order:
            gone.add(each.name)
            if each.name == POOL and CHART not in gone:
                # The pool's delete ends when its instances have: Karpenter is there and ends them.
                for instance in self.world.billing():
                    if instance.of_karpenter:
                        account.terminate(self.world, instance.id)
            if each.retained:
                continue
            for thing in reversed(self.made.get(each.key, [])):
                try:
                    account.delete(self.world, thing.kind, thing.id)
                except RefusedError as refused:
                    self.refused.append(str(refused))
                    return


def up(file: str, *, is_protected: bool = False) -> Account:
    """Run the program with ``file`` on an empty account, and launch its nodes."""
    config = copy.deepcopy(stack_config(file))
    config["optimal-tp:infra"]["control_plane"]["deletion_protection"] = is_protected
    world = World(region=config["aws:region"])
    answers: list[Modelled] = []

    def modelled(recording: Recording) -> Modelled:
        answers.append(Modelled(recording, world))
        return answers[0]

    recording = run_main(config, stack=file.split(".")[1], answers=modelled)
    found = Account(world=world, recording=recording, made=answers[0].made)
    found.launch()
    return found
