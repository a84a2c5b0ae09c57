"""Compile one degree's artifacts by running its server once: the program of a compile Job.

``python -m optimal_tp.pods.compile --folder F --model NAME --expect FILE ... -- COMMAND ...`` starts COMMAND with
NEURON_COMPILED_ARTIFACTS on a draft, waits for /health, asks for one completion of each compiled length, stops it and
publishes the draft. Each graph is kept beside F as soon as it is compiled, so that a retry, which is another pod and
may be on another node, begins with those that are there.
Standard library only: it runs in the server's image.
"""

import argparse
import collections.abc
import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
import typing
import urllib.error
import urllib.request

from optimal_tp.errors import Exit, quantity
from optimal_tp.pods import folders
from optimal_tp.pods.container import end_on_sigterm, say

ARTIFACTS_VARIABLE = "NEURON_COMPILED_ARTIFACTS"
_STOP_SECONDS = 60
_TOKEN = 1000
"""A word of every vocabulary served here; which one does not matter."""
_ANSWER_TIMEOUT_SECONDS = 300
_ON_THIS_POD: typing.Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Reaches the server without the proxy that an image or a cluster may name."""


class CompileError(RuntimeError):
    """The artifacts could not be made; the message says which step failed and why."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class GraphCache:
    """The compiler's own folder of graphs, on a disk that ends with the pod, and what is kept of it on the volume."""

    folder: pathlib.Path
    finished: str
    """Name of a file that a graph's folder has once it is compiled. One that failed, or was cut short, has none."""
    kept: pathlib.Path

    def seed(self) -> int:
        """Put the graphs that an earlier try kept into the folder, and return how many there are."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.kept.is_dir():
            shutil.copytree(self.kept, self.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(_UNFINISHED))
        return sum(1 for _ in self.folder.rglob(self.finished))

    def keep(self) -> None:
        """Copy each graph that is compiled and not kept yet; whole or not at all."""
        try:
            self._keep()
        except OSError as error:  # which costs a retry its time, and this try nothing
            say(f"a compiled graph was not kept for a retry: {error}")

    def _keep(self) -> None:
        for mark in sorted(self.folder.rglob(self.finished)):
            target = self.kept / mark.parent.relative_to(self.folder)
            if target.exists():
                continue
            draft = target.with_name(f"{target.name}{_UNFINISHED[1:]}")
            shutil.rmtree(draft, ignore_errors=True)
            shutil.copytree(mark.parent, draft)
            draft.rename(target)

    def drop(self) -> None:
        """Forget what is kept: the artifacts are complete."""
        shutil.rmtree(self.kept, ignore_errors=True)


_UNFINISHED = "*.part"


def _is_healthy(url: str) -> bool:
    try:
        with _ON_THIS_POD.open(f"{url}/health", timeout=10) as answer:
            return bool(answer.status == 200)  # noqa: PLR2004 - HTTP's OK
    except OSError:
        return False


def wait_until_healthy(
    server: subprocess.Popen[bytes],
    url: str,
    *,
    patience_seconds: float,
    poll_seconds: float,
    meanwhile: collections.abc.Callable[[], None] = lambda: None,
) -> None:
    """Return when ``url``/health answers, doing ``meanwhile`` at each poll.

    Raises CompileError when ``server`` ends or patience does.
    """
    deadline = time.monotonic() + patience_seconds
    while not _is_healthy(url):
        meanwhile()
        if time.monotonic() > deadline:
            raise CompileError(
                f"the server was not healthy after {patience_seconds:g} s (serving.start_patience_seconds); its own "
                "lines above say how far it came; raise the patience if it was still compiling"
            )
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = server.wait(poll_seconds)
            raise CompileError(
                f"the server ended with status {status} before it was healthy; its own lines above say why, and "
                "nrt_init among them means that the image and the AMI's Neuron driver do not match (infra.neuron.pair)"
            )


def ask(url: str, model: str, *, prompt_tokens: int, tokens: int) -> None:
    """Ask for one completion of ``tokens``. Raises CompileError when there is none with a token in it."""
    prompt = [_TOKEN] * prompt_tokens
    body = json.dumps({"model": model, "prompt": prompt, "max_tokens": tokens, "temperature": 0}).encode()
    request = urllib.request.Request(  # noqa: S310 - always http on this pod
        f"{url}/v1/completions", data=body, headers={"content-type": "application/json"}
    )
    try:
        with _ON_THIS_POD.open(request, timeout=_ANSWER_TIMEOUT_SECONDS) as answer:
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
    cache: GraphCache,
    loads_cache: bool = False,
    poll_seconds: float = 2,
) -> None:
    """Make ``folder`` complete with the artifacts that ``command``'s server compiles.

    ``expected``: files without which they are not whole, as patterns. ``prompts``: tokens of each prompt that must be
    answered, with ``tokens``. ``loads_cache``: the server's artifacts are what lies in ``cache``. Raises CompileError;
    a draft that failed is removed by the next try, and the graphs that it got to stay.
    """
    owner = os.environ.get("HOSTNAME", "here")
    draft = folders.open_draft(folder, owner=owner, stale_after_seconds=2 * patience_seconds)
    graphs = cache.seed()
    kept = f", from {quantity(graphs, 'graph', 'graphs')} of an earlier try" if graphs else ""
    say(f"compiling into {draft}{kept}: {' '.join(command)}")
    server = subprocess.Popen(
        command, env=os.environ if loads_cache else {**os.environ, ARTIFACTS_VARIABLE: str(draft)}
    )
    try:
        wait_until_healthy(
            server, url, patience_seconds=patience_seconds, poll_seconds=poll_seconds, meanwhile=cache.keep
        )
        for prompt_tokens in prompts:
            ask(url, model, prompt_tokens=prompt_tokens, tokens=tokens)
    finally:
        stop(server)
        cache.keep()
    if loads_cache:
        shutil.copytree(cache.folder, draft, dirs_exist_ok=True)
    missing = [name for name in expected if not any(draft.glob(name))]
    if missing:
        raise CompileError(
            f"the server answered but left no {', '.join(missing)} in {draft}, so its artifacts are "
            "elsewhere; choose another infra.neuron.pair, or report this with the image's tag"
        )
    folders.publish(draft, folder, {"command": list(command)})
    cache.drop()
    say(f"complete: {folder}")


def main(arguments: typing.Sequence[str]) -> int:
    """Run the program; returns 0 when the folder is complete, 1 when it could not be made."""
    parser = argparse.ArgumentParser(prog="python -m optimal_tp.pods.compile")
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--expect", action="append", default=[])
    parser.add_argument("--prompt-tokens", action="append", type=int, required=True)
    parser.add_argument("--tokens", type=int, required=True)
    parser.add_argument("--cache", type=pathlib.Path, required=True, help="the compiler's folder of graphs")
    parser.add_argument("--finished", required=True, help="name of a file that a compiled graph's folder has")
    parser.add_argument("--loads-cache", action="store_true", help="the server's artifacts are what lies in the cache")
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
            cache=GraphCache(
                folder=given.cache,
                finished=given.finished,
                kept=given.folder.with_name(f"{given.folder.name}.graphs"),
            ),
            loads_cache=given.loads_cache,
        )
    except CompileError as error:
        say(f"not compiled: {error}")
        return Exit.WRONG
    return Exit.GOOD


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
