"""The compile Job's program against a scripted server in a process of its own."""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import textwrap
import time

import pytest

from optimal_tp.pods import compile as compiling
from optimal_tp.pods import folders
from tests.fakes_samples import whole

SERVER = textwrap.dedent(
    """
    import http.server, json, os, pathlib, sys

    port, behaviour = int(sys.argv[1]), sys.argv[2]
    pathlib.Path(os.environ["NEURON_COMPILED_ARTIFACTS"], "model.pt").write_bytes(b"graph")
    if behaviour == "dies":
        sys.exit(3)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(503 if behaviour == "never healthy" else 200)
            self.end_headers()

        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with pathlib.Path(os.environ["NEURON_COMPILED_ARTIFACTS"], "asked").open("a") as kept:
                kept.write(f"{len(asked['prompt'])} ")
            is_mute = behaviour == "mute" or (behaviour == "mute when long" and len(asked["prompt"]) > 124)
            tokens = 0 if is_mute else asked["max_tokens"]
            self.send_response(500 if behaviour == "fails" else 200)
            self.end_headers()
            self.wfile.write(json.dumps({"usage": {"completion_tokens": tokens}}).encode())

        def log_message(self, *_):
            pass

    http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
    """
)


PROOF = ["--prompt-tokens", "124", "--tokens", "4"]


def cached(folder: pathlib.Path) -> list[str]:
    """Return the arguments of a compiler's cache."""
    return ["--cache", str(folder / "cache"), "--finished", "model.neff"]


@pytest.fixture
def port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def graphs(folder: pathlib.Path) -> compiling.GraphCache:
    """Return the cache of a compiler in ``folder``'s pod."""
    return compiling.GraphCache(
        folder=folder.with_name("cache"), finished="model.neff", kept=folder.with_name(f"{folder.name}.graphs")
    )


def compile_once(folder: pathlib.Path, port: int, behaviour: str, expected: tuple[str, ...] = ("model.pt",)) -> None:
    """Run the program's work against a server that behaves so."""
    compiling.compile_into(
        folder,
        [sys.executable, "-c", SERVER, str(port), behaviour],
        model="Qwen/Qwen3-0.6B",
        expected=expected,
        prompts=(124, 252),
        tokens=4,
        url=f"http://127.0.0.1:{port}",
        cache=graphs(folder),
        patience_seconds=0.5 if behaviour == "never healthy" else 20,
        poll_seconds=0.02,
    )


def test_artifacts_are_complete_once_the_server_has_answered(tmp_path: pathlib.Path, port: int) -> None:
    """Healthy, one completion of each length, stopped: then the folder is there, whole."""
    folder = tmp_path / "compiled" / "tp1"
    compile_once(folder, port, "well")

    assert folders.is_complete(folder)
    assert (folder / "model.pt").read_bytes() == b"graph"
    assert (folder / "asked").read_text() == "124 252 "


