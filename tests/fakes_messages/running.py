"""What ends a run, a compile or fetch Job, a load or a report: each fault planted."""

import asyncio
import contextlib
import dataclasses
import datetime as dt
import errno
import io
import json
import os
import pathlib
import runpy
import signal
import socket
import subprocess
import sys
import types
import typing
import unittest.mock

from rich.console import Console

from optimal_tp.cli import load, share
from optimal_tp.cluster import job
from optimal_tp.cluster.deadline import within_budget
from optimal_tp.cluster.scaling import Deployments, Rota
from optimal_tp.errors import ServerFailed
from optimal_tp.experiment.arena import OpenArena
from optimal_tp.experiment.session import Session, planned_origin, raise_ending
from optimal_tp.experiment.targets import check_targets
from optimal_tp.experiment.turns import Halt
from optimal_tp.loadgen import options as load_options
from optimal_tp.loadgen import wire
from optimal_tp.loadgen.calls import Server
from optimal_tp.loadgen.pool import Bounds, Pool
from optimal_tp.loadgen.result import begin, write
from optimal_tp.loadgen.transport import Network
from optimal_tp.local import program, server, startup
from optimal_tp.local.endpoints import local_endpoints
from optimal_tp.local.profile import read_profile
from optimal_tp.local.sweep import sweep_locally
from optimal_tp.measurement.run import DegreeRecord, Part, RunRecord
from optimal_tp.pods import compile, fetch, folders, guard
from optimal_tp.pods.kubernetes import Namespace, own_namespace
from optimal_tp.results.folder import new_folder, write_whole
from optimal_tp.results.spool import Spool
from optimal_tp.settings.workload import parse_workloads
from optimal_tp.telemetry.console import PlainWatcher
from optimal_tp.telemetry.publish import Outbox
from tests.fakes_kubernetes import NO_API, FakeCluster, served
from tests.fakes_messages.told import Case
from tests.fakes_samples import make_sample
from tests.fakes_server import Script, ScriptedServer

T = typing.TypeVar("T")
QUIET: typing.Final = PlainWatcher(Console(quiet=True))
NOWHERE: typing.Final = "http://127.0.0.1:1"
"""A port that nobody listens on."""
RECORD: typing.Final = RunRecord(
    run="test",
    started="2026-07-01T12:00:00+00:00",
    place="own-servers",
    settings={},
    pins={},
    degrees=(),
    turns=(),
    ending="failed",
    ending_detail="the server of TP2 ended with status 1",
    elapsed_seconds=1.0,
)


def _halt() -> Halt:
    return Halt(event=asyncio.Event())


def _full(*_: object, **__: object) -> typing.NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


# The jobs in the cluster.


class _Ended:
    """A server's process that has ended, or never does."""

    def __init__(self, status: int | None) -> None:
        self.status = status

    def wait(self, timeout: float) -> int:
        """Wait as subprocess does."""
        if self.status is None:
            raise subprocess.TimeoutExpired([], timeout)
        return self.status


def awaited(status: int | None) -> None:
    """Wait for a compile Job's server that has ended with ``status``, or is never healthy."""
    process = typing.cast("subprocess.Popen[bytes]", _Ended(status))
    compile.wait_until_healthy(process, NOWHERE, patience_seconds=0.0 if status is None else 60, poll_seconds=0.01)


