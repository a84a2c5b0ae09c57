"""The whole experiment on this machine: servers, endpoints, load, and the stored results fetched from the bucket."""

import asyncio
import collections.abc
import contextlib
import dataclasses
import datetime as dt
import os
import pathlib
import tempfile
import typing

import boto3
import botocore.config
import botocore.session
import psutil

from optimal_tp.errors import CapacityError, Problem, SettingsError, quantity
from optimal_tp.experiment.legs import SweepKeeper, measure_all, planned
from optimal_tp.experiment.planned import raise_ending
from optimal_tp.experiment.resuming import run_name
from optimal_tp.experiment.session import Session
from optimal_tp.experiment.turns import Halt
from optimal_tp.facts.shapes import ModelShape
from optimal_tp.local.endpoints import local_endpoints
from optimal_tp.local.machine import BYTES, ServerPlace, machine_pins, places, with_batches
from optimal_tp.local.profile import Profile
from optimal_tp.local.roof import Attained, attained_roof, buffer_bytes, physics_of, sentence
from optimal_tp.local.server import ServerPlan, entry_of
from optimal_tp.local.startup import MachineArena, StartedServers, log_path, ports, running_servers
from optimal_tp.local.weights import has_weights, packed_bits, read_sizes, write_model, write_model_like
from optimal_tp.measurement.quota import granted_cores
from optimal_tp.measurement.run import PROFILE_PIN, DegreeRecord
from optimal_tp.plan.expectation import foresight
from optimal_tp.report.conclusion import conclude
from optimal_tp.report.sweep import conclude_sweep, read_sweep
from optimal_tp.results.folder import Bucket, new_folder, write_record
from optimal_tp.results.source import read
from optimal_tp.settings.workload import WorkloadSettings
from optimal_tp.telemetry.console import Watcher
from optimal_tp.telemetry.publish import CloudWatch
from optimal_tp.verdict.predictions import Predict

BUCKET = "optimal-tp-results"
"""Name of the results bucket on loopback."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LocalRequest:
    """What the user asked for."""

    profile: Profile
    profile_name: str
    """As the user named it, kept with the run."""
    model_directory: pathlib.Path | None
    """The user's own model; None means random weights in the profile's shape. A directory without weights gets random
    weights in its own shape."""
    out: pathlib.Path
    """Folder in which each run gets a folder."""
    python: pathlib.Path
    """Interpreter of the environment that holds vLLM."""
    folder: str | None = None
    """Name of the run's folder in a sweep; None: the run's own name, and the link to the newest run leads to it."""
    model_title: str = ""
    """The model's title before the candidate in the metrics of a sweep; empty for a single model."""
    predict: Predict | None = None
    """Makes the plan's prediction that the verdict is compared with; None makes none."""


