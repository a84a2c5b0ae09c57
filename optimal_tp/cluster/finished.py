"""A mark in the bucket that an experiment has its verdict, so that a pod that takes another's place spends nothing.

The pod that has measured stays, for its Deployment would begin again. Evicted, or on a node that is drained, it is
replaced all the same, and the new one would start the servers anew.
"""

import dataclasses
import json
import platform
import typing

import boto3
import botocore.exceptions

from optimal_tp.cluster.deadline import read_deadline
from optimal_tp.cluster.order import Order
from optimal_tp.telemetry.console import Watcher

if typing.TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_FOLDER = "measured"

_FAILURES = (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mark:
    """Where the mark of one pod template within one budget stands.

    Pods of one template have one name but for its end; another setting, image, code or ``loadtest.run`` is another
    template. The deadline begins anew with a stack that is made again, and with another budget.
    """

    store: "S3Client"
    bucket: str
    prefix: str
    pod: str
    """The pod's name."""
    deadline: str
    watcher: Watcher

    @property
    def key(self) -> str:
        """The object's key."""
        return "/".join(filter(None, (self.prefix, _FOLDER, f"{self.pod.rpartition('-')[0] or self.pod}.json")))

    def found(self) -> str | None:
        """Return the run that has the verdict; None where there is none, and where the bucket does not say."""
        try:
            listed = self.store.list_objects_v2(Bucket=self.bucket, Prefix=self.key).get("Contents", ())
            if self.key not in (each["Key"] for each in listed):
                return None
            text = self.store.get_object(Bucket=self.bucket, Key=self.key)["Body"].read().decode("utf-8")
            told = json.loads(text)
            return str(told["run"]) if told["deadline"] == self.deadline else None
        except (*_FAILURES, ValueError, KeyError, TypeError) as error:
            self.watcher.say(f"whether this was measured before is not known ({error}); it is measured")
            return None

    def put(self, run: str) -> None:
        """Keep that ``run`` has the verdict. What cannot be kept is said: the run itself has ended well."""
        body = json.dumps({"run": run, "deadline": self.deadline}).encode()
        try:
            self.store.put_object(Bucket=self.bucket, Key=self.key, Body=body)
        except _FAILURES as error:
            self.watcher.say(f"a pod in place of this one would measure again ({error})")


def mark_of(order: Order, watcher: Watcher, *, store: "S3Client | None" = None) -> Mark | None:
    """Return the mark of ``order``; None where nobody stays after the verdict.

    ``store`` absent: S3 with the environment's credentials. Raises CapacityError for a deadline that cannot be read.
    """
    if order.afterwards != "stop" or order.bucket is None or order.deadline_file is None:
        return None
    bucket, prefix = order.bucket
    return Mark(
        store=boto3.client("s3") if store is None else store,
        bucket=bucket,
        prefix=prefix,
        pod=platform.node(),
        deadline=read_deadline(order.deadline_file).isoformat(),
        watcher=watcher,
    )


def is_measured(mark: Mark | None) -> bool:
    """Return whether ``mark`` has a run with a verdict, and say so."""
    run = None if mark is None else mark.found()
    if mark is None or run is None:
        return False
    mark.watcher.say(f"{run} has the verdict already: nothing is measured; name another loadtest.run to measure anew")
    return True
