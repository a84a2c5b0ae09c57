"""What runs on instances, played: kubelets of every node, and a stand-in for Karpenter that obeys the model of AWS.

The stand-in launches one instance per planned node, has the finalizers of the real one, works only while its chart is
installed and ready, and can end an instance only while it has its rights in the model. What it decides is not tested
here; that is what the real one is for.
"""

import collections
import contextlib
import http
import pathlib
import threading
import time
import typing

from tests.engines.fakes_api_server import ControlPlane
from tests.engines.fakes_aws.account import launch, terminate
from tests.engines.fakes_aws.world import Instance, RefusedError, World, changing, seen

Object = dict[str, typing.Any]
PLANNED: typing.Final = "optimal-tp/planned-node"
_CLAIM_FINALIZER, _CLASS_FINALIZER = "karpenter.sh/termination", "karpenter.k8s.aws/termination"
_LOOK_SECONDS = 0.25
_PATCH = "application/merge-patch+json"
_NEXT_TIME = {http.HTTPStatus.NOT_FOUND, http.HTTPStatus.CONFLICT, http.HTTPStatus.TOO_MANY_REQUESTS}
_NEURON = {
    "cpu": "11900m",
    "memory": "120556Mi",
    "pods": "30",
    "aws.amazon.com/neuron": "1",
    "aws.amazon.com/neuroncore": "4",
}
_SYSTEM = {"cpu": "1930m", "memory": "7000Mi", "pods": "29"}
_CLAIMS, _NODES = "/apis/karpenter.sh/v1/nodeclaims", "/api/v1/nodes"
_POOLS, _CLASSES = "/apis/karpenter.sh/v1/nodepools", "/apis/karpenter.k8s.aws/v1/ec2nodeclasses"


