"""The model's memory: one file that outlives every process, changed by one process at a time."""

import collections.abc
import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import pathlib
import time
import typing

from tests.engines.fakes_aws.kinds import REFERENCES, Reference

ACCOUNT: typing.Final = "111122223333"
Properties = dict[str, typing.Any]


class RefusedError(RuntimeError):
    """AWS says no. ``code`` is the API's error code."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(f"{code}: {sentence}")
        self.code = code


@dataclasses.dataclass(kw_only=True)
class Thing:
    """One resource. ``outputs`` has everything that Read returns, inputs included."""

    kind: str
    id: str
    urn: str
    inputs: Properties
    outputs: Properties

    @property
    def name(self) -> str:
        """Pulumi's logical name; AWS's own things have none."""
        return self.urn.rsplit("::", maxsplit=1)[-1] or self.id

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclasses.dataclass(kw_only=True)
class Instance:
    """An EC2 instance; it bills until it is terminated."""

    id: str
    owner: str
    """Id of its node group, or name of its node claim."""
    of_karpenter: bool
    role: str
    profile: str
    subnet: str
    groups: list[str]
    instance_type: str
    state: str = "running"


@dataclasses.dataclass(kw_only=True)
class World:
    """An account in one region."""

    region: str = "ap-southeast-4"
    things: dict[str, Thing] = dataclasses.field(default_factory=dict)
    """By kind and id, as ``key`` says."""
    instances: dict[str, Instance] = dataclasses.field(default_factory=dict)
    abandoned_interfaces: list[str] = dataclasses.field(default_factory=list)
    """Subnets with a network interface that nobody will delete, one entry for each."""
    harms: list[str] = dataclasses.field(default_factory=list)
    """What AWS allowed and what broke by it, as sentences."""
    journal: list[Properties] = dataclasses.field(default_factory=list)
    """Operations in the order in which they ended."""
    begun: int = 0
    """Operations that changed something or tried to."""
    last: int = 0
    """Number of the last id that was given."""

    def new_id(self, prefix: str) -> str:
        """Return an id that nothing has, 17 hexadecimal digits behind ``prefix``."""
        self.last += 1
        return f"{prefix}-{hashlib.sha256(str(self.last).encode()).hexdigest()[:17]}"

    def of(self, kind: str) -> list[Thing]:
        """Return everything of ``kind``, oldest first."""
        return [thing for thing in self.things.values() if thing.kind == kind]

    def find(self, kind: str, attribute: str, value: object) -> Thing | None:
        """Return the thing of ``kind`` whose ``attribute`` is ``value``."""
        found = (
            each for each in self.of(kind) if (each.id if attribute == "id" else each.outputs.get(attribute)) == value
        )
        return next(found, None)

    def users(self, target: Thing) -> collections.abc.Iterator[tuple[Thing, Reference]]:
        """Yield what refers to ``target`` and by which input."""
        for thing in self.things.values():
            for reference in REFERENCES[thing.kind]:
                wanted = target.id if reference.attribute == "id" else target.outputs.get(reference.attribute)
                if reference.kind == target.kind and wanted in values(thing.outputs, reference.path):
                    yield thing, reference

    def billing(self) -> list[Instance]:
        """Return the instances that cost money."""
        return [instance for instance in self.instances.values() if instance.state == "running"]


def key(kind: str, id_: str) -> str:
    """Return where a thing is kept."""
    return f"{kind} {id_}"


def values(properties: Properties, path: str) -> list[typing.Any]:
    """Return what stands at ``path``, entering lists; empty where nothing does."""
    found: list[typing.Any] = [properties]
    for part in path.split("."):
        nexts = [each.get(part) for each in found if isinstance(each, dict)]
        found = [item for each in nexts for item in (each if isinstance(each, list) else [each]) if item is not None]
    return found


@contextlib.contextmanager
def changing(path: pathlib.Path) -> collections.abc.Iterator[World]:
    """Give the world at ``path`` to one process alone, and keep what it does to it. A refusal keeps it as well."""
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        world = _load(path)
        try:
            yield world
        finally:
            draft = path.with_suffix(".draft")
            draft.write_text(json.dumps(dataclasses.asdict(world)), encoding="utf-8")
            os.replace(draft, path)  # noqa: PTH105 - a killed process leaves the old world or the new one


def seen(path: pathlib.Path) -> World:
    """Return the world at ``path`` as it is now."""
    return _load(path)


def _load(path: pathlib.Path) -> World:
    if not path.exists():
        return World()
    data = json.loads(path.read_text(encoding="utf-8"))
    data["things"] = {name: Thing(**each) for name, each in data["things"].items()}
    data["instances"] = {name: Instance(**each) for name, each in data["instances"].items()}
    return World(**data)


def noted(world: World, did: str, thing: Thing, began: float, error: str = "") -> None:
    """Write an operation into the journal. ``began`` is in seconds of the epoch."""
    entry = {"did": did, "what": str(thing), "urn": thing.urn, "id": thing.id, "began": began, "ended": time.time()}
    world.journal.append({**entry, "error": error})
