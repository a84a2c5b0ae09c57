"""Compile one degree's artifacts by running its server once: the program of a compile Job.

``python -m optimal_tp.pods.compile --folder F --model NAME --expect FILE ... -- COMMAND ...`` starts COMMAND with
NEURON_COMPILED_ARTIFACTS on a draft, waits for /health, asks for one completion of each compiled length, stops it and
publishes the draft.
Standard library only: it runs in the server's image.
"""

import argparse
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import time
import typing
import urllib.error
import urllib.request

from optimal_tp.errors import Exit
from optimal_tp.pods import folders
from optimal_tp.pods.container import end_on_sigterm, say

ARTIFACTS_VARIABLE = "NEURON_COMPILED_ARTIFACTS"
_STOP_SECONDS = 60
_TOKEN = 1000
"""A word of every vocabulary served here; which one does not matter."""
_ANSWER_TIMEOUT_SECONDS = 300


class CompileError(RuntimeError):
    """The artifacts could not be made; the message says which step failed and why."""


def _is_healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=10) as answer:  # noqa: S310 - always http on this pod
            return bool(answer.status == 200)  # noqa: PLR2004 - HTTP's OK
    except OSError:
        return False


def wait_until_healthy(
    server: subprocess.Popen[bytes], url: str, *, patience_seconds: float, poll_seconds: float
) -> None:
    """Return when ``url``/health answers. Raises CompileError when ``server`` ends or patience does."""
    deadline = time.monotonic() + patience_seconds
    while not _is_healthy(url):
        if time.monotonic() > deadline:
            raise CompileError(
                f"the server was not healthy after {patience_seconds:g} s (serving.start_patience_seconds); its own "
                "lines above say how far it came; raise the patience if it was still compiling"
            )
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = server.wait(poll_seconds)
            raise CompileError(
                f"the server ended with status {status} before it was healthy; its own lines above say why, and "
                "nrt_init among them means that image and AMI are no pair (infra.neuron.pair)"
            )


def ask(url: str, model: str, *, prompt_tokens: int, tokens: int) -> None:
    """Ask for one completion of ``tokens``. Raises CompileError when there is none with a token in it."""
    prompt = [_TOKEN] * prompt_tokens
    body = json.dumps({"model": model, "prompt": prompt, "max_tokens": tokens, "temperature": 0}).encode()
    request = urllib.request.Request(  # noqa: S310 - always http on this pod
        f"{url}/v1/completions", data=body, headers={"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=_ANSWER_TIMEOUT_SECONDS) as answer:  # noqa: S310 - likewise
            answered = json.load(answer)["usage"]["completion_tokens"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CompileError(
            f"the compiled model did not answer {prompt_tokens} tokens at {url} ({error}); its server's own lines "
            "say why"
        ) from error
    if answered < 1:
        raise CompileError(
            f"the compiled model answered {prompt_tokens} tokens at {url} without a token, so its artifacts are not "
            "kept; the server's own lines above say why"
        )


def stop(server: subprocess.Popen[bytes]) -> None:
    """End ``server``: SIGTERM, and SIGKILL after a minute."""
    server.terminate()
    try:
        server.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def compile_into(  # noqa: PLR0913 - each is named at the call
    folder: pathlib.Path,
    command: typing.Sequence[str],
    *,
    model: str,
    expected: typing.Sequence[str],
    prompts: typing.Sequence[int],
    tokens: int,
    url: str,
    patience_seconds: float,
    poll_seconds: float = 2,
) -> None:
    """Make ``folder`` complete with the artifacts that ``command``'s server compiles.

    ``expected``: files without which they are not whole. ``prompts``: tokens of each prompt that must be answered, with
    ``tokens``. Raises CompileError; a draft that failed is removed by the
    next try.
    """
    owner = os.environ.get("HOSTNAME", "here")
    draft = folders.open_draft(folder, owner=owner, stale_after_seconds=2 * patience_seconds)
    say(f"compiling into {draft}: {' '.join(command)}")
    server = subprocess.Popen(command, env={**os.environ, ARTIFACTS_VARIABLE: str(draft)})
    try:
        wait_until_healthy(server, url, patience_seconds=patience_seconds, poll_seconds=poll_seconds)
        for prompt_tokens in prompts:
            ask(url, model, prompt_tokens=prompt_tokens, tokens=tokens)
    finally:
        stop(server)
    missing = [name for name in expected if not (draft / name).is_file()]
    if missing:
        raise CompileError(
            f"the server answered but left no {', '.join(missing)} in {draft}, so it loaded or compiled its artifacts "
            "elsewhere; hold optimal_tp/servers/vllm.py against the image of infra.neuron.pair"
        )
    folders.publish(draft, folder, {"command": list(command)})
    say(f"complete: {folder}")


def main(arguments: typing.Sequence[str]) -> int:
    """Run the program; returns 0 when the folder is complete, 1 when it could not be made."""
    parser = argparse.ArgumentParser(prog="python -m optimal_tp.pods.compile")
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--expect", action="append", default=[])
    parser.add_argument("--prompt-tokens", action="append", type=int, required=True)
    parser.add_argument("--tokens", type=int, required=True)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--patience-seconds", type=float, required=True)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args(arguments)
    end_on_sigterm()
    if folders.is_complete(given.folder):
        say(f"already complete: {given.folder}")
        return 0
    try:
        compile_into(
            given.folder,
            given.command[1:] if given.command[:1] == ["--"] else given.command,
            model=given.model,
            expected=given.expect,
            prompts=given.prompt_tokens,
            tokens=given.tokens,
            url=given.url,
            patience_seconds=given.patience_seconds,
        )
    except CompileError as error:
        say(f"not compiled: {error}")
        return Exit.WRONG
    return Exit.GOOD


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
