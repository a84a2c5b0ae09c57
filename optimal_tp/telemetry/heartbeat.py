"""Tells the bucket how far a run is, off the event loop that measures and a few times a minute at most."""

import collections.abc
import dataclasses
import threading
import time

from optimal_tp.measurement.progress import HEARTBEAT_SECONDS, WRITE_SECONDS, Look, Progress, encode_progress
from optimal_tp.telemetry.console import Watcher

Put = collections.abc.Callable[[bytes], str | None]
"""Stores the object; returns why it could not, None if it did."""

_PATIENCE_SECONDS = 5.0
"""The end of a run waits so long for a write under way."""


class Heartbeat:
    """A watcher that passes everything on to ``inner`` and keeps the run's progress in the bucket.

    A thread of its own writes what has changed every ``WRITE_SECONDS`` and a sign of life every ``HEARTBEAT_SECONDS``;
    it begins with the first stage and ends with ``end``. What cannot be written is said once, and is no failure of
    the run.
    """

    def __init__(
        self,
        inner: Watcher,
        put: Put,
        progress: Progress,
        *,
        clock: collections.abc.Callable[[], float] = time.time,
        every_seconds: float = WRITE_SECONDS,
        patience_seconds: float = _PATIENCE_SECONDS,
    ) -> None:
        """``progress`` is what is known before the first stage; ``clock`` returns seconds since 1970."""
        self._inner = inner
        self._put = put
        self._progress = progress
        self._clock = clock
        self._every_seconds = every_seconds
        self._patience_seconds = patience_seconds
        self._lock = threading.Lock()
        self._changed = True
        self._failed = False
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def say(self, line: str) -> None:
        """Tell one thing that happened."""
        self._inner.say(line)
        with self._lock:
            self._progress, self._changed = self._progress.saying(line), True

    def stage(self, name: str, *, total: float | None) -> None:
        """Tell that a stage began."""
        self._inner.stage(name, total=total)
        with self._lock:
            self._progress = dataclasses.replace(
                self._progress, stage=name, stage_seconds=total, stage_started=self._clock(), detail=""
            )
            self._changed = True
        # The probe after the verdict goes on for ever, and nobody waits for its end.
        if self._thread is None and not self._progress.is_over:
            self._ending.clear()
            self._thread = threading.Thread(target=self._write_on, name="heartbeat", daemon=True)
            self._thread.start()

    def advance(self, detail: str, *, done: float) -> None:
        """Tell how far the stage is."""
        self._inner.advance(detail, done=done)
        with self._lock:
            self._progress, self._changed = dataclasses.replace(self._progress, detail=detail), True

    def look(self, look: Look) -> None:
        """Tell what the verdict's rule says by now."""
        self._inner.look(look)
        with self._lock:
            self._progress, self._changed = self._progress.looking(look), True

    def end(self) -> None:
        """Leave the screen to what comes after the run, and write that it is over.

        A bucket that has not answered the last write yet is not waited for: a pod that is told to end has no time.
        """
        self._inner.end()
        with self._lock:
            self._progress = dataclasses.replace(self._progress, is_over=True)
        self._ending.set()
        if self._thread is not None:
            self._thread.join(self._patience_seconds)
            if self._thread.is_alive():
                return
            self._thread = None
        self.write()

    def _write_on(self) -> None:
        waited = HEARTBEAT_SECONDS
        while not self._ending.is_set():
            if self._changed or waited >= HEARTBEAT_SECONDS:
                self.write()
                waited = 0.0
            self._ending.wait(self._every_seconds)
            waited += self._every_seconds

    def write(self) -> None:
        """Store the progress as it is."""
        with self._lock:
            progress = self._progress = dataclasses.replace(self._progress, written=self._clock())
            self._changed = False
        failure = self._put(encode_progress(progress))
        if failure is not None and not self._failed:
            self._inner.say(f"optimal-tp watch cannot follow this run for now: {failure}")
        self._failed = failure is not None