def compiled(where: pathlib.Path) -> None:
    """Compile with a server that answers and writes nothing."""
    with (
        unittest.mock.patch.object(compile, "wait_until_healthy"),
        unittest.mock.patch.object(compile, "ask"),
        unittest.mock.patch.dict(os.environ, {"HOSTNAME": "pod"}),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        command = [sys.executable, "-c", "import time; time.sleep(60)"]
        compile.compile_into(
            where / "tp1", command, model="m", expected=["model.pt"], url=NOWHERE, patience_seconds=1, poll_seconds=0.1
        )


def mute() -> None:
    """Ask a compiled model that answers without a token."""
    body = io.BytesIO(b'{"usage": {"completion_tokens": 0}}')
    with unittest.mock.patch("urllib.request.urlopen", return_value=contextlib.nullcontext(body)):
        compile.ask(NOWHERE, "m")


class _Bucket:
    """An S3 client whose one object loses ``cut`` bytes."""

    def __init__(self, *names: str, cut: int = 0) -> None:
        self.names, self.cut = names, cut

    def get_paginator(self, _: str) -> "_Bucket":
        """Return itself."""
        return self

    def paginate(self, **_: str) -> list[dict[str, typing.Any]]:
        """Return one page."""
        return [{"Contents": [{"Key": name, "Size": 10} for name in self.names]}]

    def download_file(self, _: str, __: str, path: str) -> None:
        """Write what arrives."""
        pathlib.Path(path).write_bytes(b"{" * (10 - self.cut))


def fetched(where: pathlib.Path, *names: str, cut: int = 0) -> None:
    """Fetch a model from a bucket."""
    with contextlib.redirect_stdout(io.StringIO()):
        fetch.fetch_from_bucket("s3://models/mine", typing.cast("typing.Any", _Bucket(*names, cut=cut)), where)


def fetched_file(where: pathlib.Path) -> None:
    """Fetch one file from a hub that does not answer."""
    file = fetch.HubFile(name="model.safetensors", size_bytes=1, sha256="0" * 64, blob="0")
    fetch.fetch_file(f"{NOWHERE}/model.safetensors", file, where / "model.safetensors")


def listed(*names: str) -> None:
    """Read a hub's listing."""
    fetch.hub_files({"siblings": [{"rfilename": name, "size": 1, "blobId": "0"} for name in names]})


def shaped(where: pathlib.Path, config: dict[str, object] | None) -> None:
    """Hold a fetched model against the plan."""
    if config is not None:
        (where / "config.json").write_text(json.dumps(config), encoding="utf-8")
    fetch.check_shape(where, "Qwen/Qwen3-8B")


SMALL: typing.Final[dict[str, object]] = {
    "model_type": "qwen3",
    "hidden_size": 1024,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "intermediate_size": 3072,
    "vocab_size": 151936,
}


def unwritable(where: pathlib.Path) -> str:
    """Run the fetch Job where the volume takes nothing."""
    said = io.StringIO()
    words = ["--source", NOWHERE, "--model", "a/b", "--revision", "1", "--shape", "s", "--folder", str(where / "m")]
    with contextlib.redirect_stdout(said), unittest.mock.patch.object(folders, "open_draft", _full):
        status = fetch.main(words, store=lambda: typing.cast("typing.Any", _Bucket()))
    return f"{said.getvalue().strip()}\n(exit {status})"


def outside() -> str:
    """Run the guard outside of a pod."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        status = guard.main(["--deadline", "2026-07-01T12:00:00+00:00", "--period-seconds", "60"])
    return f"{said.getvalue().strip()}\n(exit {status})"


# The load generator in a pod.


def budgeted(where: pathlib.Path, deadline: str | None) -> None:
    """Start a run whose deadline is ``deadline``."""
    path = where / "deadline"
    if deadline is not None:
        path.write_text(deadline, encoding="utf-8")

    async def run_within() -> None:
        async with within_budget(path, _halt()):
            pass

    asyncio.run(run_within())


def scaled(where: pathlib.Path, *, refused: bool) -> None:
    """Scale a server that Kubernetes refuses to scale, or does not know."""
    path = "/apis/apps/v1/namespaces/optimal-tp/deployments/qwen-vllm-tp1/scale"
    cluster = FakeCluster(objects={path: {}} if refused else {}, refused={path} if refused else set())
    with served(cluster, where) as namespace:
        Deployments(namespace=namespace).scale("qwen-vllm-tp1", 0)


def answered(where: pathlib.Path, body: object) -> None:
    """Ask for a Job that the API tells so."""
    cluster = FakeCluster(
        objects={"/apis/batch/v1/namespaces/optimal-tp/jobs/loadgen": typing.cast("dict[str, typing.Any]", body)}
    )
    with served(cluster, where) as namespace:
        found = namespace.ask("tell of the Job loadgen", "batch/v1", "jobs/loadgen")
        job._of_job(found, 300)


def unanswered(where: pathlib.Path, *, token: bool) -> None:
    """Ask an API server that is not there, or without a token."""
    if token:
        (where / "token").write_text("secret", encoding="utf-8")
    Namespace(url=NOWHERE, namespace="n", token_file=where / "token", certificate=None).ask(
        "tell", "batch/v1", "jobs/a"
    )


class _Refusing(Deployments):
    """Kubernetes that scales nothing."""

    def scale(self, name: str, replicas: int) -> typing.NoReturn:
        """Refuse."""
        raise ServerFailed(f"the Kubernetes API did not scale {name} to {replicas}: 403 forbidden")


async def rota_stops() -> None:
    """Stop servers that take turns where nothing can be stopped."""
    await Rota(
        rounds=((1,), (2,)),
        targets={1: ("http://a",), 2: ("http://b",)},
        names={1: ("qwen-vllm-tp1",), 2: ("qwen-vllm-tp2",)},
        scaler=_Refusing(namespace=NO_API),
        ready_timeout_seconds=1,
        stop=asyncio.Event(),
    ).stop_all()


def late_pod() -> None:
    """Be ready a minute after the common start."""
    minute_after = dt.datetime(2026, 7, 1, 12, 1, tzinfo=dt.UTC).timestamp()
    with unittest.mock.patch("optimal_tp.experiment.session.time.time", return_value=minute_after):
        planned_origin(Part(pod=1, pods=2, start="2026-07-01T12:00:00+00:00", machine="m", clock_error_ms=None))


# Servers that answer as they should not.


def asked(script: Script, call: typing.Callable[[Server], typing.Coroutine[object, object, T]]) -> None:
    """Make one call of a scripted server."""
    with ScriptedServer(script) as scripted:
        asyncio.run(call(Server(url=scripted.url)))


def answering(body: bytes, call: typing.Callable[[Server], typing.Coroutine[object, object, T]]) -> None:
    """Make one call of a server that answers ``body`` to everything."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()

    async def both() -> None:
        listening = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with listening:
            port = listening.sockets[0].getsockname()[1]
            await call(Server(url=f"http://127.0.0.1:{port}"))

    asyncio.run(both())


def identified(script: Script | None, **changes: typing.Any) -> None:
    """Check that a target is what the settings say."""
    settings = parse_workloads(
        {"model": {"name": "planted", "revision": "none"}, "degrees": [1, 2], **changes}, file="f"
    )
    if script is None:
        asyncio.run(check_targets({1: (NOWHERE,)}, settings))
        return
    with ScriptedServer(script) as scripted:
        asyncio.run(check_targets({1: (scripted.url,)}, settings))


def session(where: pathlib.Path, *, fails: bool = False, halted: bool = False, **load: object) -> None:
    """Conduct a run whose servers fail to come, that is interrupted at once, or whose prompts cannot be read."""

    class Failing(OpenArena):
        async def admit(self, degree: int) -> None:
            """Admit nobody."""

        def failure(self) -> str | None:
            """Tell of the failure."""
            return "qwen-vllm-tp1 did not answer within 60 s"

    async def conduct() -> None:
        halt = _halt()
        if halted:
            halt.set("interrupted", "SIGTERM ended the run")
        data = {"model": {"name": "planted", "revision": "none"}, "degrees": [1], "load": load}
        with ScriptedServer(Script(model="planted")) as scripted:
            await Session(
                run="test",
                place="own-servers",
                settings=parse_workloads(data, file="f"),
                degrees=(
                    DegreeRecord(
                        degree=1,
                        gate=None,
                        reason=None,
                        urls=(scripted.url,),
                        cores_used=1,
                        cores_allocated=1,
                        ready_seconds=None,
                    ),
                ),
                arena=Failing() if fails else OpenArena(),
                folder=where,
                bucket=None,
                cloudwatch=None,
                pins={},
                watcher=QUIET,
                halt=halt,
                ignore_eos=True,
                ready_timeout_seconds=5,
                rounds=((1,),) if fails else None,
            ).conduct()

    asyncio.run(conduct())


def model_of(body: bytes) -> None:
    """Load a server that lists no model."""
    answering(body, load._first_model)


def closed_at_once(fault: str) -> str:
    """Return what a sample says of a server that takes no connection."""

    class Unusable:
        usable = False

    class Transport:
        async def connect(self, _: object, __: object) -> Unusable:
            """Connect to a server that has closed already."""
            return Unusable()

    async def connect() -> None:
        pool = Pool(
            typing.cast("Network", Transport()),
            [wire.address(NOWHERE)],
            lambda: 0.0,
            lambda _: None,
            Bounds(timeout_seconds=1, max_in_flight=None, chunks=1),
        )
        await pool._connect(0)

    asyncio.run(connect())
    return fault


def loaded(where: pathlib.Path, script: Script | None, *words: str) -> None:
    """Put one request on a server."""
    import argparse  # noqa: PLC0415

    with contextlib.ExitStack() as stack:
        url = NOWHERE if script is None else stack.enter_context(ScriptedServer(script)).url
        parser = argparse.ArgumentParser()
        load_options.configure(parser)
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        for number in (signal.SIGINT, signal.SIGTERM):  # the command's process ends after it, this one goes on
            stack.callback(signal.signal, number, signal.getsignal(number))
        load.main(parser.parse_args(["--url", url, "--output", str(where / "load.json"), "--requests", "1", *words]))


# Disks.


def no_folder(where: pathlib.Path) -> pathlib.Path:
    """Return a folder that cannot be made: a file is in its way."""
    (where / "a-file").write_text("", encoding="utf-8")
    return where / "a-file" / "run"


def full_spool(where: pathlib.Path, call: str, *, flush: bool) -> None:
    """Write samples onto a disk that is full."""
    spool = Spool(where / "samples.jsonl")
    spool.add(make_sample())
    try:
        with unittest.mock.patch.object(os, call, _full):
            (spool.flush if flush else spool.close)()
    finally:
        spool.close()


def outbox(where: pathlib.Path) -> None:
    """Keep metrics where the folder has gone."""
    box = Outbox(where / "outbox", lambda _: None)
    (where / "outbox").rmdir()
    (where / "outbox").write_text("", encoding="utf-8")
    box.put([])


# This machine.


def no_vllm(where: pathlib.Path) -> None:
    """Start ``make local`` without vLLM."""
    program._check_python(where / "python")


def no_degree(where: pathlib.Path) -> None:
    """Start ``make local`` for a degree that no machine has cores for."""
    (where / "p.yaml").write_text("workloads: {degrees: [1024]}\n", encoding="utf-8")
    profiles, _ = read_profile(str(where / "p.yaml"))
    request = program.Request(profile=profiles[0], model_directory=None, out=where, python=pathlib.Path(sys.executable))
    with unittest.mock.patch("os.sched_getaffinity", return_value={0, 1}):
        asyncio.run(program.run_locally(request, watcher=QUIET, halt=_halt()))


def swept_locally(where: pathlib.Path) -> None:
    """Start a sweep on this machine with one model's directory."""
    profiles, _ = read_profile("sweep")
    request = program.Request(
        profile=profiles[0], model_directory=pathlib.Path("/models/mine"), out=where, python=where
    )
    asyncio.run(sweep_locally(request, profiles, watcher=QUIET, halt=_halt()))


def port_taken() -> None:
    """Ask for a port that is taken."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        startup.ports(1, first=taken.getsockname()[1])


class _Loading:
    """A server of ``make local`` that is not ready."""

    def __init__(self, where: pathlib.Path, failure: str | None, timeout_seconds: float) -> None:
        self.failure = failure
        self.plan = types.SimpleNamespace(
            url=NOWHERE, log=where / "tp1.log", local=types.SimpleNamespace(ready_timeout_seconds=timeout_seconds)
        )

    def last_words(self) -> str:
        """Return the log's end."""
        return "Loading weights"


def loading(
    where: pathlib.Path, *, failure: str | None = None, timeout_seconds: float = 0, halted: bool = False
) -> None:
    """Wait for servers that die, are late, or are no longer waited for."""

    async def wait() -> None:
        halt = _halt()
        if halted:
            halt.set("interrupted", "Ctrl-C")
        servers = typing.cast("dict[int, server.Server]", {1: _Loading(where, failure, timeout_seconds)})
        await startup._ready(servers, halt=halt, watcher=QUIET)

    with unittest.mock.patch.object(Server, "healthy", return_value=False):
        asyncio.run(wait())


def not_started(where: pathlib.Path) -> None:
    """Start a server whose keeper ends at once."""
    plan = types.SimpleNamespace(
        degree=1, cores=(0,), log=where / "tp1.log", local=types.SimpleNamespace(stop_timeout_seconds=1)
    )
    with (
        unittest.mock.patch.object(server, "command", return_value=[]),
        unittest.mock.patch.object(server, "environment", return_value=dict(os.environ)),
        unittest.mock.patch.object(sys, "executable", "/bin/false"),
    ):
        server.Server(typing.cast("server.ServerPlan", plan))


def no_endpoints() -> None:
    """Start the local AWS endpoints with an interpreter that cannot."""
    with unittest.mock.patch.object(sys, "executable", "/bin/false"), local_endpoints():
        pass


def kept_wrongly() -> None:
    """Call the keeper by hand."""
    with unittest.mock.patch.object(sys, "argv", ["keeper"]), unittest.mock.patch.dict(sys.modules):
        sys.modules.pop("optimal_tp.local.supervisor", None)  # runpy warns of a module that another test has imported
        runpy.run_module("optimal_tp.local.supervisor", run_name="__main__")


# Values that a caller gives: told as they are by whoever reads the file or option they came from.


CASES: typing.Final[tuple[Case, ...]] = (
    lambda _: awaited(None),
    lambda _: awaited(3),
    lambda _: compile.ask(NOWHERE, "m"),
    lambda _: mute(),
    compiled,
    fetched,
    lambda where: fetched(where, "mine/config.json", cut=1),
    lambda where: fetch.fetch_from_hub(NOWHERE, "a/b", "1", where),
    fetched_file,
    lambda _: listed("../../etc/passwd.json"),
    lambda _: listed("config.json"),
    lambda where: shaped(where, None),
    lambda where: shaped(where, SMALL),
    unwritable,
    lambda _: outside(),
    lambda where: budgeted(where, None),
    lambda where: budgeted(where, "2026-07-01T12:00:00"),
    lambda where: budgeted(where, "2026-07-01T12:00:00+00:00"),
    lambda where: scaled(where, refused=True),
    lambda where: scaled(where, refused=False),
    lambda where: answered(where, []),
    lambda where: answered(where, {"metadata": {"name": "loadgen"}}),
    lambda where: unanswered(where, token=True),
    lambda where: unanswered(where, token=False),
    own_namespace,
    lambda _: asyncio.run(rota_stops()),
    lambda _: asyncio.run(share.stop_servers(["qwen-vllm-tp1", "qwen-vllm-tp2"], _Refusing(namespace=NO_API))),
    lambda _: late_pod(),
    lambda _: answering(b"<html>", lambda each: each.models()),
    lambda _: answering(b"{}", lambda each: each.models()),
    lambda _: identified(None),
    lambda _: identified(Script(model="another")),
    lambda _: identified(Script(model="planted-tp2"), model={"name": "planted-tp2", "revision": "none"}),
    lambda _: identified(Script(model="planted", max_model_len=64)),
    lambda where: session(where, fails=True),
    lambda where: session(where, halted=True),
    lambda where: session(where, prompt="file", prompt_file="/nowhere/prompts.txt"),
    lambda _: raise_ending(RECORD),
    lambda _: raise_ending(dataclasses.replace(RECORD, ending="interrupted", ending_detail="SIGTERM ended the run")),
    lambda _: model_of(b'{"data": []}'),
    lambda _: closed_at_once(""),
    lambda where: loaded(where, None),
    lambda where: loaded(where, Script(fault="http_500"), "--model", "scripted"),
    lambda where: new_folder(no_folder(where)),
    lambda where: write_whole(no_folder(where), "run.json", "{}"),
    lambda where: begin(no_folder(where) / "load.json"),
    lambda where: write(no_folder(where) / "load.json", {}),
    lambda where: Spool(no_folder(where) / "samples.jsonl"),
    lambda where: full_spool(where, "pwrite", flush=True),
    lambda where: full_spool(where, "fsync", flush=False),
    lambda where: Outbox(no_folder(where), lambda _: None),
    outbox,
    no_vllm,
    no_degree,
    swept_locally,
    lambda _: port_taken(),
    lambda where: loading(where, failure="the server of TP1 ended with status 1; its log tp1.log ends: no memory"),
    loading,
    lambda where: loading(where, timeout_seconds=60, halted=True),
    not_started,
    lambda _: no_endpoints(),
    lambda _: kept_wrongly(),
)
