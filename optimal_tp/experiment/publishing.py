"""The metrics of a run on their way to CloudWatch, beside the event loop that measures."""

import collections.abc
import contextlib
import pathlib

import botocore.exceptions

from optimal_tp.errors import StorageFailed
from optimal_tp.telemetry.console import Watcher
from optimal_tp.telemetry.minutes import Minutes
from optimal_tp.telemetry.publish import CloudWatch, Outbox, Publisher

_FAILURES = (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError)


@contextlib.contextmanager
def published(
    minutes: Minutes, cloudwatch: CloudWatch, folder: pathlib.Path, watcher: Watcher
) -> collections.abc.Iterator[Minutes]:
    """Publish what ``minutes`` collects while inside; requests that wait are in ``folder``.

    What an earlier process left there is sent too. A minute that was not whole when it died is in no request, and its
    samples are in the run alone: what was sent is never sent again.
    """
    outbox = folder / "outbox"
    publisher = Publisher(minutes, cloudwatch, Outbox(outbox, watcher.say), watcher.say, failures=_FAILURES)
    publisher.start()
    try:
        yield minutes
    finally:
        _finish(publisher, outbox, watcher)


def _finish(publisher: Publisher, outbox: pathlib.Path, watcher: Watcher) -> None:
    """Send what is left. Metrics that cannot be kept are said, not raised: the run's own end matters more."""
    try:
        left = publisher.finish()
    except StorageFailed as error:
        watcher.say(str(error))
        return
    if left:
        watcher.say(f"{left} requests to CloudWatch were not sent; they are kept in {outbox}")
        return
    with contextlib.suppress(OSError):  # what CloudWatch refused is kept there
        outbox.rmdir()
