"""The load generator's pod as its manifest has it, on this machine: init step and program, from its ConfigMaps.

The program is run to its end: a real API server under the rights of its service account, moto for S3 and CloudWatch,
scripted servers behind the names of the program's Services. Played: the nodes with their kubelets, the mounts, DNS (a
hosts file that the pod alone sees), the credentials that IRSA would give, and the port, which is 8000 in a cluster and
a free one here.
"""

import collections
import collections.abc
import contextlib
import datetime as dt
import functools
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import typing

import boto3
import pytest

from optimal_tp.__main__ import main
from optimal_tp.cluster import sightings
from optimal_tp.local.endpoints import local_endpoints
from optimal_tp.servers.deployment import GENERATOR
from tests.engines.fakes_api_server import ControlPlane, control_plane
from tests.engines.fakes_cluster import NAMESPACE, Manifest, applied, define_karpenter, manifests
from tests.engines.fakes_engines import CONTROL_PLANE, needs
from tests.engines.fakes_kubelets import kubelets
from tests.fakes_pulumi import Recording
from tests.fakes_server import Script, ScriptedServer
from tests.fakes_workloads import program

pytestmark = [pytest.mark.engines, pytest.mark.timeout(600)]
ACCOUNT = "/run/secrets/kubernetes.io/serviceaccount"
SECONDS_PER_TOKEN = {1: 0.010, 2: 0.008, 4: 0.006}
"""By degree: per core TP1 makes 100 tokens a second, TP2 62, TP4 42."""
SMALL: dict[str, typing.Any] = {
    "workloads__load": {
        "prompt_tokens": 7,
        "output_tokens": 8,
        "warm_up_requests": 1,
        "idle_requests": 3,
        "output_spread": 0,
        "concurrency": [1, 2, 4],
        "turn_length": 6,
        "turn_requests": 6,
        "pause_seconds": 0,
        "request_timeout_seconds": 5,
    },
    "workloads__decision": {"minimum_blocks": 5, "maximum_blocks": 20, "budget_seconds": 60},
    # None, so that a busy machine's lateness does not fail a degree: what is tested is the pod, not the machine.
    "workloads__limits": {},
}
_APART = (
    'mount --bind "$1" /etc/hosts && mount -t tmpfs none /run && mkdir -p "$3" && cp "$2"/* "$3"; shift 3; exec "$@"'
)
"""In a mount namespace of its own: hosts and service account as kubelet gives them; nothing outside sees either."""


def _pod(made: list[Manifest]) -> typing.Any:
    found = [each for each in made if (each["kind"], each["metadata"]["name"]) == ("Deployment", "qwen-vllm-loadgen")]
    return found[0]["spec"]["template"]["spec"]


def mounted(made: list[Manifest], root: pathlib.Path) -> dict[str, pathlib.Path]:
    """Lay out below ``root`` what kubelet would mount into the pod, and return the folder of each mount path."""
    pod = _pod(made)
    data = {each["metadata"]["name"]: each["data"] for each in made if each["kind"] == "ConfigMap"}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    folders = {}
    for mount in pod["containers"][0]["volumeMounts"]:
        folder = folders[mount["mountPath"]] = root / mount["name"]
        folder.mkdir()
        volume = volumes[mount["name"]]
        for source in volume.get("projected", {}).get("sources", []):
            for item in source["configMap"]["items"]:
                place = folder / item["path"]
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(data[source["configMap"]["name"]][item["key"]])
        for key, text in data.get(volume.get("configMap", {}).get("name"), {}).items():
            (folder / key).write_text(text)
    return folders


def _moved(part: str, folders: dict[str, pathlib.Path]) -> str:
    for path, folder in folders.items():
        if f"{part}/".startswith(f"{path}/"):
            return f"{folder}{part.removeprefix(path)}"
    return part