async def run_locally(request: LocalRequest, *, watcher: Watcher, halt: Halt) -> int:
    """Run the experiment of ``request``, end with its verdict, and return the exit status.

    The report is made from the results in the bucket on loopback. Raises SettingsError, CapacityError, ServerFailed,
    StorageFailed or Interrupted. Whatever happens, no process is left running, and everything measured until then is
    in the run's folder.
    """
    _check_python(request.python)
    own = request.model_directory
    local = request.profile.local
    sizes = None if own is None else read_sizes(own)
    shape = local.shape_of(request.profile.workloads.model.name) if sizes is None else sizes.shape
    packed = None if own is None or sizes is None else packed_bits(own, sizes)
    workloads = with_batches(_with_own_name(request.profile.workloads, own), local, shape, packed)
    request = dataclasses.replace(request, profile=request.profile.model_copy(update={"workloads": workloads}))
    found = _places(request.profile, shape, packed)
    for place in found:
        watcher.say(place.reason or _words(place))
    for line in foresight(
        request.profile.workloads, None, [place.candidate for place in found if place.reason is None]
    ):
        watcher.say(line)
    if all(place.reason is not None for place in found):
        reasons = "; ".join(str(place.reason) for place in found)
        raise CapacityError(
            f"no degree fits this machine: {reasons}; choose smaller degrees or a smaller model in the profile"
        )
    run = run_name(dt.datetime.now(dt.UTC))
    folder = new_folder(request.out / (request.folder or run))
    if request.folder is None:
        point_to(folder, request.out / "last")
    with _model_directory(request, shape) as model, local_endpoints() as endpoint:
        aws = Aws(endpoint, prefix=f"runs/{run}")
        before = await asyncio.to_thread(_attained, request, found, shape)
        watcher.say(before.words)
        plans = _server_plans(request, found, model, folder)
        async with running_servers(plans, halt=halt, watcher=watcher) as started:
            session = Session(
                run=run,
                place="local",
                settings=request.profile.workloads,
                degrees=tuple(_degree_record(place, started) for place in found),
                arena=MachineArena(started.servers),
                folder=folder,
                bucket=aws.bucket,
                cloudwatch=aws.cloudwatch,
                pins=machine_pins(request.python, weights(request), local.dtype) | {PROFILE_PIN: request.profile_name},
                watcher=watcher,
                halt=halt,
                ignore_eos=True,
                ready_timeout_seconds=local.ready_timeout_seconds,
                model_title=request.model_title,
                physics=physics_of(shape, BYTES[local.dtype], before.roof, None),
            )
            record = await session.conduct()
        watcher.end()
        if not halt.event.is_set():
            after = await asyncio.to_thread(_attained, request, found, shape)
            known = physics_of(shape, BYTES[local.dtype], before.roof, after.roof)
            words = after.words if known is None or after.roof is None else sentence(known.roof)
            watcher.say(f"After the run: {words}")
            record = dataclasses.replace(record, physics=known)
            aws.bucket.store([write_record(folder, record)])
        status = conclude(read(aws.bucket.uri, aws.s3), folder, request.predict)
    raise_ending(record)
    return status


def _attained(request: LocalRequest, found: collections.abc.Sequence[ServerPlace], shape: ModelShape) -> Attained:
    """Measure what the servers' cores attain. No server may run meanwhile."""
    local = request.profile.local
    served = [place for place in found if place.reason is None]
    cores = sorted({core for place in served for each in place.cores for core in each})
    count = buffer_bytes(shape, BYTES[local.dtype], max(place.candidate.degree for place in served))
    return attained_roof(request.python, cores, count, local.dtype, os.environ)


def _with_own_name(workloads: WorkloadSettings, own: pathlib.Path | None) -> WorkloadSettings:
    """Return ``workloads`` with the name of the folder ``own`` as the model's, so that every report uses it."""
    if own is None:
        return workloads
    named = workloads.model.model_copy(update={"name": own.resolve().name, "revision": "folder"})
    return workloads.model_copy(update={"model": named})


def _words(place: ServerPlace) -> str:
    """Return where the servers of ``place`` run: "TP1: cores 0 | 1", "TP2: cores 0, 1"."""
    where = "core" if sum(map(len, place.cores)) == 1 else "cores"
    return f"{place.candidate.name}: {where} {' | '.join(', '.join(map(str, cores)) for cores in place.cores)}"


def weights(request: LocalRequest) -> str:
    """Return what the servers load, in words."""
    own = request.model_directory
    if own is not None:
        return str(own) if has_weights(own) else f"random, by {own / 'config.json'}"
    size = request.profile.local.size_of(request.profile.workloads.model.name)
    deep = "" if size.layers is None else f" with {quantity(size.layers, 'layer', 'layers')}"
    return f"random, shape of {size.shape}{deep}"


def point_to(folder: pathlib.Path, link: pathlib.Path) -> None:
    """Point the symbolic link ``link`` to the newest run; a file or folder of that name is the user's and stays."""
    if link.is_symlink():
        link.unlink()
    if not link.exists():
        link.symlink_to(folder.name)


def _check_python(python: pathlib.Path) -> None:
    if not python.is_file():
        raise CapacityError(f"{python} must exist to run vLLM; run `make local` to install it or set VLLM=PYTHON")


@contextlib.contextmanager
def _model_directory(request: LocalRequest, shape: ModelShape) -> collections.abc.Iterator[pathlib.Path]:
    own = request.model_directory
    if own is not None and has_weights(own):
        yield own.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="optimal-tp-") as scratch:
        folder = pathlib.Path(scratch, "model")
        if own is None:
            write_model(folder, shape, max_position_tokens=request.profile.workloads.model.max_model_len_tokens)
        else:
            write_model_like(folder, own)
        yield folder


