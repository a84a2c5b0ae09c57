"""The compile Job's program against a scripted server in a process of its own."""

import pathlib
import socket
import sys
import textwrap

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


@pytest.fixture
def port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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


@pytest.mark.parametrize(
    ("behaviour", "expected", "message"),
    [
        (
            "dies",
            (),
            (
                "the server ended with status 3 before it was healthy; its own lines above say why, and nrt_init among "
                "them means that image and AMI are no pair (infra.neuron.pair)"
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
                "the server answered but left no neuron_config.json in {draft}, so it loaded or compiled its artifacts "
                "elsewhere; hold optimal_tp/servers/vllm.py against the image of infra.neuron.pair"
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
    arguments = ["--folder", str(folder), "--model", "m", *PROOF, "--patience-seconds", "5", "--", "/no/such/command"]
    capsys.readouterr()

    assert compiling.main(arguments) == 0
    assert capsys.readouterr().out == f"already complete: {folder}\n"


def test_the_program_passes_the_command_on(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What stands after -- is the server's command, and its failure is the Job's."""
    arguments = ["--folder", str(tmp_path / "tp1"), "--model", "m", *PROOF, "--patience-seconds", "5"]
    status = compiling.main([*arguments, "--", sys.executable, "-c", "raise SystemExit(7)"])

    assert status == 1
    assert "not compiled: the server ended with status 7 before it was healthy" in capsys.readouterr().out