class Nodes:
    """Kubelets and Karpenter, a step at a time. ``model`` is the file of the model.

    A pod runs ``start_seconds`` after it was first seen bound: what its images take.
    """

    def __init__(self, plane: ControlPlane, model: pathlib.Path, start_seconds: float = 0) -> None:
        self._plane, self._model, self._start_seconds = plane, model, start_seconds
        self._bound: dict[str, float] = {}
        """When each pod was first seen on its node, by its uid."""
        self.outcomes: dict[str, typing.Literal["succeed", "fail", "die once"]] = {}
        """What becomes of the containers of a Job or a server, by the label ``app`` of its pods."""
        self.without_capacity: set[str] = set()
        """Planned nodes for which no instance is to be had."""
        self.outlived: list[str] = []
        """Instances that ran on after their claim was gone, as sentences."""

    def step(self) -> None:
        """Look once at everything, and do what there is to do."""
        self._system_nodes()
        self._kubelets()
        if self._karpenter_runs():
            self._class()
            self._pool()
            self._claims()
        self._watch()

    def _list(self, path: str) -> list[Object]:
        status, found = self._plane.ask("GET", path)
        # No such kind yet, or one whose storage is being made.
        if status in {http.HTTPStatus.NOT_FOUND, http.HTTPStatus.TOO_MANY_REQUESTS}:
            return []
        items: list[Object] = found["items"]
        return items

    def _ask(self, method: str, path: str, body: object = None) -> None:
        """Do it unless the object has changed or gone meanwhile; the next look sees that."""
        status, found = self._plane.ask(method, path, body, kind=_PATCH if method == "PATCH" else "application/json")
        if status >= http.HTTPStatus.BAD_REQUEST and status not in _NEXT_TIME:
            raise ValueError(f"{method} {path}: {status} {found.get('message')}")

    def _system_nodes(self) -> None:
        world = seen(self._model)
        wanted = {each.id: each for each in world.billing() if not each.of_karpenter}
        there = {node["metadata"]["name"] for node in self._list(_NODES) if PLANNED not in node["metadata"]["labels"]}
        for name in wanted.keys() - there:
            self._join(name, {}, _SYSTEM, [])
        for name in there - wanted.keys():
            self._leave(name)

    def _join(self, name: str, labels: Object, capacity: Object, taints: list[Object]) -> None:
        labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", **labels}
        self._ask("POST", _NODES, {"metadata": {"name": name, "labels": labels}, "spec": {"taints": taints}})
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "played"}
        status = {"capacity": capacity, "allocatable": capacity, "conditions": [ready]}
        self._ask("PATCH", f"{_NODES}/{name}/status", {"status": status})

    def _leave(self, name: str) -> None:
        """Take a node away with its pods: nobody is left who could end them."""
        for pod in self._pods():
            if pod["spec"].get("nodeName") == name:
                self._end(pod)
        self._ask("DELETE", f"{_NODES}/{name}")

    def _pods(self) -> list[Object]:
        return self._list("/api/v1/pods")

    def _end(self, pod: Object) -> None:
        options = {"gracePeriodSeconds": 0}
        self._ask(
            "DELETE", f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}", options
        )

    def _kubelets(self) -> None:
        """Run every pod that is bound, let those of Jobs succeed, and end those that are to go."""
        nodes = {node["metadata"]["name"] for node in self._list(_NODES)}
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        # The scheduler keeps off a node that does not renew its lease; the controllers would taint it.
        for pod in self._pods():
            meta, node = pod["metadata"], pod["spec"].get("nodeName")
            if node is None:
                continue
            if "deletionTimestamp" in meta or node not in nodes:
                self._end(pod)
                continue
            if pod["status"].get("phase") != "Pending":
                continue
            if time.monotonic() < self._bound.setdefault(meta["uid"], time.monotonic()) + self._start_seconds:
                continue
            is_job = any(owner["kind"] == "Job" for owner in meta.get("ownerReferences", []))
            outcome = self.outcomes.get(meta.get("labels", {}).get("app", ""), "succeed")
            phase = ("Failed" if outcome == "fail" else "Succeeded") if is_job else "Running"
            ran = {"startedAt": now, "finishedAt": now, "exitCode": int(phase == "Failed")}
            container: Object = {"name": "main", "image": "", "imageID": "", "ready": not is_job, "restartCount": 0}
            container["state"] = {"terminated": ran} if is_job else {"running": {"startedAt": now}}
            if outcome == "die once":
                died = {"startedAt": now, "finishedAt": now, "exitCode": 1, "reason": "Error"}
                container |= {"restartCount": 1, "lastState": {"terminated": died}}
            kinds = ("PodScheduled", "Initialized", "ContainersReady", "Ready")
            conditions = [{"type": kind, "status": "True", "lastTransitionTime": now} for kind in kinds]
            path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/status"
            status = {"phase": phase, "startTime": now, "podIP": "10.1.0.1", "conditions": conditions}
            status["containerStatuses"] = [container]
            self._ask("PATCH", path, {"status": status})

    def _karpenter_runs(self) -> bool:
        _, found = self._plane.ask("GET", "/apis/apps/v1/namespaces/kube-system/deployments/karpenter")
        status = found.get("status")
        return isinstance(status, dict) and bool(status.get("readyReplicas"))

    def _class(self) -> None:
        for each in self._list(_CLASSES):
            path, finalizers = f"{_CLASSES}/{each['metadata']['name']}", each["metadata"].get("finalizers", [])
            if "deletionTimestamp" in each["metadata"]:
                if _CLASS_FINALIZER in finalizers and not self._list(_CLAIMS) and self._may("resource-discovery"):
                    self._without(path, each, _CLASS_FINALIZER)
            elif _CLASS_FINALIZER not in finalizers:
                self._hold(path, each, [*finalizers, _CLASS_FINALIZER])
                self._ask("PATCH", f"{path}/status", {"status": {"conditions": [_ready()]}})

    def _without(self, path: str, seen_as: Object, finalizer: str) -> None:
        self._hold(path, seen_as, [each for each in seen_as["metadata"].get("finalizers", []) if each != finalizer])

    def _hold(self, path: str, seen_as: Object, finalizers: list[str]) -> None:
        """Give the object these finalizers, unless it changed: the garbage collector takes its own away meanwhile."""
        version = seen_as["metadata"]["resourceVersion"]
        self._ask("PATCH", path, {"metadata": {"resourceVersion": version, "finalizers": finalizers}})

    def _may(self, part: str) -> bool:
        """Return whether the controller still has the rights called ``part``."""
        return any(each.name == f"karpenter-{part}" for each in seen(self._model).of("RolePolicyAttachment"))

    def _pool(self) -> None:
        for pool in self._list(_POOLS):
            path, name = f"{_POOLS}/{pool['metadata']['name']}", pool["metadata"]["name"]
            if "deletionTimestamp" in pool["metadata"]:
                continue
            if not pool.get("status", {}).get("conditions"):
                self._ask("PATCH", f"{path}/status", {"status": {"conditions": [_ready()]}})
            claims = self._list(_CLAIMS)
            held = {claim["metadata"]["labels"][PLANNED] for claim in claims}
            wanted = {
                pod["metadata"]["labels"][PLANNED]
                for pod in self._pods()
                if "nodeName" not in pod["spec"] and PLANNED in pod["metadata"].get("labels", {})
            }
            room = int(pool["spec"]["limits"]["nodes"]) - len(claims)
            for group in sorted(wanted - held)[:room]:
                self._claim(name, pool, group)

    def _claim(self, name: str, pool: Object, group: str) -> None:
        owner = {
            "apiVersion": "karpenter.sh/v1",
            "kind": "NodePool",
            "name": name,
            "uid": pool["metadata"]["uid"],
            "blockOwnerDeletion": True,
        }
        labels = {PLANNED: group, "karpenter.sh/nodepool": name}
        meta = {
            "generateName": f"{name}-",
            "labels": labels,
            "finalizers": [_CLAIM_FINALIZER],
            "ownerReferences": [owner],
        }
        spec = {**pool["spec"]["template"]["spec"], "resources": {}}
        body = {"apiVersion": "karpenter.sh/v1", "kind": "NodeClaim", "metadata": meta, "spec": spec}
        self._ask("POST", _CLAIMS, body)

    def _claims(self) -> None:
        pods = collections.defaultdict(list)
        for pod in self._pods():
            pods[pod["spec"].get("nodeName")].append(pod)
        for claim in self._list(_CLAIMS):
            name = claim["metadata"]["name"]
            with changing(self._model) as world:
                mine = next((each for each in world.billing() if each.owner == name), None)
                if mine is None and "deletionTimestamp" not in claim["metadata"]:
                    with contextlib.suppress(RefusedError):
                        is_had = claim["metadata"]["labels"][PLANNED] not in self.without_capacity
                        mine = self._launch(world, claim) if is_had else None
            if "deletionTimestamp" in claim["metadata"]:
                self._finish(claim, mine, pods)
            elif mine is not None:
                labels = {**claim["metadata"]["labels"], "node.kubernetes.io/instance-type": mine.instance_type}
                self._join(mine.id, labels, _NEURON, [{"key": "aws.amazon.com/neuron", "effect": "NoSchedule"}])
                if not claim.get("status", {}).get("nodeName"):
                    done = [{**_ready(), "type": kind} for kind in ("Launched", "Registered", "Initialized")]
                    status = {"nodeName": mine.id, "providerID": f"aws:///{mine.id}", "conditions": done}
                    self._ask("PATCH", f"{_CLAIMS}/{name}/status", {"status": status})

    def _launch(self, world: World, claim: Object) -> Instance | None:
        classes = self._list(_CLASSES)
        profile = world.find("InstanceProfile", "name", classes[0]["spec"]["instanceProfile"]) if classes else None
        if profile is None or not self._may("node-lifecycle"):
            return None
        spec = classes[0]["spec"]
        instance = Instance(
            id=world.new_id("i"),
            owner=claim["metadata"]["name"],
            of_karpenter=True,
            role=profile.inputs["role"],
            profile=profile.outputs["name"],
            subnet=spec["subnetSelectorTerms"][0]["id"],
            groups=[term["id"] for term in spec["securityGroupSelectorTerms"]],
            instance_type="trn2.3xlarge",
        )
        launch(world, instance)
        return instance

    def _finish(self, claim: Object, mine: Instance | None, pods: dict[str | None, list[Object]]) -> None:
        """Drain, end the instance, let the claim go; pods that must not be disrupted hold all of it up."""
        path = f"{_CLAIMS}/{claim['metadata']['name']}"
        if mine is not None:
            held = [
                pod
                for pod in pods[mine.id]
                if pod["metadata"].get("annotations", {}).get("karpenter.sh/do-not-disrupt") == "true"
                and pod["status"].get("phase") not in {"Succeeded", "Failed"}
            ]
            if held or not self._may("node-lifecycle"):
                return
            with changing(self._model) as world:
                terminate(world, mine.id)
            self._leave(mine.id)
        self._without(path, claim, _CLAIM_FINALIZER)

    def _watch(self) -> None:
        claims = {claim["metadata"]["name"] for claim in self._list(_CLAIMS)}
        for instance in seen(self._model).billing():
            sentence = f"{instance.id} runs on without its claim {instance.owner}"
            if instance.of_karpenter and instance.owner not in claims and sentence not in self.outlived:
                self.outlived.append(sentence)


def _ready() -> Object:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {"type": "Ready", "status": "True", "reason": "Ready", "message": "", "lastTransitionTime": now}


@contextlib.contextmanager
def playing(nodes: Nodes) -> typing.Iterator[Nodes]:
    """Play ``nodes`` until the end; what went wrong in it is raised there."""
    stop, wrong = threading.Event(), []

    def play() -> None:
        while not stop.wait(_LOOK_SECONDS):
            try:
                nodes.step()
            except (OSError, KeyError, TypeError, ValueError) as error:
                wrong.append(error)

    thread = threading.Thread(target=play, name="nodes")
    thread.start()
    try:
        yield nodes
    finally:
        stop.set()
        thread.join()
    if wrong:
        raise wrong[0]