class Aws:
    """The clients of the endpoints on loopback: only endpoint and credentials differ from a cluster's."""

    def __init__(self, endpoint: str, *, prefix: str) -> None:
        """Make the clients and the bucket."""
        session = boto3.Session(
            # Ignore an AWS profile that the shell names: it is not needed here and may not exist.
            botocore_session=botocore.session.Session(session_vars={"profile": (None, None, None, None)}),
            aws_access_key_id="loopback",
            aws_secret_access_key="loopback",  # noqa: S106 - moto takes any
            region_name="us-east-1",
        )
        # Reach loopback directly, even where the shell names a proxy.
        direct = botocore.config.Config(proxies={})
        self.s3 = session.client("s3", endpoint_url=endpoint, config=direct)
        # boto3's generated signature is narrower than the keyword arguments that the publisher passes.
        self.cloudwatch = typing.cast("CloudWatch", session.client("cloudwatch", endpoint_url=endpoint, config=direct))
        self.s3.create_bucket(Bucket=BUCKET)
        self.bucket = Bucket(self.s3, BUCKET, prefix)


def _places(profile: Profile, shape: ModelShape, packed: float | None) -> tuple[ServerPlace, ...]:
    return places(
        profile.workloads.candidates,
        cores=sorted(os.sched_getaffinity(0)),
        quota_cores=granted_cores(),
        available_gib=psutil.virtual_memory().available / 2**30,
        shape=shape,
        model=profile.workloads.model,
        local=profile.local,
        packed_bits=packed,
    )


def _server_plans(
    request: LocalRequest, found: tuple[ServerPlace, ...], model: pathlib.Path, folder: pathlib.Path
) -> tuple[ServerPlan, ...]:
    fitting = [
        (place.candidate, None if len(place.cores) == 1 else replica, cores)
        for place in found
        for replica, cores in enumerate(place.cores)
    ]
    chosen = ports(len(fitting), first=request.profile.local.first_port)
    entry = entry_of(request.python)
    return tuple(
        ServerPlan(
            candidate=candidate,
            replica=replica,
            cores=cores,
            port=port,
            model_directory=model,
            random_weights=request.model_directory is None or not has_weights(request.model_directory),
            model=request.profile.workloads.model,
            local=request.profile.local,
            log=log_path(folder, candidate, replica),
            python=request.python.absolute(),
            entry=entry,
        )
        for (candidate, replica, cores), port in zip(fitting, chosen, strict=True)
    )


def _degree_record(place: ServerPlace, started: StartedServers) -> DegreeRecord:
    cores = sum(map(len, place.cores))
    return DegreeRecord(
        degree=place.candidate.degree,
        max_num_seqs=place.candidate.max_num_seqs,
        gate=None if place.reason is None else "no-fit",
        reason=place.reason,
        urls=tuple(server.plan.url for server in started.servers.get(place.candidate, ())),
        cores_used=cores,
        cores_allocated=cores,
        ready_seconds=started.ready_seconds.get(place.candidate),
    )


async def sweep_locally(
    request: LocalRequest, profiles: collections.abc.Sequence[Profile], *, watcher: Watcher, halt: Halt
) -> int:
    """Run ``request`` for each of ``profiles``, and return the gravest exit status of all.

    Raises the errors of ``run_locally`` for an interruption or a full disk, and SettingsError for a model directory,
    because a sweep has several models.
    """
    if request.model_directory is not None:
        rule = f"must go with a profile of one model; this one has {len(profiles)}"
        remedy = "remove MODEL or choose a profile with one model"
        raise SettingsError([Problem(path="MODEL", value=str(request.model_directory), rule=rule, remedy=remedy)])
    name = run_name(dt.datetime.now(dt.UTC))
    folder = new_folder(request.out / name)
    point_to(folder, request.out / "last")
    sweep = planned(name, (profile.workloads for profile in profiles))

    async def measure(index: int) -> None:
        """Run the sweep's model of that place."""
        profile = profiles[index]
        own = dataclasses.replace(
            request,
            profile=profile,
            out=folder,
            folder=sweep.legs[index].folder,
            model_title=profile.workloads.model.title,
        )
        await run_locally(own, watcher=watcher, halt=halt)

    await measure_all(sweep, measure, SweepKeeper(folder, None), watcher, halt)
    watcher.end()
    return conclude_sweep(read_sweep(str(folder)), folder, request.predict)
