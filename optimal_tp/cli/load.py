"""Put one load on one server; print a summary, and write JSON and every sample.

Without --output the files go to a new folder under out/.
Exit status: 0 measured, 2 bad options, 4 void, 5 the server or the disk failed, 130 interrupted.
Example: optimal-tp load http://127.0.0.1:8000
  optimal-tp load http://127.0.0.1:8000 --mode poisson --rate 5 --seconds 30 --stream --output load.json
"""

import argparse
import asyncio
import contextlib
import datetime as dt
import os
import pathlib
import signal
import sys
import threading
import time
import typing

import uvloop

from optimal_tp.cli.terminal import output
from optimal_tp.errors import CapacityError, Exit, Problem, ServerFailed, SettingsError
from optimal_tp.loadgen import calls
from optimal_tp.loadgen.calls import ServedModel, Server, random_prompts
from optimal_tp.loadgen.command import options, recorded, result, summary
from optimal_tp.loadgen.command.options import Options
from optimal_tp.loadgen.counting import countings, end_all
from optimal_tp.loadgen.driver import drive
from optimal_tp.loadgen.stretch import Stretch, Target
from optimal_tp.loadgen.transport import TcpTransport
from optimal_tp.measurement import audit
from optimal_tp.measurement.samples import Sample
from optimal_tp.plan import prompts
from optimal_tp.results.spool import Spool


def pin(core: int) -> None:
    """Keep this process on ``core``. Raises CapacityError if the system does not allow it."""
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {core})
    except OSError as error:
        cores = ", ".join(map(str, sorted(allowed)))
        raise CapacityError(
            f"this process cannot be pinned to core {core}: {error.strerror}; allowed cores are {cores}: "
            "name one of them"
        ) from error


_SCHEDSTAT = pathlib.Path("/proc/thread-self/schedstat")


