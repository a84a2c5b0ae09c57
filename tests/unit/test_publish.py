"""Publication: bounded calls, nothing lost in an outage, aloud when something is."""

import errno
import json
import pathlib
import typing

import pytest

from optimal_tp.errors import StorageFailed
from optimal_tp.telemetry.minutes import Datum, Minutes
from optimal_tp.telemetry.publish import MOST_DATA, Outbox, Publisher, requests
from tests.fakes_samples import make_sample, whole

MINUTE = 1_800_000_000 // 60 * 60


class Outage(Exception):  # noqa: N818 - reads as what happened
    """The network is down."""


class Refusal(Exception):  # noqa: N818 - reads as what happened
    """CloudWatch does not like the data."""

    def __init__(self, code: str) -> None:
        """Carry botocore's shape of an error."""
        super().__init__(code)
        self.response = {"Error": {"Code": code}}


class FakeCloudWatch:
    """Keeps requests, or fails while ``error`` is set."""

    def __init__(self) -> None:
        """Take everything."""
        self.error: Exception | None = None
        self.calls = 0
        self.requests: list[dict[str, typing.Any]] = []

    def put_metric_data(self, **request: typing.Any) -> object:
        """Take one request."""
        self.calls += 1
        if self.error is not None:
            raise self.error
        self.requests.append(request)
        return None


class Scene:
    """A publisher with a clock moved by hand."""

    def __init__(self, folder: pathlib.Path, *, most_bytes: int = 1 << 20) -> None:
        """Begin with a minute."""
        self.now = float(MINUTE)
        self.said: list[str] = []
        self.cloud = FakeCloudWatch()
        self.minutes = Minutes(origin_epoch_seconds=MINUTE, settle_seconds=0)
        self.outbox = Outbox(folder, self.said.append, most_bytes=most_bytes)
        self.publisher = Publisher(
            self.minutes,
            self.cloud,
            self.outbox,
            self.said.append,
            failures=(Outage, Refusal),
            clock=lambda: self.now,
            jitter=lambda: 1.0,
        )

    def minute(self, number: int, *, count: int = 10) -> None:
        """Let minute ``number`` pass with ``count`` requests at each of three degrees, pumping every 5 s."""
        for step in range(10):
            for degree in (1, 2, 4):
                for request in range(count // 10):
                    moment = 60 * number + 5 * step + 40 * request / count
                    self.minutes.add(make_sample(degree=degree, intended_seconds=moment))
            self.now += 5
            self.publisher.pump()
        self.now += 10
        self.publisher.pump()

    def latencies(self) -> float:
        """Return how many latencies CloudWatch has."""
        return sum(
            sum(datum["Counts"])
            for request in self.cloud.requests
            for datum in request["MetricData"]
            if datum["MetricName"] == "TotalLatency_ms"
        )


@pytest.mark.parametrize("count", [10, 500])
def test_calls_per_minute_do_not_grow_with_the_load(tmp_path: pathlib.Path, count: int) -> None:
    """One call a minute at 30 requests as at 1,500, and no value is lost."""
    scene = Scene(tmp_path)
    for number in range(3):
        scene.minute(number, count=count)

    assert scene.cloud.calls == 3
    assert scene.latencies() == 3 * 3 * count
    assert all(len(datum["Values"]) <= 150 for request in scene.cloud.requests for datum in request["MetricData"])


def test_an_outage_of_an_hour_loses_nothing(tmp_path: pathlib.Path) -> None:
    """Minutes wait on disk and arrive oldest first; the watcher hears of it once, and when it is over."""
    scene = Scene(tmp_path)
    scene.minute(0)
    scene.cloud.error = Outage("unreachable")
    for number in range(1, 61):
        scene.minute(number)
    tries = scene.cloud.calls - 1
    scene.cloud.error = None
    scene.minute(61)
    times = [datum["Timestamp"] for request in scene.cloud.requests for datum in request["MetricData"]]

    assert scene.latencies() == 62 * 30
    assert times == sorted(times)
    assert tries <= 60 + 7
    assert scene.said == [
        "CloudWatch does not accept metrics (unreachable); they wait on disk for the next try",
        "CloudWatch accepts metrics again",
    ]


def test_pauses_between_tries_double_up_to_a_minute(tmp_path: pathlib.Path) -> None:
    """1, 2, 4 ... 60 s: a service that is down is not hammered."""
    scene = Scene(tmp_path)
    scene.minute(0)
    scene.minutes.add(make_sample(intended_seconds=61))
    scene.cloud.error = Outage("down")
    scene.now = MINUTE + 120
    moments = []
    for _ in range(400):
        before = scene.cloud.calls
        scene.publisher.pump()
        if scene.cloud.calls > before:
            moments.append(scene.now - MINUTE - 120)
        scene.now += 1

    assert moments == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243, 303, 363]


