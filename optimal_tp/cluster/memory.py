"""The memory of a run or sweep that outlives its process: one object in the bucket that the next process reads.

The next process is the same container after a restart, or another pod if the first was evicted or lost its node.
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
    """The content of the object."""

    deadline: str
    """Deadline of the budget: UTC, ISO 8601."""
    run: str | None = None
    """Folder of the run or the sweep below the results; None before one has begun."""
    steps: dict[str, tuple[Step, ...]] = dataclasses.field(default_factory=dict)
    """Steps that ended before the load, in order, by the model's full name; failures are among them."""
    finished: bool = False
    """Whether there is a verdict."""
    schema_version: int = _VERSION


_FORM = pydantic.TypeAdapter(_Content)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MemoryPlace:
    """The place of the memory of one pod template within one budget.

    The names of pods of one template differ only at the end; another setting, image, code or ``loadtest.run`` means
    another template. A stack that is created again, or another budget, has a new deadline.
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
        """Return the content for this budget; None if there is none. Raises ValueError and botocore's errors."""
        listed = self.store.list_objects_v2(Bucket=self.bucket, Prefix=self.key).get("Contents", ())
        if self.key not in (each["Key"] for each in listed):
            return None
        text = self.store.get_object(Bucket=self.bucket, Key=self.key)["Body"].read().decode("utf-8")
        found = decode(_FORM, versioned(text, _VERSION, name=_NAME), name=_NAME)
        return found if found.deadline == self.deadline else None


class Memory:
    """The progress of all processes of one pod template within one budget.

    Each change writes it whole. A change that cannot be stored is reported and kept in the process; the next one stores
    both. An order remembers nothing beyond its process, and each process begins a run of its own, if the order does not
    stop its servers at the end, has no bucket, or has no deadline: without a bucket nothing outlives a pod, and without
    a deadline this stack's runs cannot be distinguished from another's in the same bucket.
    """

    def __init__(self, watcher: Watcher, place: MemoryPlace | None, content: _Content) -> None:
        """Continue with ``content``; without a ``place`` it is not stored."""
        self._watcher = watcher
        self._place = place
        self._content = content

    @classmethod
    def load(cls, order: Order, watcher: Watcher, *, store: "S3Client | None" = None) -> "Memory":
        """Return the memory of ``order`` in the bucket; if it cannot be read, report that and begin a new run.

        ``store`` None: S3 with the environment's credentials. Raises CapacityError for a deadline that cannot be read.
        """
        if order.afterwards != "stop" or order.bucket is None or order.deadline_file is None:
            return cls(watcher, None, _Content(deadline=""))
        bucket, prefix = order.bucket
        place = MemoryPlace(
            store=boto3.client("s3") if store is None else store,
            bucket=bucket,
            prefix=prefix,
            pod=platform.node(),
            deadline=read_deadline(order.deadline_file).isoformat(),
        )
        return cls.at(place, watcher)

    @classmethod
    def at(cls, place: MemoryPlace, watcher: Watcher) -> "Memory":
        """Return the memory in ``place``; if it cannot be read, report that and begin a new run."""
        found = None
        try:
            found = place.read()
        except (*_FAILURES, ValueError) as error:
            watcher.say(f"earlier progress cannot be read ({error}); a new run begins")
        return cls(watcher, place, found or _Content(deadline=place.deadline))

    @property
    def run(self) -> str | None:
        """Name of the run or the sweep and of its folder; None if none has begun."""
        return self._content.run

    @property
    def is_finished(self) -> bool:
        """Whether the run or the sweep has its verdict."""
        return self._content.finished

    def steps(self, model: str) -> tuple[Step, ...]:
        """Return the steps of the model called ``model``, in the order in which they ended."""
        return self._content.steps.get(model, ())

    def begin(self, run: str) -> None:
        """Remember that ``run`` has begun. Earlier steps stay, because compiled candidates serve every run."""
        self._change(dataclasses.replace(self._content, run=run, finished=False))

    def abandon(self) -> None:
        """Forget the current run, which cannot be resumed."""
        self._change(dataclasses.replace(self._content, run=None, finished=False))

    def add_step(self, model: str, step: Step) -> None:
        """Remember that ``step`` of ``model`` has ended."""
        steps = {**self._content.steps, model: (*self.steps(model), step)}
        self._change(dataclasses.replace(self._content, steps=steps))

    def finish(self) -> None:
        """Remember that there is a verdict."""
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