def core_wait_seconds() -> float | None:
    """Return how long this thread has been ready to run while its core had other work; None if that is not counted.

    Source: Linux's Documentation/scheduler/sched-stats.rst, /proc/<pid>/schedstat, read 2026-11-24.
    """
    try:
        return int(_SCHEDSTAT.read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return None


_CLASSES = {os.SCHED_OTHER: "ordinary", os.SCHED_BATCH: "batch", os.SCHED_IDLE: "idle", os.SCHED_FIFO: "real-time fifo"}
_CLASSES |= {os.SCHED_RR: "real-time round-robin"}


def take_precedence() -> None:
    """Give this process priority over ordinary ones. Raises CapacityError if the system does not allow it."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError as error:
        raise CapacityError(
            f"this process cannot have real-time priority: {error.strerror}; "
            f"it needs CAP_SYS_NICE or an rtprio limit of at least 1"
        ) from error


def scheduling() -> str:
    """Return how this process is scheduled, in words."""
    policy = os.sched_getscheduler(0)
    name = _CLASSES.get(policy, f"policy {policy}")
    if policy in {os.SCHED_FIFO, os.SCHED_RR}:
        return f"{name}, priority {os.sched_getparam(0).sched_priority}"
    return f"{name}, nice {os.getpriority(os.PRIO_PROCESS, 0)}"


_SIGNALS = (signal.SIGINT, signal.SIGTERM)

configure = options.configure


def main(arguments: argparse.Namespace) -> int:
    """Run the load; return the exit status: 0, 4 for a void one, 130 after SIGINT; SIGTERM ends it with 0.

    The process must end afterwards, because both signals stay blocked.

    Raises SettingsError, ServerFailed (also if no request succeeded) and StorageFailed.
    """
    asked = options.checked(arguments)
    if asked.core is not None:
        pin(asked.core)
    if asked.realtime:
        take_precedence()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        with output.beside_json(arguments):
            status = runner.run(_load(asked))
        if output.is_json(arguments):
            _say(asked.output.read_text(encoding="utf-8").rstrip())
        return status


def _wait_for_signals(received: list[signal.Signals], stop: asyncio.Event) -> None:
    """Set ``stop`` at the first signal and note it in ``received``; until the process ends, signals do nothing else.

    They are blocked, and a thread waits for them. A handler would be entered again while it runs, as deep as signals
    come, and Python takes handlers away before the process has ended (``_PySignal_Fini``, CPython 3.11): a signal then
    kills it. Threads that start later block them too.
    """
    loop = asyncio.get_running_loop()
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)

    def wait() -> None:
        """Wait for the first signal, and end the load."""
        received.append(signal.Signals(signal.sigwait(_SIGNALS)))
        with contextlib.suppress(RuntimeError):  # the loop is closed: the load had ended by itself
            loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=wait, name="signals", daemon=True).start()


async def _load(asked: Options) -> int:
    stop, received = asyncio.Event(), list[signal.Signals]()
    _wait_for_signals(received, stop)
    network = TcpTransport(asked.access.trust, stamped=asked.stream)
    server = Server(url=asked.urls[0], headers=asked.access.headers, transport=network)
    model, most_tokens = await _served(asked, server)
    asked = options.fitted(asked, most_tokens)
    source = await _prompts(asked, server, model)
    counted, kept = summary.Summary(), list[audit.AuditRow]()
    result.begin(asked.output)
    with Spool(asked.samples) as spool:

        def take(sample: Sample) -> None:
            """Keep ``sample`` in the file, in the summary and for the audit."""
            spool.add(sample)
            counted.add(sample)
            kept.append(audit.row(sample))

        target = Target(urls=asked.urls, model=model, headers=asked.access.headers)
        counters = countings(asked.urls, asked.access.server)
        await asyncio.gather(*(one.begin_unparsed() for one in counters))
        started, origin, used = dt.datetime.now(dt.UTC), time.perf_counter(), time.process_time()
        waited = core_wait_seconds()
        done = await drive(target, _stretch(asked, origin), source.each, on_sample=take, transport=network, stop=stop)
    cpu_seconds, waited = time.process_time() - used, _since(waited, core_wait_seconds())
    ended = result.EndedLoad(
        asked=asked,
        model=model,
        source=source,
        started=started,
        origin_seconds=origin,
        cpu_seconds=cpu_seconds,
        core_wait_seconds=waited,
        kernel_stamped_share=None if network.clock is None else network.clock.stamped_share,
        scheduling=scheduling(),
        drive=done,
        counted=counted,
        rows=kept,
        servers=await end_all(counters),
        stopped_by=received[0].name if received else None,
    )
    record = result.record(ended)
    _say(result.as_text(record))  # first, so that it can be read even if the file cannot be written
    result.write(asked.output, record)
    _say(f"written    {asked.output}, {asked.samples}")
    return _status(record, received, counted)


def _say(text: str) -> None:
    """Print ``text``; a closed output is no error, because the result's file is what counts."""
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python tries again at its exit


def _since(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def _status(record: dict[str, typing.Any], received: list[signal.Signals], counted: summary.Summary) -> Exit:
    if received:
        return Exit.GOOD if received[0] == signal.SIGTERM else Exit.INTERRUPTED
    if counted.ok == 0:
        failed = record["requests"]["failed"]
        raise ServerFailed(
            f"no request succeeded, {failed} failed; the first: {counted.first_failure}; the server's own log says more"
        )
    return Exit.GOOD if record["audit"]["valid"] else Exit.VOID


async def _served(asked: Options, server: Server) -> tuple[str, int | None]:
    """Return the model to ask for, and its length in tokens if that is known and matters."""
    if asked.model is not None and asked.trace is None:
        return asked.model, None
    try:
        served = await first_models(server)
    except (ServerFailed, SettingsError):
        if asked.model is None:
            raise
        return asked.model, None
    lengths = {each.name: each.max_model_len_tokens for each in served}
    model = asked.model or served[0].name
    return model, lengths.get(model)


async def first_models(server: Server) -> tuple[ServedModel, ...]:
    """Return the models that the server lists.

    Raises ServerFailed if it lists none or gives no answer, SettingsError for any other answer, as without a key.
    """
    try:
        served = await server.models()
    except ServerFailed as error:
        remedy = calls.way_in(str(error))
        if calls.is_silence(str(error)):
            raise ServerFailed(f"{error}; {remedy}") from error
        rule = f"must be an OpenAI-compatible server that answers ({error})"
        raise SettingsError([Problem(path="URL", value=server.url, rule=rule, remedy=remedy)]) from error
    if not served:
        raise ServerFailed(f"{server.url}/v1/models lists no model; load one there, or name one with --model")
    return served


async def _prompts(asked: Options, server: Server, model: str) -> prompts.Prompts:
    if asked.prompt == "seed":
        return prompts.repeated()
    if asked.prompt_file is not None:
        return recorded.prompt_lines(asked.prompt_file)
    shapes = None if asked.trace is None else asked.trace.shapes
    return await random_prompts(server, model, asked.prompt_tokens, api=asked.api, seed=asked.seed, shapes=shapes)


def _stretch(asked: Options, origin: float) -> Stretch:
    return Stretch(
        stage="load",
        degree=1,
        block=None,
        arrivals=asked.arrivals,
        api=asked.api,
        seconds=asked.seconds,
        requests=asked.requests,
        max_tokens=asked.max_tokens,
        stream=asked.stream,
        temperature=asked.temperature,
        ignore_eos=asked.ignore_eos,
        request_timeout_seconds=asked.request_timeout_seconds,
        max_in_flight=asked.max_in_flight,
        grace_seconds=asked.grace_seconds,
        origin=origin,
    )