def test_what_waits_outlives_the_process(tmp_path: pathlib.Path) -> None:
    """The next run sends what the last one could not."""
    scene = Scene(tmp_path)
    scene.cloud.error = Outage("down")
    scene.minute(0)

    assert scene.publisher.finish() == 1
    again = Scene(tmp_path)
    again.publisher.pump()
    assert again.latencies() == 30
    assert again.outbox.waiting() == []


def test_the_rest_is_sent_at_the_end(tmp_path: pathlib.Path) -> None:
    """A run does not wait for its last minute to pass."""
    scene = Scene(tmp_path)
    scene.minutes.add(make_sample(intended_seconds=5))

    assert scene.publisher.finish() == 0
    assert scene.latencies() == 1


def test_requests_that_ended_too_late_for_their_minute_are_told_at_the_end(tmp_path: pathlib.Path) -> None:
    """A rate that lacks requests is said to; a run without any says nothing."""
    scene = Scene(tmp_path)
    scene.now += 120
    scene.publisher.pump()
    scene.publisher.finish()

    assert scene.said == []

    scene.minutes.add(make_sample(intended_seconds=10, end_seconds=130))
    scene.publisher.finish()

    assert scene.said == ["1 request is missing from OfferedRPS: what ends after it was published is not counted"]


def test_a_full_outbox_gives_up_the_oldest_and_says_so(tmp_path: pathlib.Path) -> None:
    """The bound holds, the newest stay, and what was given up is counted."""
    scene = Scene(tmp_path, most_bytes=40_000)
    scene.cloud.error = Outage("down")
    for number in range(30):
        scene.minute(number)
    kept = [scene.outbox.read(path)[0]["Timestamp"] for path in scene.outbox.waiting()]

    assert sum(path.stat().st_size for path in scene.outbox.waiting()) <= 40_000
    assert kept[-1] == MINUTE + 29 * 60
    assert kept == list(range(kept[0], kept[-1] + 60, 60))
    assert scene.outbox.given_up > 0
    assert scene.said[-1].endswith(
        f"metric values dropped: more than 40000 bytes wait in {tmp_path}; the samples themselves are kept"
    )


def test_data_that_cloudwatch_will_never_take_does_not_block_the_rest(tmp_path: pathlib.Path) -> None:
    """A refused request is set aside; a missing permission is not that, for it may come."""
    scene = Scene(tmp_path)
    scene.cloud.error = Refusal("InvalidParameterValue")
    scene.minute(0)
    scene.cloud.error = Refusal("AccessDenied")
    scene.minute(1)
    scene.cloud.error = None
    scene.minute(2)

    assert scene.latencies() == 60
    assert len(list(tmp_path.glob("*.refused"))) == 1
    assert scene.said[0] == (
        "CloudWatch refused a request for good: InvalidParameterValue; its file is kept beside the others"
    )


def test_a_full_disk_is_told(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The outbox cannot keep what it was given."""
    scene = Scene(tmp_path)

    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "write_bytes", full)
    scene.minutes.add(make_sample())
    sentence = f"metrics cannot be kept in {tmp_path}: No space left on device; free space there or name another folder"

    with pytest.raises(StorageFailed, match=whole(sentence)):
        scene.publisher.finish()


def datum(values: int = 1) -> Datum:
    """Return a datum with so many values."""
    return Datum(
        MetricName="TTFT_ms",
        Dimensions=[{"Name": "Model", "Value": "TP1"}],
        Timestamp=MINUTE,
        Unit="Milliseconds",
        Values=[float(value) for value in range(values)],
        Counts=[1.0] * values,
    )


def test_requests_stay_within_cloudwatchs_bounds() -> None:
    """At most 1,000 data and 1 MB each, in order, none lost."""
    many = list(requests([datum()] * 2500))
    large = list(requests([datum(150)] * 300))

    assert [len(request) for request in many] == [1000, 1000, 500]
    assert max(map(len, many)) <= MOST_DATA
    assert sum(map(len, large)) == 300
    assert all(len(json.dumps(request)) < 1_000_000 for request in large)
