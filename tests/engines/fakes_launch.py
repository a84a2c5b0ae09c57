"""The program's pool and servers, given to the real Karpenter in a region of moto's; what it decides."""

import collections.abc
import contextlib
import dataclasses
import datetime as dt
import functools
import http
import pathlib

from infra.nodes import karpenter_values
from optimal_tp.account.inquiry import Inquiry
from optimal_tp.account.preflight.checks import checks
from optimal_tp.account.preflight.context import Credentials, Scene
from optimal_tp.account.questions import Unknown
from optimal_tp.cli.preflight import experiment
from optimal_tp.plan.stack import Stack, compose
from optimal_tp.settings.infra import InfraSettings, Registries, parse_infra
from optimal_tp.settings.stack_keys import PROJECT, SECTIONS
from tests.engines.fakes_api_server import ControlPlane, control_plane
from tests.engines.fakes_cluster import (
    NAMESPACE,
    Manifest,
    apply_all,
    manifests,
    path_of,
    placed,
    planned,
    scheduling,
    servers,
    started,
    until,
)
from tests.engines.fakes_karpenter import claims, furnish, instances, karpenter, nodes
from tests.engines.fakes_region import ACCOUNT, Kind, Region, Reservation, region
from tests.fakes_pulumi import Recording, run_main
from tests.fakes_schemas import PREFIX
from tests.fakes_stack_files import EXISTING
from tests.fakes_workloads import changed, side_by_side

