"""A stack driven through ordered faults by the same command, again and again, and by a person's hand where it stops."""

import collections
import collections.abc
import dataclasses
import json
import re
import typing

from tests.engines.fakes_api_server import ControlPlane
from tests.engines.fakes_aws import account
from tests.engines.fakes_aws.faults import How, Key, struck
from tests.engines.fakes_aws.world import RefusedError, World, changing
from tests.engines.fakes_stack import STACK, Run, Stack

_EXISTS = re.compile(r"(\w+) (\S+) already exists")
_HELM_NAME = re.compile(r"Release \((\S+)\)|helm\.sh/v3:Release::(\S+)|kubernetes:helm\.sh/v3:Release resource '(\S+)'")
_HALF_MADE: typing.Final = (
    "cannot re-use a name that is still in use",
    "another operation (install/upgrade/rollback) is in progress",
    "has no deployed releases",
)
"""What Helm says where its record of a release and Pulumi's state do not agree."""
_GONE: typing.Final = "release: not found"
_MOST_HANDS = 60
CANCEL: typing.Final = ("cancel", "--yes", "--stack", STACK)
IMPORT: typing.Final = (
    *("import", "--yes", "--skip-preview", "--stack", STACK),
    *("--protect=false", "--generate-code=false", "--file"),
)
REFRESH: typing.Final = ("refresh", "--yes", "--skip-preview", "--clear-pending-creates")


@dataclasses.dataclass(kw_only=True)
class Course:
    """What it took to bring one command to its end."""

    struck: list[Key]
    """Operations that went wrong by order."""
    runs: int = 0
    hands: list[str] = dataclasses.field(default_factory=list)
    """What a person had to do, as sentences."""


def driven(stack: Stack, plane: ControlPlane, command: tuple[str, ...], how: How, places: range) -> Course:
    """Run ``command`` until it ends well, with faults at ``places``. Raises AssertionError where no hand is known."""
    stack.order_faults(how, places)
    # What does not depend on a fault goes on, and meets its own in the same run; what stands in the way shows at once.
    command = (*command, "--continue-on-error")
    course = Course(struck=[])
    while True:
        before, refused = len(course.struck), len(stack.world().journal)
        run = stack.pulumi(*command)
        course.struck, course.runs = struck(stack.model), course.runs + 1
        if run.status == 0:
            return course
        if run.status < 0:
            stack.pulumi(*CANCEL)
        if len(course.struck) == before:
            done = helped(stack, plane, run, refused)
            assert done, run.output
            course.hands += done
            assert len(course.hands) < _MOST_HANDS, course.hands


def helped(stack: Stack, plane: ControlPlane, run: Run, since: int) -> list[str]:
    """Take away what stands in the way of ``run``, as a person would; return what it was."""
    hands, found = [], []
    with changing(stack.model) as world:
        for entry in world.journal[since:]:
            exists = _EXISTS.search(entry["error"])
            thing = None if exists is None else world.things.get(f"{exists[1]} {exists[2]}")
            if thing is not None:
                found.append((entry["urn"], thing.id))
                hands.append(f"pulumi import {thing}: {entry['error']}")
        if not hands and any(entry["did"] == "delete" and entry["error"] for entry in world.journal[since:]):
            hands += [f"aws delete {name}: in the way of destroy" for name in _without_orphans(stack, world)]
    if found:
        _take_over(stack, found)
    said = next((sentence for sentence in (*_HALF_MADE, _GONE) if sentence in run.output), None)
    if said is not None:
        hands += [f"{each}: {said}" for each in _without_records(plane, run)] if said != _GONE else []
        assert stack.pulumi(*REFRESH).status == 0
        hands.append(f"pulumi {' '.join(REFRESH)}: {said}")
    return hands


def _take_over(stack: Stack, found: collections.abc.Iterable[tuple[str, str]]) -> None:
    """Import what exists, by URN and ID: the URN tells type, name and the parent's type, the state the parent."""
    known = [each["urn"] for each in _deployment(stack)["resources"]]
    names = {"provider": next(urn for urn in known if _type_of(urn) == "pulumi:providers:aws")}
    resources = []
    for urn, id_ in found:
        above, _, kind = _type_of(urn).rpartition("$")
        names[above] = next(each for each in known if _type_of(each) == above)
        resources.append(
            {"type": kind, "name": urn.rpartition("::")[2], "id": id_, "parent": above, "provider": "provider"}
        )
    file = stack.model.with_name("import.json")
    file.write_text(json.dumps({"nameTable": names, "resources": resources}), encoding="utf-8")
    run = stack.pulumi(*IMPORT, str(file))
    assert run.status == 0, run.output


def _type_of(urn: str) -> str:
    """Return the types of all that is above, and its own."""
    return urn.split("::")[2]


def _deployment(stack: Stack) -> dict[str, typing.Any]:
    found: dict[str, typing.Any] = json.loads(stack.pulumi("stack", "export", "--stack", STACK).output)["deployment"]
    return found


def orphans(stack: Stack, world: World) -> list[str]:
    """Return the keys of what is in the account and in no state."""
    known = {each.get("id") for each in _deployment(stack).get("resources", ())}
    return [name for name, thing in world.things.items() if thing.id not in known and thing.urn]


def _without_orphans(stack: Stack, world: World) -> list[str]:
    # The results bucket is meant to stay, and stands in nobody's way.
    names, gone = [name for name in orphans(stack, world) if not name.startswith("Bucket")], []
    for _ in names:
        for name in names:
            thing = world.things.get(name)
            if thing is not None:
                try:
                    account.delete(world, thing.kind, thing.id)
                except RefusedError:
                    continue
                gone.append(str(thing))
    return gone


def _without_records(plane: ControlPlane, run: Run) -> list[str]:
    """Delete the record of releases that the state does not have: Helm then adopts the objects, which are its own."""
    failed = {name for names in _HELM_NAME.findall(run.output) for name in names if name}
    path = "/api/v1/namespaces/kube-system/secrets"
    hands = []
    for secret in plane.ask("GET", f"{path}?labelSelector=owner%3Dhelm")[1]["items"]:
        labels = secret["metadata"]["labels"]
        release = {"karpenter-crd": "crds", "karpenter": "controller", "neuron": "chart"}[labels["name"]]
        if any(each.endswith(f"-{release}") for each in failed):
            plane.ask("DELETE", f"{path}/{secret['metadata']['name']}")
            hands.append(f"kubectl delete secret {secret['metadata']['name']} ({labels['status']})")
    return hands


def counted(sentences: list[str]) -> dict[str, int]:
    """Return how often each sentence is there, without the digits that differ."""
    return dict(collections.Counter(re.sub(r"[0-9a-f]{6,}", "…", each) for each in sentences))
