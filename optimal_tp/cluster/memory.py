"""What a run or a sweep must not forget when its process dies: one object in the bucket that the next process reads.

The next one is the same container started again, or another pod where the first was evicted or its node is gone.
"""

import dataclasses
import platform
import typing

import boto3
import botocore.exceptions
import pydantic

from optimal_tp.cluster.deadline import read_deadline
from optimal_tp.cluster.order import Order
from optimal_tp.measurement.record import decode, encode, versioned
from optimal_tp.measurement.steps import Step
from optimal_tp.telemetry.console import Watcher

if typing.TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_FOLDER = "memory"
_NAME = "run's memory"
_VERSION = 1
_FAILURES = (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Content:
    """The object."""

    deadline: str
    """Of the budget: UTC, ISO 8601."""
    run: str | None = None
    """Folder of the run or the sweep below the results; None before one was begun."""
    steps: dict[str, tuple[Step, ...]] = dataclasses.field(default_factory=dict)
    """What has ended before the load, in that order, by the model's whole name; words are in it."""
    finished: bool = False
    """Whether it has its verdict."""
    schema_version: int = _VERSION


_FORM = pydantic.TypeAdapter(_Content)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """Where the memory of one pod template within one budget stands.

    Pods of one template have one name but for its end; another setting, image, code or ``loadtest.run`` is another
    template. The deadline begins anew with a stack that is made again, and with another budget.
    """

    store: "S3Client"
    bucket: str
    prefix: str
    pod: str
    """The pod's name."""
    deadline: str

    @property
    def key(self) -> str:
        """The object's key."""
        return "/".join(filter(None, (self.prefix, _FOLDER, f"{self.pod.rpartition('-')[0] or self.pod}.json")))

    def read(self) -> _Content | None:
        """Return what is there of this budget; None where there is none. Raises ValueError, and botocore's errors."""
        listed = self.store.list_objects_v2(Bucket=self.bucket, Prefix=self.key).get("Contents", ())
        if self.key not in (each["Key"] for each in listed):
            return None
        text = self.store.get_object(Bucket=self.bucket, Key=self.key)["Body"].read().decode("utf-8")
        found = decode(_FORM, versioned(text, _VERSION, name=_NAME), name=_NAME)
        return found if found.deadline == self.deadline else None


class Memory:
    """What the processes of one pod template within one budget have done so far.

    It is written whole at each change. A change that cannot be stored is said and kept here: the next one stores both.
    An order without a bucket or a deadline, or after which nobody stays, remembers nothing beyond this process: without
    a bucket there is no place that outlives a pod, and without a deadline nothing tells this stack's runs from those of
    another on the same bucket. Each of its processes begins a run of its own.
    """

    def __init__(self, watcher: Watcher, place: Place | None, content: _Content) -> None:
        """Go on with ``content``; with no ``place`` it is kept nowhere."""
        self._watcher = watcher
        self._place = place
        self._content = content

    @classmethod
    def load(cls, order: Order, watcher: Watcher, *, store: "S3Client | None" = None) -> "Memory":
        """Return what the bucket has of ``order``; what cannot be read is said, and a new run begins.

        ``store`` absent: S3 with the environment's credentials. Raises CapacityError for a deadline that cannot be
        read.
        """
        if order.afterwards != "stop" or order.bucket is None or order.deadline_file is None:
            return cls(watcher, None, _Content(deadline=""))
        bucket, prefix = order.bucket
        place = Place(
            store=boto3.client("s3") if store is None else store,
            bucket=bucket,
            prefix=prefix,
            pod=platform.node(),
            deadline=read_deadline(order.deadline_file).isoformat(),
        )
        return cls.at(place, watcher)

    @classmethod
    def at(cls, place: Place, watcher: Watcher) -> "Memory":
        """Return what is in ``place``; what cannot be read is said, and a new run begins."""
        found = None
        try:
            found = place.read()
        except (*_FAILURES, ValueError) as error:
            watcher.say(f"earlier progress cannot be read ({error}); a new run begins")
        return cls(watcher, place, found or _Content(deadline=place.deadline))

    @property
    def run(self) -> str | None:
        """Name of the run or the sweep, which is its folder's; None where none was begun."""
        return self._content.run

    @property
    def is_finished(self) -> bool:
        """Whether the run or the sweep has its verdict."""
        return self._content.finished

    def steps(self, model: str) -> tuple[Step, ...]:
        """Return the steps of the model called ``model``, in the order in which they ended."""
        return self._content.steps.get(model, ())

    def begin(self, run: str) -> None:
        """Keep that ``run`` is under way. Steps stay, with their words: what was compiled is so for every run."""
        self._change(dataclasses.replace(self._content, run=run, finished=False))

    def abandon(self) -> None:
        """Keep that no run is under way: the one that was cannot be gone on with."""
        self._change(dataclasses.replace(self._content, run=None, finished=False))

    def add_step(self, model: str, step: Step) -> None:
        """Keep that ``step`` of ``model`` has ended."""
        steps = {**self._content.steps, model: (*self.steps(model), step)}
        self._change(dataclasses.replace(self._content, steps=steps))

    def finish(self) -> None:
        """Keep that the verdict is there."""
        self._change(dataclasses.replace(self._content, finished=True))

    def _change(self, content: _Content) -> None:
        self._content = content
        if self._place is None:
            return
        body = encode(_FORM, self._content).encode()
        try:
            self._place.store.put_object(Bucket=self._place.bucket, Key=self._place.key, Body=body)
        except _FAILURES as error:
            self._watcher.say(f"progress cannot be stored, so a restart would begin a new run ({error})")
