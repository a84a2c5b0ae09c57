"""Publish a run's metrics to CloudWatch outside the event loop that measures."""

import collections.abc
import contextlib
import pathlib

import botocore.exceptions

from optimal_tp.errors import StorageFailed, quantity
from optimal_tp.telemetry.console import Watcher
from optimal_tp.telemetry.minutes import Minutes
from optimal_tp.telemetry.publish import CloudWatch, Outbox, Publisher

_FAILURES = (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError)


@contextlib.contextmanager
def published(
    minutes: Minutes, cloudwatch: CloudWatch, folder: pathlib.Path, watcher: Watcher
) -> collections.abc.Iterator[Minutes]:
    """Publish the metrics in ``minutes`` while the context is open; requests that wait are kept in ``folder``.

    Requests that an earlier process left there are sent too. A minute that was incomplete when that process died is in
    no request; its samples are in the run's results only. Nothing is sent twice.
    """
    outbox = folder / "outbox"
    publisher = Publisher(minutes, cloudwatch, Outbox(outbox, watcher.say), watcher.say, failures=_FAILURES)
    publisher.start()
    try:
        yield minutes
    finally:
        _finish(publisher, outbox, watcher)


def _finish(publisher: Publisher, outbox: pathlib.Path, watcher: Watcher) -> None:
    """Send the remaining metrics. A failure is reported, not raised, because the run's own result matters more."""
    try:
        left = publisher.finish()
    except StorageFailed as error:
        watcher.say(str(error))
        return
    if left:
        unsent = quantity(left, "request to CloudWatch was", "requests to CloudWatch were")
        watcher.say(f"{unsent} not sent, but kept in {outbox}")
        return
    with contextlib.suppress(OSError):  # it stays if it holds requests that CloudWatch refused
        outbox.rmdir()