def test_the_server_is_reached_past_a_proxy(tmp_path: pathlib.Path, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster may give every pod a proxy; waiting for one would cost the whole patience on a paid node."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    compile_once(tmp_path / "tp1", port, "well")

    assert folders.is_complete(tmp_path / "tp1")


@pytest.mark.parametrize(
    ("behaviour", "expected", "message"),
    [
        (
            "dies",
            (),
            (
                "the server ended with status 3 before it was healthy; its own lines above say why, and nrt_init among "
                "them means that the image and the AMI's Neuron driver do not match (infra.neuron.pair)"
            ),
        ),
        (
            "never healthy",
            (),
            (
                "the server was not healthy after 0.5 s (serving.start_patience_seconds); its own lines above say how "
                "far it came; raise the patience if it was still compiling"
            ),
        ),
        (
            "fails",
            (),
            (
                "the compiled model did not answer 124 tokens at {url} (HTTP Error 500: Internal Server Error); its "
                "server's own lines say why"
            ),
        ),
        (
            "mute",
            (),
            (
                "the compiled model answered 124 tokens at {url} without a token, so its artifacts are not kept; the "
                "server's own lines above say why"
            ),
        ),
        (
            "mute when long",
            (),
            (
                "the compiled model answered 252 tokens at {url} without a token, so its artifacts are not kept; the "
                "server's own lines above say why"
            ),
        ),
        (
            "well",
            ("neuron_config.json",),
            (
                "the server answered but left no neuron_config.json in {draft}, so its artifacts are elsewhere; "
                "choose another infra.neuron.pair, or report this with the image's tag"
            ),
        ),
    ],
)
def test_a_server_that_fails_leaves_no_complete_folder(
    tmp_path: pathlib.Path, port: int, behaviour: str, expected: tuple[str, ...], message: str
) -> None:
    """The Job says which step failed and what to do, and nothing half-made is taken for complete."""
    folder = tmp_path / "tp1"
    sentence = whole(message.format(url=f"http://127.0.0.1:{port}", draft="DRAFT")).replace("DRAFT", r"\S+")
    with pytest.raises(compiling.CompileError, match=sentence):
        compile_once(folder, port, behaviour, expected)

    assert not folder.exists()


def test_a_complete_folder_ends_the_job_at_once(
    tmp_path: pathlib.Path, port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command is not started again: it would fail if it were."""
    folder = tmp_path / "tp1"
    compile_once(folder, port, "well")
    arguments = ["--folder", str(folder), "--model", "m", *PROOF, *cached(tmp_path), "--patience-seconds", "5"]
    arguments += ["--", "/no/such/command"]
    capsys.readouterr()

    assert compiling.main(arguments) == 0
    assert capsys.readouterr().out == f"already complete: {folder}\n"


def test_the_program_passes_the_command_on(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What stands after -- is the server's command, and its failure is the Job's."""
    arguments = [
        "--folder",
        str(tmp_path / "tp1"),
        "--model",
        "m",
        *PROOF,
        *cached(tmp_path),
        "--patience-seconds",
        "5",
    ]
    status = compiling.main([*arguments, "--", sys.executable, "-c", "raise SystemExit(7)"])

    assert status == 1
    assert "not compiled: the server ended with status 7 before it was healthy" in capsys.readouterr().out


COMPILER = textwrap.dedent(
    """
    import os, pathlib, sys, time

    cache, graphs = pathlib.Path(sys.argv[1]), ["a", "b", "c"]
    for name in graphs:
        folder = cache / "neuronxcc" / name
        if (folder / "model.neff").exists():
            print(f"reused {name}", flush=True)
            continue
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.hlo").write_bytes(b"graph")
        if name == "c" and sys.argv[2] == "fails":
            sys.exit(70)
        if name == "c" and sys.argv[2] == "hangs":
            time.sleep(60)
        (folder / "model.neff").write_bytes(b"code")
        print(f"compiled {name}", flush=True)
    sys.exit(7)
    """
)
"""Compiles three graphs, and then ends: what it got to is all that matters here."""


def try_once(tmp_path: pathlib.Path, pod: str, how: str) -> "subprocess.Popen[str]":
    """Start the program as the pod ``pod`` does, with a disk of its own."""
    cache = tmp_path / pod
    arguments = ["--folder", str(tmp_path / "volume" / "tp1"), "--model", "m", *PROOF, "--patience-seconds", "30"]
    arguments += ["--cache", str(cache), "--finished", "model.neff", "--url", "http://127.0.0.1:9"]
    command = [sys.executable, "-c", COMPILER, str(cache), how]
    return subprocess.Popen(
        [sys.executable, "-m", "optimal_tp.pods.compile", *arguments, "--", *command],
        env={**os.environ, "HOSTNAME": pod},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize("how", ["fails", "killed"])
def test_a_retry_begins_with_the_graphs_of_the_try_before(tmp_path: pathlib.Path, how: str) -> None:
    """A Job's retry is another pod with an empty disk; only the graph that was not done is compiled once more.

    Killed: as when the node goes, nobody gets to say goodbye.
    """
    first = try_once(tmp_path, "first", "fails" if how == "fails" else "hangs")
    if how == "killed":
        kept = tmp_path / "volume" / "tp1.graphs" / "neuronxcc" / "b" / "model.neff"
        end = time.monotonic() + 20
        while not kept.exists() and time.monotonic() < end:
            time.sleep(0.02)
        os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    said, _ = try_once(tmp_path, "second", "well").communicate()

    assert [line for line in said.splitlines() if line.startswith(("reused", "compiled"))] == [
        "reused a",
        "reused b",
        "compiled c",
    ]
    assert ", from 2 graphs of an earlier try: " in said


def test_kept_graphs_go_once_the_artifacts_are_complete(tmp_path: pathlib.Path, port: int) -> None:
    """They are part of the artifacts then, or of no use."""
    folder = tmp_path / "tp1"
    graph = graphs(folder).kept / "neuronxcc" / "a"
    graph.mkdir(parents=True)
    (graph / "model.neff").write_bytes(b"code")
    compile_once(folder, port, "well")

    assert folders.is_complete(folder)
    assert (graphs(folder).folder / "neuronxcc" / "a" / "model.neff").read_bytes() == b"code"
    assert not graphs(folder).kept.exists()


def test_a_server_that_loads_its_cache_has_it_as_artifacts(tmp_path: pathlib.Path, port: int) -> None:
    """What the compiler left on the pod's disk is what is published."""
    folder, cache = tmp_path / "tp1", graphs(tmp_path / "tp1")
    graph = cache.folder / "neuron" / "compile_cache" / "a1"
    graph.mkdir(parents=True)
    (graph / "model.neff").write_bytes(b"code")
    server = SERVER.replace('os.environ["NEURON_COMPILED_ARTIFACTS"]', repr(str(cache.folder)))
    compiling.compile_into(
        folder,
        [sys.executable, "-c", server, str(port), "well"],
        model="m",
        expected=("**/model.neff",),
        prompts=(124,),
        tokens=4,
        url=f"http://127.0.0.1:{port}",
        patience_seconds=20,
        cache=cache,
        loads_cache=True,
        poll_seconds=0.02,
    )

    assert folders.is_complete(folder)
    assert (folder / "neuron" / "compile_cache" / "a1" / "model.neff").read_bytes() == b"code"