def _words(container: typing.Any, folders: dict[str, pathlib.Path], *more: str) -> tuple[list[str], dict[str, str]]:
    """Return ``container``'s command and environment, its mount paths being folders of this machine."""

    def here(word: str) -> str:
        # A path begins a word or one of its parts: /results is not in s3://results-of-mine.
        return ":".join(_moved(part, folders) for part in word.split(":"))

    program_name, *words = [here(word) for word in (*container["command"], *more)]
    assert program_name == "python"
    # The program sees what the manifest gives it. How this machine reaches a package index is the machine's affair.
    machine = {key: value for key, value in os.environ.items() if key.startswith(("PIP_", "SSL_")) or key == "PATH"}
    given = {each["name"]: here(each["value"]) for each in container["env"]}
    # The interpreter without this environment's packages: what the pod did not install is not there.
    return [f"{sys.base_prefix}/bin/python3", "-s", *words], {**machine, **given}


def ran(container: typing.Any, folders: dict[str, pathlib.Path], *more: str) -> subprocess.CompletedProcess[str]:
    """Run ``container``'s command to its end."""
    command, environment = _words(container, folders, *more)
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, cwd=folders["/results"]
    )


class Laid(typing.NamedTuple):
    """The pod on this machine: its manifests, its folders by mount path, and how its init step ended."""

    recording: Recording
    made: list[Manifest]
    root: pathlib.Path
    folders: dict[str, pathlib.Path]
    installed: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory) -> Laid:
    """Lay out the pod of a small experiment, as kubelet would, and run its init step."""
    recording = program(**SMALL)
    made = manifests(recording)
    deadline = (dt.datetime.now(dt.UTC) + dt.timedelta(minutes=30)).isoformat(timespec="seconds")
    for each in made:
        if each["kind"] == "ConfigMap" and "deadline" in each["data"]:
            each["data"]["deadline"] = deadline
    root = tmp_path_factory.mktemp("pod")
    folders = mounted(made, root)
    return Laid(recording, made, root, folders, ran(_pod(made)["initContainers"][0], folders))


def test_the_pod_installs_its_dependencies_and_its_program_starts(laid: Laid) -> None:
    """Pip accepts every pinned hash; the bundle starts with nothing else beside it, and knows every option."""
    container, folders = _pod(laid.made)["containers"][0], laid.folders

    assert laid.installed.returncode == 0, laid.installed.stderr

    started = ran(container, folders, "--help")
    dependencies = {path.name for path in folders["/opt/dependencies"].iterdir()}

    assert {"boto3", "pydantic", "numpy"} <= dependencies
    assert (started.returncode, started.stderr) == (0, "")
    assert all(word in started.stdout for word in container["args"] if word.startswith("--"))


def _unshare() -> list[str]:
    """Return what gives a command mounts of its own; one that fails where this machine does not allow it."""
    return ["unshare", *([] if os.geteuid() == 0 else ["--map-root-user"]), "--mount"]


@functools.cache
def has_mounts_of_its_own() -> bool:
    """Return whether this machine lets a process have mounts of its own."""
    with contextlib.suppress(OSError):
        return subprocess.run([*_unshare(), "mount", "-t", "tmpfs", "none", "/run"], check=False).returncode == 0
    return False


@contextlib.contextmanager
def cluster_of(recording: Recording, folder: pathlib.Path) -> collections.abc.Iterator[ControlPlane]:
    """Run an API server with Karpenter's kinds and all that ``recording`` sends to it."""
    with control_plane(folder) as plane:
        define_karpenter(plane)
        refused = {each["metadata"]["name"]: applied(plane, each) for each in manifests(recording)}
        assert {name: reason for name, reason in refused.items() if reason is not None} == {}
        yield plane


def account_of(plane: ControlPlane, folder: pathlib.Path) -> pathlib.Path:
    """Return a folder with what Kubernetes puts into the pod: token, certificate and namespace."""
    folder.mkdir()
    (folder / "token").write_text(plane.token(NAMESPACE, GENERATOR), encoding="utf-8")
    (folder / "ca.crt").write_bytes(plane.certificate.read_bytes())
    (folder / "namespace").write_text(NAMESPACE, encoding="utf-8")
    return folder


