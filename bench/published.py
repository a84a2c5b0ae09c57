"""What people use for language models, run as its own commands: vllm bench, inference-perf, aiperf, guidellm.

Each is installed into an environment of its own, on request only: together they take 8 GB. Their versions are pinned
here and not in requirements.txt, for their dependencies exclude each other. They want a tokenizer: one is made.
"""

import dataclasses
import json
import os
import pathlib
import subprocess
import tempfile
import typing

from bench.cases import PACED, PACED_SECONDS
from bench.tools import CLIENT_CORE, ROOT, SERVER_CORE, Load, Ours
from tests.fakes_server import Script, ScriptedServer

UV = ROOT / ".venv" / "bin" / "uv"
TOKENS = 32
_LONGEST_SECONDS = 120


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tool:
    """One of them."""

    name: str
    package: str | None
    """As pip names it with its version; None: of the environment of ``make local``."""
    python: str
    requests: int
    """So many take some seconds on one core."""
    words: typing.Callable[["Ask"], list[str]]
    """Its command."""
    read: typing.Callable[[pathlib.Path], tuple[float, float]]
    """From its folder: requests that succeeded, and the seconds that they took."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ask:
    """One load: streams of 32 tokens, so many in flight."""

    url: str
    streams: int
    requests: int
    folder: pathlib.Path
    bin: pathlib.Path
    """The tool's environment's programs."""


def _vllm_words(ask: Ask) -> list[str]:
    start = (
        "import argparse, asyncio; from vllm.benchmarks.serve import add_cli_args, main_async; "
        "parser = argparse.ArgumentParser(); add_cli_args(parser); asyncio.run(main_async(parser.parse_args()))"
    )
    words = ["--backend", "openai", "--base-url", ask.url, "--endpoint", "/v1/completions", "--model", "scripted"]
    words += ["--tokenizer", str(ask.folder / "tokenizer"), "--dataset-name", "random", "--random-input-len", "8"]
    words += ["--random-output-len", str(TOKENS), "--num-prompts", str(ask.requests), "--disable-tqdm"]
    words += ["--max-concurrency", str(ask.streams), "--save-result", "--result-dir", str(ask.folder)]
    return [str(ask.bin / "python"), "-c", start, *words, "--result-filename", "r.json"]


def _vllm_read(folder: pathlib.Path) -> tuple[float, float]:
    record = json.loads((folder / "r.json").read_text())
    return record["completed"], record["duration"]


def _inference_perf_words(ask: Ask) -> list[str]:
    stage = {"num_requests": ask.requests, "concurrency_level": ask.streams}
    config = {
        "api": {"type": "completion", "streaming": True},
        "data": {"type": "mock"},
        "load": {"type": "concurrent", "num_workers": 1, "stages": [stage]},
        "server": {"type": "vllm", "model_name": "scripted", "base_url": ask.url, "ignore_eos": True},
        "tokenizer": {"pretrained_model_name_or_path": str(ask.folder / "tokenizer")},
        "storage": {"local_storage": {"path": str(ask.folder / "out")}},
    }
    file = ask.folder / "config.yaml"
    file.write_text(json.dumps(config))
    return [str(ask.bin / "inference-perf"), "-c", str(file)]


def _inference_perf_read(folder: pathlib.Path) -> tuple[float, float]:
    record = json.loads((folder / "out" / "summary_lifecycle_metrics.json").read_text())
    return record["successes"]["count"], record["benchmark_time_seconds"]


def _aiperf_words(ask: Ask) -> list[str]:
    words = ["profile", "-m", "scripted", "-u", ask.url, "--endpoint-type", "completions", "--streaming"]
    words += ["--tokenizer", "bench/bytes", "--use-server-token-count", "--isl", "8", "--osl", str(TOKENS)]
    words += ["--concurrency", str(ask.streams), "--request-count", str(ask.requests), "--ui", "none"]
    return [str(ask.bin / "aiperf"), *words, "--output-artifact-dir", str(ask.folder / "out")]


def _aiperf_read(folder: pathlib.Path) -> tuple[float, float]:
    record = json.loads((folder / "out" / "profile_export_aiperf.json").read_text())
    requests = record["request_count"]["avg"]
    return requests, requests / record["request_throughput"]["avg"]


def _guidellm_words(ask: Ask) -> list[str]:
    where = f"kind=openai_http,target={ask.url},model=scripted,request_format=/v1/completions"
    words = ["run", "--backend", where, "--profile", f"kind=concurrent,streams={ask.streams}"]
    words += ["--constraint", f"kind=max_requests,count={ask.requests}", "--disable-console"]
    words += ["--tokenizer", f"kind=huggingface_auto,model={ask.folder / 'tokenizer'}"]
    words += ["--data", f"kind=synthetic_text,prompt_tokens=8,output_tokens={TOKENS}"]
    return [str(ask.bin / "guidellm"), *words, "--output", f"kind=json,path={ask.folder / 'r.json'}"]


def _guidellm_read(folder: pathlib.Path) -> tuple[float, float]:
    (record,) = json.loads((folder / "r.json").read_text())["benchmarks"]
    done = record["requests"]["successful"]
    begun = min(request["request_start_time"] for request in done)
    return len(done), max(request["request_end_time"] for request in done) - begun


TOOLS = (
    Tool(name="vllm bench", package=None, python="3.11", requests=8000, words=_vllm_words, read=_vllm_read),
    Tool(
        name="inference-perf",
        package="inference-perf==0.7.0",
        python="3.12",
        requests=3000,
        words=_inference_perf_words,
        read=_inference_perf_read,
    ),
    Tool(
        name="aiperf",
        package="aiperf==0.13.0",
        python="3.11",
        requests=2000,
        words=_aiperf_words,
        read=_aiperf_read,
    ),
    Tool(
        name="guidellm",
        package="guidellm==0.8.1",
        python="3.11",
        requests=1000,
        words=_guidellm_words,
        read=_guidellm_read,
    ),
)


def _bin(tool: Tool, vllm_python: pathlib.Path) -> pathlib.Path:
    """Return the programs of ``tool``'s environment, made if it is not there. Raises OSError, CalledProcessError."""
    if tool.package is None:
        vllm_python.stat()
        return vllm_python.parent
    folder = ROOT / f".venv-bench-{tool.name}"
    if not (folder / "ready").exists():
        print("installing", tool.package, "into", folder.name, flush=True)
        subprocess.run([UV, "venv", "--quiet", "--clear", "--python", tool.python, folder], check=True)
        subprocess.run([UV, "pip", "install", "--quiet", "--python", folder, tool.package], check=True)
        (folder / "ready").touch()
    return folder / "bin"


