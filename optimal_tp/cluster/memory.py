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
from optimal_tp.facts.candidates import Candidate
from optimal_tp.measurement.record import decode, encode, versioned
from optimal_tp.measurement.steps import Step, StepGate
from optimal_tp.settings.candidates import CandidateName
from optimal_tp.telemetry.console import Watcher

if typing.TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_FOLDER = "memory"
_NAME = "run's memory"
_VERSION = 1
_FAILURES = (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Word:
    """How a candidate ended before it was measured to its end."""

    candidate: CandidateName
    gate: StepGate
    reason: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelMemory:
    """What is remembered of one model."""

    steps: tuple[Step, ...] = ()
    """In the order in which they ended."""
    words: tuple[Word, ...] = ()
    """One of each candidate at most."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Content:
    """The object."""

    deadline: str
    """Of the budget: UTC, ISO 8601."""
    run: str | None = None
    """Folder of the run or the sweep below the results; None before one was begun."""
    models: dict[str, ModelMemory] = dataclasses.field(default_factory=dict)
    """By the model's whole name."""
    finished: bool = False
    """Whether it has its verdict."""
    schema_version: int = _VERSION


_FORM = pydantic.TypeAdapter(_Content)
_NOTHING = ModelMemory()


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
            watcher.say(f"whether this was begun before is not known ({error}); a new run begins")
        return cls(watcher, place, found or _Content(deadline=place.deadline))

    @property
    def run(self) -> str | None:
        """Name of the run or the sweep, which is its folder's; None where none was begun."""
        return self._content.run

    @property
    def is_finished(self) -> bool:
        """Whether the run or the sweep has its verdict."""
        return self._content.finished

    def model(self, name: str) -> ModelMemory:
        """Return what is remembered of the model called ``name``."""
        return self._content.models.get(name, _NOTHING)

    def begin(self, run: str) -> None:
        """Keep that ``run`` is under way. Steps and words stay: a run that is begun anew needs no second compilation."""
        self._change(run=run, finished=False)

    def add_step(self, model: str, step: Step) -> None:
        """Keep that ``step`` of ``model`` has ended."""
        known = self.model(model)
        self._change_model(model, dataclasses.replace(known, steps=(*known.steps, step)))

    def add_word(self, model: str, candidate: Candidate, gate: StepGate, reason: str) -> None:
        """Keep how ``candidate`` of ``model`` ended; its first word stands."""
        known = self.model(model)
        if all(word.candidate != candidate for word in known.words):
            word = Word(candidate=candidate, gate=gate, reason=reason)
            self._change_model(model, dataclasses.replace(known, words=(*known.words, word)))

    def finish(self) -> None:
        """Keep that the verdict is there."""
        self._change(finished=True)

    def _change_model(self, name: str, known: ModelMemory) -> None:
        self._change(models={**self._content.models, name: known})

    def _change(self, **changes: typing.Any) -> None:
        self._content = dataclasses.replace(self._content, **changes)
        if self._place is None:
            return
        body = encode(_FORM, self._content).encode()
        try:
            self._place.store.put_object(Bucket=self._place.bucket, Key=self._place.key, Body=body)
        except _FAILURES as error:
            self._watcher.say(f"a process in place of this one would not know how far it came ({error})")
