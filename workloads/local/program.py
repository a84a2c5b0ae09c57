"""The whole experiment on this machine: servers, endpoints, load, and the stored results fetched from the bucket."""

import dataclasses
import datetime
import os
import pathlib
import tempfile

import boto3
import psutil

from infra.errors import CapacityError
from workloads.fit import SHAPES, ModelShape
from workloads.loadgen.progress import Watcher
from workloads.loadgen.results import Bucket, fetch, storage_failed
from workloads.loadgen.session import Session, run_name
from workloads.loadgen.turns import Halt
from workloads.local.arena import MachineArena
from workloads.local.endpoints import local_endpoints
from workloads.local.machine import Place, places
from workloads.local.pins import machine_pins
from workloads.local.server import ServerPlan
from workloads.local.settings import Profile
from workloads.local.startup import Started, log_path, ports, running_servers
from workloads.local.weights import read_shape, write_model
from workloads.run import DegreeRecord

BUCKET = "optimal-tp-results"
"""Name of the results bucket on loopback."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """What the user asked for."""

    profile: Profile
    model_directory: pathlib.Path | None
    """The user's own model; None makes random weights."""
    out: pathlib.Path
    """Folder that gets a folder per run."""
    python: pathlib.Path
    """Interpreter of the environment that holds vLLM."""


async def run_locally(request: Request, *, watcher: Watcher, halt: Halt) -> pathlib.Path:
    """Run the experiment of ``request`` and return the run's folder, fetched from the bucket on loopback.

    Raises SettingsError, CapacityError, ServerFailed, StorageFailed or Interrupted. Whatever happens, no process is
    left running, and what was measured until then is in the run's folder.
    """
    if not request.python.is_file():
        raise CapacityError(
            f"no vLLM: {request.python} is not there; `make local` installs it, VLLM=PYTHON names another"
        )
    own = request.model_directory
    shape = SHAPES[request.profile.local.shape] if own is None else read_shape(own)
    found = _places(request.profile, shape)
    for place in found:
        where = "core" if place.degree == 1 else "cores"
        watcher.say(place.reason or f"TP{place.degree}: {where} {', '.join(map(str, place.cores))}")
    if all(place.reason is not None for place in found):
        raise CapacityError("no degree fits this machine: " + "; ".join(str(place.reason) for place in found))
    run = run_name(datetime.datetime.now(datetime.UTC))
    folder = _new_folder(request.out / run)
    with tempfile.TemporaryDirectory(prefix="optimal-tp-") as scratch, local_endpoints() as endpoint:
        model = pathlib.Path(scratch, "model") if own is None else own.resolve()
        if own is None:
            write_model(model, shape, max_position_tokens=request.profile.workloads.model.max_model_len_tokens)
        results = pathlib.Path(scratch, "results")
        results.mkdir()
        plans = _server_plans(request, found, model, folder)
        aws = Aws(endpoint, prefix=f"runs/{run}")
        async with running_servers(plans, halt=halt, watcher=watcher) as started:
            session = Session(
                run=run,
                place="local",
                settings=request.profile.workloads,
                degrees=tuple(_degree_record(place, started) for place in found),
                arena=MachineArena(started.servers),
                folder=results,
                bucket=aws.bucket,
                publisher=None,
                pins=machine_pins(request.python, request.profile.local, own),
                watcher=watcher,
                halt=halt,
                ignore_eos=True,
                ready_timeout_seconds=request.profile.local.ready_timeout_seconds,
            )
            try:
                await session.conduct()
            finally:
                fetch(aws.s3, BUCKET, aws.prefix, folder)
    return folder


class Aws:
    """The clients of the endpoints on loopback, made as in a cluster but for the endpoint and its credentials."""

    def __init__(self, endpoint: str, *, prefix: str) -> None:
        """Make the clients and the bucket."""
        session = boto3.Session(
            aws_access_key_id="loopback",
            aws_secret_access_key="loopback",  # noqa: S106 - moto takes any
            region_name="us-east-1",
        )
        self.s3 = session.client("s3", endpoint_url=endpoint)
        self.cloudwatch = session.client("cloudwatch", endpoint_url=endpoint)
        self.s3.create_bucket(Bucket=BUCKET)
        self.prefix = prefix
        self.bucket = Bucket(self.s3, BUCKET, prefix)


def _places(profile: Profile, shape: ModelShape) -> tuple[Place, ...]:
    return places(
        profile.workloads.degrees,
        cores=sorted(os.sched_getaffinity(0)),
        available_gib=psutil.virtual_memory().available / 2**30,
        shape=shape,
        model=profile.workloads.model,
        local=profile.local,
    )


def _new_folder(folder: pathlib.Path) -> pathlib.Path:
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise storage_failed(folder, error) from None
    return folder.resolve()


def _server_plans(
    request: Request, found: tuple[Place, ...], model: pathlib.Path, folder: pathlib.Path
) -> tuple[ServerPlan, ...]:
    fitting = [place for place in found if place.reason is None]
    chosen = ports(len(fitting), first=request.profile.local.first_port)
    return tuple(
        ServerPlan(
            degree=place.degree,
            cores=place.cores,
            port=port,
            model_directory=model,
            random_weights=request.model_directory is None,
            model=request.profile.workloads.model,
            local=request.profile.local,
            log=log_path(folder, place.degree),
            python=request.python.absolute(),
        )
        for place, port in zip(fitting, chosen, strict=True)
    )


def _degree_record(place: Place, started: Started) -> DegreeRecord:
    server = started.servers.get(place.degree)
    return DegreeRecord(
        degree=place.degree,
        gate=None if place.reason is None else "no-fit",
        reason=place.reason,
        urls=() if server is None else (server.plan.url,),
        cores_used=len(place.cores),
        cores_allocated=len(place.cores),
        ready_seconds=started.ready_seconds.get(place.degree),
    )