def _write_tokenizer(folder: pathlib.Path) -> None:
    """Write a tokenizer of single bytes; twice, for aiperf takes one only from a hub's cache, as bench/bytes."""
    write = (
        "import sys; from tokenizers import Tokenizer, decoders, models, pre_tokenizers as pre; "
        "vocab = {letter: id for id, letter in enumerate([*sorted(pre.ByteLevel.alphabet()), '</s>'])}; "
        "made = Tokenizer(models.BPE(vocab, [])); made.pre_tokenizer = pre.ByteLevel(add_prefix_space=False); "
        "made.decoder = decoders.ByteLevel(); made.save(sys.argv[1])"
    )
    cached = folder / "hub" / "models--bench--bytes"
    for place in (folder / "tokenizer", cached / "snapshots" / "1"):
        place.mkdir(parents=True)
        subprocess.run([ROOT / ".venv" / "bin" / "python", "-c", write, place / "tokenizer.json"], check=True)
        config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>", "model_max_length": 4096}
        (place / "tokenizer_config.json").write_text(json.dumps(config))
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("1")


def _rate(tool: Tool, programs: pathlib.Path, url: str, streams: int) -> float:
    """Return the requests per second that ``tool`` comes to. Raises CalledProcessError, TimeoutExpired, OSError."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        _write_tokenizer(folder)
        ask = Ask(url=url, streams=streams, requests=tool.requests, folder=folder, bin=programs)
        offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_CACHE": str(folder / "hub")}
        subprocess.run(
            ["taskset", "-c", str(CLIENT_CORE), *tool.words(ask)],  # noqa: S607 - of util-linux
            capture_output=True,
            check=True,
            timeout=_LONGEST_SECONDS,
            cwd=folder,
            env=os.environ | offline,
        )
        requests, seconds = tool.read(folder)
    return requests / seconds


def _our_rate(url: str, streams: int) -> float:
    result = Ours().run(Load(url=url, concurrency=streams, stream=True, max_tokens=TOKENS))
    return result.requests / result.seconds


def compared(vllm_python: pathlib.Path) -> typing.Iterator[str]:
    """Yield a table of ours beside theirs, a row when it is measured; one that cannot be run has its reason."""
    yield "| tool | streamed chunks/s, 64 in flight | ours / it | 256 streams: share of the schedule held, % |"
    yield "| --- | --- | --- | --- |"
    with (
        ScriptedServer(Script(), process=True, core=SERVER_CORE) as at_once,
        ScriptedServer(PACED, process=True, core=SERVER_CORE) as paced,
    ):
        ours = _our_rate(at_once.url, 64)
        yield f"| ours | {TOKENS * ours:,.0f} | | {100 * _our_rate(paced.url, 256) * PACED_SECONDS / 256:.1f} |"
        for tool in TOOLS:
            try:
                programs = _bin(tool, vllm_python)
                rate = _rate(tool, programs, at_once.url, 64)
                held = 100 * _rate(tool, programs, paced.url, 256) * PACED_SECONDS / 256
            except (OSError, subprocess.SubprocessError, ValueError, KeyError) as error:
                said = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip()
                yield f"| {tool.name} | not run: {type(error).__name__} {said[-200:] or error} | | |"
            else:
                yield f"| {tool.name} | {TOKENS * rate:,.0f} | {ours / rate:.1f} | {held:.1f} |"