def order_here(folders: dict[str, pathlib.Path], ports: dict[int, int]) -> None:
    """Let the mounted order name each degree's port and the deadline's file as they are on this machine."""
    path = folders["/etc/optimal-tp"] / "order.json"
    order = json.loads(path.read_text(encoding="utf-8"))
    (model,) = order["models"]
    for degree, urls in model["targets"].items():
        model["targets"][degree] = [url.replace(":8000", f":{ports[int(degree)]}") for url in urls]
    order["deadline_file"] = _moved(order["deadline_file"], folders)
    path.write_text(json.dumps(order), encoding="utf-8")


class Ended(typing.NamedTuple):
    """How the pod's main process ended."""

    status: int
    output: str
    run: str
    """Where its results are, ``s3://bucket/prefix``."""
    stored: set[str]
    """Files below it."""
    metrics: set[str]
    jobs: collections.abc.Mapping[str, str | None]
    """How each Job had ended then; None for one that had not."""
    replicas: dict[str, int]
    """Of each server after the verdict."""
    record: typing.Any
    """What run.json says."""


def lived(laid: Laid, endpoint: str) -> Ended:
    """Run the main process as kubelet would, and end it as kubelet does once it has nothing more to do."""
    folder, container = laid.root, _pod(laid.made)["containers"][0]
    bucket, _, prefix = laid.recording.outputs["results_uri"].removeprefix("s3://").partition("/")
    s3 = boto3.client("s3", endpoint_url=endpoint)
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "ap-southeast-4"})
    with contextlib.ExitStack() as running:
        plane = running.enter_context(cluster_of(laid.recording, folder))
        ports = {
            degree: int(running.enter_context(ScriptedServer(script(degree))).url.rsplit(":", 1)[1])
            for degree in SECONDS_PER_TOKEN
        }
        names = [each["metadata"]["name"] for each in laid.made if each["kind"] == "Service"]
        (folder / "hosts").write_text("".join(f"127.0.0.1 {name}\n" for name in ("localhost", *names)))
        account = account_of(plane, folder / "account")
        order_here(laid.folders, ports)
        command, environment = _words(container, laid.folders, *container["args"])
        host, port = plane.url.removeprefix("https://").split(":")
        environment |= {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port, **credentials(endpoint)}
        apart = [*_unshare(), "sh", "-c", _APART, "sh", str(folder / "hosts"), str(account), ACCOUNT]
        running.enter_context(kubelets(plane, NAMESPACE))
        status, output = until_idle([*apart, *command], environment, laid.folders["/results"])
        listed = plane.ask("GET", f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs")[1]["items"]
        jobs = {job["metadata"]["name"]: sightings.job(job).ending for job in listed}
        where = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
        replicas = {name: plane.ask("GET", f"{where}/{name}")[1]["spec"]["replicas"] for name in names}
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    run = next(key.removeprefix(f"{prefix}/").partition("/")[0] for key in keys if key.endswith("/run.json"))
    cloudwatch = boto3.client("cloudwatch", endpoint_url=endpoint)
    metrics = {each["MetricName"] for each in cloudwatch.list_metrics(Namespace="qwen-vllm-loadgen")["Metrics"]}
    stored = {key.rpartition("/")[2] for key in keys if f"/{run}/" in key}
    body = s3.get_object(Bucket=bucket, Key=f"{prefix}/{run}/run.json")["Body"]
    address = f"s3://{bucket}/{prefix}/{run}"
    return Ended(status, output, address, stored, metrics, jobs, replicas, json.loads(body.read()))


def script(degree: int) -> Script:
    """Return what the server of ``degree`` does: one request at a time, its tokens evenly."""
    seconds = SECONDS_PER_TOKEN[degree]
    return Script(model="Qwen/Qwen3-0.6B", max_model_len=128, ttft_seconds=seconds, gap_seconds=seconds, slots=1)


def credentials(endpoint: str) -> dict[str, str]:
    """Return what IRSA and AWS's own endpoints would be."""
    return {"AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "loopback", "AWS_SECRET_ACCESS_KEY": "loopback"}


def until_idle(command: list[str], environment: dict[str, str], folder: pathlib.Path) -> tuple[int, str]:
    """Run ``command`` until its report is stored and its servers are stopped, then end it as kubelet does."""
    log = folder.parent / "loadgen.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(command, env=environment, stdout=sink, stderr=sink, cwd=folder)
        try:
            until = time.monotonic() + 420
            while process.poll() is None and time.monotonic() < until and "results and report" not in log.read_text():
                time.sleep(0.2)
            time.sleep(2)
            process.send_signal(signal.SIGTERM)
            return process.wait(timeout=60), log.read_text()
        finally:
            process.kill()


@pytest.fixture(scope="module")
def ended(laid: Laid) -> collections.abc.Iterator[tuple[Ended, str]]:
    """Let the pod of a small experiment live once; yields how it ended and the endpoint of S3."""
    if not has_mounts_of_its_own():
        pytest.skip("this machine gives no process mounts of its own (unshare --mount)")
    with pytest.MonkeyPatch.context() as patch, local_endpoints() as endpoint:
        for name, value in {**credentials(endpoint), "AWS_DEFAULT_REGION": "ap-southeast-4"}.items():
            patch.setenv(name, value)
        yield lived(laid, endpoint), endpoint


@needs(CONTROL_PLANE)
def test_the_pod_measures_until_it_has_an_honest_end(ended: tuple[Ended, str]) -> None:
    """It ends settled, inconclusive or void, never by a failure; where it is settled, it chose what was planted."""
    found, _ = ended

    assert found.status in {0, 3, 4}, found.output
    assert {"run.json", "samples-0000.jsonl", "verdict.json", "report.html", "report.md"} <= found.stored
    assert {"TotalLatency_ms", "RPS", "OutputTokensPerSecondPerCore"} <= found.metrics
    if found.status == 0:
        assert "TP1" in found.output


@needs(CONTROL_PLANE)
def test_the_pod_conducts_with_its_own_rights(ended: tuple[Ended, str]) -> None:
    """It resumed the fetch and every compile Job, started every server as often as the others, and kept each step."""
    found, _ = ended
    names = {"qwen-vllm-fetch", *(f"qwen-vllm-tp{degree}-compile" for degree in SECONDS_PER_TOKEN)}
    steps = collections.Counter((each["what"], each["gate"]) for each in found.record["steps"])
    starts = steps.pop(("start", None))

    assert {name: found.jobs[name] for name in names} == dict.fromkeys(names, "Complete"), found.output
    assert steps == {("fetch", None): 1, ("compile", None): 3}, found.output
    # How many blocks, and so how many starts, the time is enough for is the machine's affair.
    assert starts in {3, 6, 9}, found.output


@needs(CONTROL_PLANE)
def test_the_pod_stops_the_servers_with_its_own_rights(ended: tuple[Ended, str]) -> None:
    """After the verdict no server is to have a pod: the scale was set under the rights of the pod's own account."""
    assert ended[0].replicas == dict.fromkeys((f"qwen-vllm-tp{degree}" for degree in SECONDS_PER_TOKEN), 0), ended[
        0
    ].output


@needs(CONTROL_PLANE)
def test_what_it_stored_is_read_back(ended: tuple[Ended, str], tmp_path: pathlib.Path) -> None:
    """``optimal-tp report`` derives the pod's verdict from the bucket, ends with its status, and adds the prediction.

    The pod cannot predict: the compiler that the plan's simulation needs is not installed there.
    """
    found, endpoint = ended
    status = main(["report", found.run, "--output", str(tmp_path)])
    bucket, _, prefix = found.run.removeprefix("s3://").partition("/")
    body = boto3.client("s3", endpoint_url=endpoint).get_object(Bucket=bucket, Key=f"{prefix}/verdict.json")["Body"]
    stored, derived = json.loads(body.read()), json.loads((tmp_path / "verdict.json").read_text())

    without = [claim for claim in derived["claims"] if claim["topic"] != "Plan"]

    assert status == found.status
    assert (stored["prediction"], derived["prediction"] is None) == (None, False)
    assert {**derived, "claims": without, "prediction": None} == stored