HELD = "cr-0fedcba9876543210"
"""A reservation; not the one that the stack files give as an example."""
POOL = ("NodeOverlay", "EC2NodeClass", "NodePool")
"""What Karpenter is told, in the order in which the program makes it."""
_GIVEN_UP = "Failed to schedule pod, "
"""How Karpenter's event of a pod begins; the scheduler's own say something else."""
_DECISION_SECONDS = 60.0
_LAUNCH_SECONDS = 60.0
_DELETE_SECONDS = 60.0
_TYPE, _CAPACITY = "node.kubernetes.io/instance-type", "karpenter.sh/capacity-type"
_OF_CLUSTERS = ("cluster_name", "network", "control_plane", "system_nodes", "addons", "prices")
"""Settings of a cluster that the program makes itself."""
_CONTROLLERS = (
    "daemonset-controller",
    "node-lifecycle-controller",
    "persistentvolume-protection-controller",
    "persistentvolumeclaim-protection-controller",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Launch:
    """A control plane with Karpenter, to which the program's objects can be given."""

    plane: ControlPlane
    aws: Region
    stack: Stack
    recording: Recording

    @property
    def settings(self) -> InfraSettings:
        """The infra section, on the cluster that is there."""
        return self.stack.infra

    def pool(self) -> list[Manifest]:
        """Return what Karpenter is told by the program."""
        found = [each for each in manifests(self.recording) if each["kind"] in POOL]
        return sorted(found, key=lambda each: POOL.index(each["kind"]))

    def give(self, objects: list[Manifest] | None = None) -> None:
        """Apply ``objects`` as Pulumi does; without them the pool and the servers, as the program has them.

        Each object of the pool is Ready, and each claim of the pods bound, before what depends on it is made: Karpenter
        passes over a pod that comes earlier, and looks at it again only 10 s later.
        """
        if objects is None:
            # Small servers first, which is the hardest: each takes a node, and the largest fits nowhere.
            objects = [*self.pool(), *sorted(servers(self.recording), key=_size)]
        pods = [each for each in objects if each["kind"] == "Deployment"]
        for each in objects:
            if each not in pods:
                apply_all(self.plane, [each])
                if each["kind"] in POOL:
                    until(functools.partial(self.is_ready, each), f"the {each['kind']} is ready")
        until(self._are_bound, "the claims of the pods are bound")
        apply_all(self.plane, pods)

    def is_ready(self, manifest: Manifest) -> bool:
        """Return whether Karpenter says that what was applied as ``manifest`` is ready."""
        found = self.plane.ask("GET", path_of(manifest))[1].get("status", {}).get("conditions", [])
        return any(each["type"] == "Ready" and each["status"] == "True" for each in found)

    def take(self, objects: collections.abc.Iterable[Manifest]) -> None:
        """Delete ``objects`` at once, as Pulumi does: in the foreground, and wait until each is gone."""
        paths = [path_of(each) for each in objects]
        for path in paths:
            self.plane.ask("DELETE", path, {"propagationPolicy": "Foreground"})
        for path in paths:
            until(functools.partial(self._is_gone, path), f"{path} is gone", seconds=_DELETE_SECONDS)

    def _is_gone(self, path: str) -> bool:
        return self.plane.ask("GET", path)[0] == http.HTTPStatus.NOT_FOUND

    def _are_bound(self) -> bool:
        found = self.plane.ask("GET", f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims")[1]["items"]
        return all(each["status"].get("phase") == "Bound" for each in found)

    def given_up(self) -> dict[str, str]:
        """Return the servers that Karpenter could launch nothing for, and why: warnings of their namespace."""
        events = self.plane.ask("GET", f"/api/v1/namespaces/{NAMESPACE}/events?fieldSelector=type=Warning")[1]["items"]
        found = [each for each in events if each["message"].startswith(_GIVEN_UP)]
        return {
            each["involvedObject"]["name"].rsplit("-", 2)[0]: each["message"].removeprefix(_GIVEN_UP) for each in found
        }

    def gives_up(self) -> dict[str, str]:
        """Wait until Karpenter gives up on a server, and return what :meth:`given_up` says then."""
        until(lambda: bool(self.given_up()), "Karpenter gave up on a server", seconds=_DECISION_SECONDS)
        return self.given_up()

    def launched(self) -> list[tuple[str, str]]:
        """Return type and capacity type of each node claim, sorted, when all of them are launched."""

        def are_launched() -> bool:
            return all(
                _CAPACITY in each["metadata"]["labels"] and each["status"].get("providerID")
                for each in claims(self.plane)
            )

        until(are_launched, "every claim has an instance", seconds=_DECISION_SECONDS)
        labels = [each["metadata"]["labels"] for each in claims(self.plane)]
        return sorted((each[_TYPE], each[_CAPACITY]) for each in labels)

    def decides(self, count: int) -> list[tuple[str, str]]:
        """Wait until ``count`` nodes are claimed, and return what :meth:`launched` says then."""
        until(lambda: len(claims(self.plane)) >= count, f"{count} claims", seconds=_DECISION_SECONDS)
        return self.launched()

    def places(self, count: int) -> set[frozenset[str]]:
        """Wait until ``count`` servers have nodes, and return which share one."""
        until(lambda: self._has_placed(count), f"{count} servers have nodes", seconds=_LAUNCH_SECONDS)
        return self.together()

    def _has_placed(self, count: int) -> bool:
        furnish(self.plane)
        return len([node for node in placed(self.plane).values() if node is not None]) >= count

    def together(self) -> set[frozenset[str]]:
        """Return the servers that share a node, by node."""
        where = placed(self.plane)
        found = {node for node in where.values() if node is not None}
        return {frozenset(name for name in where if where[name] == node) for node in found}

    def planned(self) -> list[tuple[str, str]]:
        """Return what :meth:`launched` has to say by the plan printed at preview, if all of it is reserved."""
        return [(self.settings.neuron.instance_type, "reserved")] * len(planned(self.recording))

    def foretold(self) -> dict[str, str]:
        """Return the state of each row that the preflight command has about launching."""
        scene = Scene(
            settings=self.settings,
            experiment=experiment(self.stack),
            ask=Inquiry(self.aws.client),
            account=ACCOUNT,
            caller_arn=f"arn:aws:iam::{ACCOUNT}:user/test",
            credentials=Credentials(source="a test", end="none"),
            address=lambda: Unknown(reason="no network here"),
            logins=lambda _: (),
            manifest=lambda _: Unknown(reason="no registry here"),
            has_chart=lambda _: False,
            aws_command=None,
            now=dt.datetime.now(dt.UTC),
        )
        kinds = ("trn2", "reserv", "price", "AMI", "image and AMI")
        return {row.check: row.state for row in checks(scene) if row.check.startswith(kinds)}

    def is_empty(self) -> bool:
        """Return whether no claim, no node and no instance is left."""
        return [*claims(self.plane), *nodes(self.plane), *instances(self.plane)] == []


def _size(manifest: Manifest) -> tuple[str, ...]:
    """Return what sorts servers by degree behind all that they need, which stays in its order."""
    return ("server", manifest["metadata"]["name"]) if manifest["kind"] == "Deployment" else ()


@contextlib.contextmanager
def launching(
    folder: pathlib.Path,
    file: str = "Pulumi.dev.yaml",
    /,
    *,
    reserved: int | None = None,
    kind: Kind = "capacity-block",
    prices: collections.abc.Mapping[str, float] | None = None,
    overlays: bool | None = None,
    **changes: object,
) -> collections.abc.Iterator[Launch]:
    """Run the program of ``file`` for a cluster that is there, and Karpenter beside it; nothing is applied yet.

    The dev stack has its servers side by side unless ``changes`` say otherwise.
    ``reserved`` instances are in the reservation HELD, which is of ``kind``; None if there is no such reservation.
    ``prices`` are what AWS publishes. ``overlays`` is Karpenter's gate for prices of ours; without it the gate is as
    our chart values have it.
    """
    if file == "Pulumi.dev.yaml":
        changes = side_by_side(**changes)
    settings = parse_infra(changed(file, **changes)["optimal-tp:infra"], file=file)
    neuron = settings.neuron
    there = [
        Reservation(id=HELD, instances=instances, kind=kind, zone=neuron.zones[0], instance_type=neuron.instance_type)
        for instances in (reserved,)
        if instances is not None
    ]
    with contextlib.ExitStack() as running:
        aws = running.enter_context(region(settings, reservations=there, prices=prices))
        existing = {
            **EXISTING,
            "cluster_name": aws.cluster,
            "subnet_ids": aws.subnets,
            "security_group_ids": [aws.group],
            "instance_profile": aws.profile,
        }
        config = {**changed(file, **changes, infra__existing=existing), "aws:region": settings.region}
        for key in _OF_CLUSTERS:
            config["optimal-tp:infra"].pop(key, None)
        stack = compose({each: config.get(f"{PROJECT}:{each}") for each in SECTIONS}, settings.region, file=file)
        settings = stack.infra
        recording = run_main(config, stack=file.split(".")[1])
        plane = running.enter_context(control_plane(folder))
        running.enter_context(karpenter(plane, aws, _gates(settings, overlays=overlays)))
        running.enter_context(scheduling(plane, controllers=_CONTROLLERS))
        yield Launch(plane=plane, aws=aws, stack=stack, recording=recording)


def _gates(settings: InfraSettings, *, overlays: bool | None) -> dict[str, bool]:
    values = karpenter_values(
        cluster_name="theirs",
        region=settings.region,
        queue_name="queue",
        overlays=settings.neuron.karpenter_needs_a_price,
        dry_run=settings.karpenter_dry_run,
        registries=Registries(),
    )
    gates: dict[str, bool] = values["settings"]["featureGates"]
    return gates if overlays is None else {**gates, "nodeOverlay": overlays}


def by_turns(recording: Recording) -> list[list[Manifest]]:
    """Return the objects of pool and servers in the order of ``pulumi destroy``: each list may go at once."""
    outlive = recording.must_outlive()
    chosen = {path_of(each) for each in servers(recording)}
    left = {}
    for each in recording.resources:
        if each.type.startswith(PREFIX) and not each.type.startswith(f"{PREFIX}helm.sh"):
            [manifest] = manifests(Recording(resources=[each]))
            if manifest["kind"] in POOL or path_of(manifest) in chosen:
                left[each.urn] = started(manifest)
    found = []
    while left:
        free = [urn for urn in left if not any(urn in outlive[other] for other in left)]
        found.append([left.pop(urn) for urn in free])
    return found
