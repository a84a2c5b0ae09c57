"""Publication to CloudWatch: whole minutes wait on disk until they are taken, so an outage loses nothing."""

import datetime as dt
import json
import pathlib
import random
import threading
import time
import typing

from optimal_tp.errors import StorageFailed, aws_code, quantity
from optimal_tp.measurement.metrics import NAMESPACE
from optimal_tp.measurement.whole_file import replace_file
from optimal_tp.telemetry.minutes import Datum, Minutes

MOST_DATA = 1000
"""Data in one PutMetricData. Source: CloudWatch service quotas, read 2026-11-23."""
MOST_BYTES = 900_000
"""Of one request: under the 1 MB that CloudWatch takes (same source), with room for what the client adds."""
OUTBOX_BYTES = 64 * 1024 * 1024
"""Bound of the outbox: more than a day of minutes at the worst."""
FIRST_RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 60.0
_REFUSED = ("InvalidParameter", "MissingParameter", "ValidationError", "InvalidFormat")

Say = typing.Callable[[str], None]
"""Takes one sentence for the person who watches."""


class CloudWatch(typing.Protocol):
    """What is needed of a boto3 CloudWatch client."""

    @property
    def put_metric_data(self) -> typing.Callable[..., object]:
        """Take one request: ``Namespace`` and ``MetricData``."""


class Outbox:
    """Requests that wait on disk, one file each, oldest first; beyond ``most_bytes`` the oldest are given up, aloud.

    Raises StorageFailed if the folder cannot be written.
    """

    def __init__(self, folder: pathlib.Path, say: Say, *, most_bytes: int = OUTBOX_BYTES) -> None:
        """Go on with what an earlier process left in ``folder``."""
        self.given_up = 0
        """Data given up because the bound was hit."""
        self._folder = folder
        self._say = say
        self._most_bytes = most_bytes
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._failed(error) from error
        self._next = max((int(path.stem) for path in self.waiting()), default=0) + 1

    def waiting(self) -> list[pathlib.Path]:
        """Return the files that wait, oldest first."""
        return sorted(self._folder.glob("*.json"))

    def put(self, data: typing.Sequence[Datum]) -> None:
        """Keep ``data`` as one request."""
        path = self._folder / f"{self._next:012d}.json"
        self._next += 1
        try:
            replace_file(path, json.dumps(data, allow_nan=False).encode())
        except OSError as error:
            raise self._failed(error) from error
        self._hold_bound()

    def _hold_bound(self) -> None:
        files = self.waiting()
        total = sum(path.stat().st_size for path in files)
        while total > self._most_bytes and len(files) > 1:
            oldest = files.pop(0)
            total -= oldest.stat().st_size
            lost = len(self.read(oldest))
            oldest.unlink()
            self.given_up += lost
            gone = quantity(lost, "metric value", "metric values")
            self._say(
                f"{gone} dropped: more than {self._most_bytes} bytes wait in "
                f"{self._folder}; the samples themselves are kept"
            )

    def read(self, path: pathlib.Path) -> list[Datum]:
        """Return what a waiting file holds."""
        data: list[Datum] = json.loads(path.read_text(encoding="utf-8"))
        return data

    def _failed(self, error: OSError) -> StorageFailed:
        return StorageFailed(
            f"metrics cannot be kept in {self._folder}: {error.strerror}; free space there or name another folder"
        )


class Publisher:
    """Sends whole minutes to CloudWatch, through the outbox, with a growing pause after each failure.

    Call ``pump`` every few seconds, or let ``start`` run it in a thread: never in the event loop that measures. A
    request is deleted after CloudWatch took it; if the process dies in between, it is sent twice.
    """

    def __init__(  # noqa: PLR0913 - the last two are seams
        self,
        minutes: Minutes,
        client: CloudWatch,
        outbox: Outbox,
        say: Say,
        *,
        failures: tuple[type[Exception], ...],
        clock: typing.Callable[[], float] = time.time,
        jitter: typing.Callable[[], float] = random.random,
    ) -> None:
        """``failures`` are what the client raises: botocore's BotoCoreError and ClientError."""
        self._minutes = minutes
        self._client = client
        self._outbox = outbox
        self._say = say
        self._failures = failures
        self._clock = clock
        self._jitter = jitter
        self._lock = threading.Lock()
        self._failed = 0
        self._not_before = 0.0
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def pump(self) -> None:
        """Keep the minutes that are whole, and send what waits."""
        with self._lock:
            self._keep(self._minutes.whole(self._clock()))
            self._send()

    def finish(self) -> int:
        """Stop the thread, keep and try to send what is left; return how many requests still wait on disk."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join()
        with self._lock:
            self._keep(self._minutes.rest())
            self._not_before = 0.0
            self._send()
        if self._minutes.late:
            late = quantity(self._minutes.late, "request is", "requests are")
            self._say(f"{late} missing from OfferedRPS: what ends after it was published is not counted")
        return len(self._outbox.waiting())

    def start(self, *, every_seconds: float = 5) -> None:
        """Pump in a thread of its own until ``finish``."""

        def run() -> None:
            """Pump until the end, or until the spool cannot be written."""
            while not self._ending.wait(every_seconds):
                try:
                    self.pump()
                except StorageFailed as error:
                    self._say(f"{error}; nothing more is published until the end of the run")
                    return

        self._thread = threading.Thread(target=run, name="publisher", daemon=True)
        self._thread.start()

    def _keep(self, data: list[Datum]) -> None:
        for request in requests(data):
            self._outbox.put(request)

    def _send(self) -> None:
        for path in self._outbox.waiting():
            if self._clock() < self._not_before:
                return
            metric_data = [
                {**datum, "Timestamp": dt.datetime.fromtimestamp(datum["Timestamp"], dt.UTC)}
                for datum in self._outbox.read(path)
            ]
            try:
                self._client.put_metric_data(Namespace=NAMESPACE, MetricData=metric_data)
            except self._failures as error:
                if aws_code(error).startswith(_REFUSED):
                    path.rename(path.with_suffix(".refused"))
                    self._say(f"CloudWatch refused a request for good: {error}; its file is kept beside the others")
                    continue
                self._back_off(error)
                return
            path.unlink()
            if self._failed:
                self._say("CloudWatch accepts metrics again")
            self._failed = 0

    def _back_off(self, error: Exception) -> None:
        pause = min(FIRST_RETRY_SECONDS * 2.0 ** min(self._failed, 10), LONGEST_RETRY_SECONDS)
        self._not_before = self._clock() + pause * (0.5 + 0.5 * self._jitter())
        if self._failed == 0:
            self._say(f"CloudWatch does not accept metrics ({error}); they wait on disk for the next try")
        self._failed += 1


def requests(data: typing.Sequence[Datum]) -> typing.Iterator[list[Datum]]:
    """Split ``data`` into as few requests as CloudWatch's bounds allow, in order."""
    batch: list[Datum] = []
    size = 0
    for datum in data:
        more = 40 * len(datum["Values"]) + 400  # two members of the form-encoded array, and the rest
        if batch and (len(batch) == MOST_DATA or size + more > MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(datum)
        size += more
    if batch:
        yield batch
