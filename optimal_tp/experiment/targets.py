"""Check the targets before measuring: up, serving the planned model and candidate, and able to hold the requests."""

import asyncio
import collections.abc
import dataclasses
import re

from optimal_tp.errors import Problem, ServerFailed, SettingsError
from optimal_tp.experiment.prompt_sources import prompts_of
from optimal_tp.experiment.turns import pause
from optimal_tp.facts.candidates import Candidate, candidate
from optimal_tp.loadgen import calls, wire
from optimal_tp.loadgen.calls import Completion, Server
from optimal_tp.loadgen.command.access import OPEN, Access
from optimal_tp.plan import prompts
from optimal_tp.plan.prompts import Prompt
from optimal_tp.plan.traces import Trace
from optimal_tp.settings.workload import Api, WorkloadSettings

_CANDIDATE_IN_NAME = re.compile(r"-(tp\d+(?:-b\d+)?)$")


async def check_targets(
    targets: collections.abc.Mapping[Candidate, tuple[str, ...]],
    settings: WorkloadSettings,
    *,
    ignore_eos: bool,
    access: Access = OPEN,
    trace: Trace | None = None,
) -> None:
    """Ask every URL of ``targets`` for its models, then for one completion like those of the load.

    Raises SettingsError that lists every target that is down, serves another model, has another degree or batch in a
    served name ("Qwen/Qwen3-0.6B-tp2", "Qwen/Qwen3-0.6B-tp2-b16"), holds fewer tokens than the load asks for, or
    refuses the completion; ServerFailed with the same sentences if all that is wrong is that targets are down.
    """
    pairs = [(candidate, url) for candidate, urls in targets.items() for url in urls]
    asked = _Asked(settings=settings, ignore_eos=ignore_eos, access=access, trace=trace)
    found = await asyncio.gather(*(_problems(candidate, url, asked) for candidate, url in pairs))
    problems = [problem for several in found for problem in several]
    if not problems:
        tried = (_unserved(candidate, url, asked) for candidate, url in pairs)
        problems = [problem for problem in await asyncio.gather(*tried) if problem is not None]
    if not problems:
        return
    wrong = SettingsError(problems)
    if all(isinstance(problem, _Down) for problem in problems):
        raise ServerFailed(str(wrong))
    raise wrong


class _Down(Problem):
    """A target that could not be reached: its URL may be right, and the server not up."""


def _path(wanted: Candidate) -> str:
    """Return the target's name for messages: "target 1", "target 1-b4"."""
    return f"target {wanted.slug.removeprefix('tp')}"


def _is_other(named: Candidate, wanted: Candidate) -> bool:
    """Whether a server named ``named`` cannot be ``wanted``; a name without a batch fits every batch."""
    batches = {named.max_num_seqs, wanted.max_num_seqs} - {None}
    return named.degree != wanted.degree or len(batches) > 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Asked:
    """The request that every target must serve."""

    settings: WorkloadSettings
    ignore_eos: bool
    access: Access
    trace: Trace | None

    @property
    def most_tokens(self) -> tuple[int, int]:
        """Tokens of the longest request: prompt and output together, and output alone."""
        load = self.settings.load
        if self.trace is None:
            return load.prompt_tokens + load.output_range[1], load.output_range[1]
        longest = max(self.trace.shapes, key=sum)
        return sum(longest), longest.output_tokens


async def _problems(wanted: Candidate, url: str, asked: _Asked) -> list[Problem]:
    path, settings = _path(wanted), asked.settings
    try:
        served = await asked.access.server(url).models()
    except ServerFailed as error:
        rule = f"must be an OpenAI-compatible server that answers ({error})"
        kind = _Down if calls.is_silence(str(error)) else Problem
        return [kind(path=path, value=url, rule=rule, remedy=calls.way_in(str(error)))]
    problems = []
    names = [model.name for model in served]
    model_name = settings.model.name
    if model_name not in names:
        rule = f"must serve {model_name} (workloads.model.name), but it serves {', '.join(names) or 'nothing'}"
        remedy = "correct the URL, workloads.model.name or the server's --served-model-name"
        problems.append(Problem(path=path, value=url, rule=rule, remedy=remedy))
    named = {name: candidate(match[1]) for name in names if (match := _CANDIDATE_IN_NAME.search(name))}
    if named and all(_is_other(each, wanted) for each in named.values()):
        rule = f"must serve {wanted.name}, but it calls itself {', '.join(named)}"
        problems.append(Problem(path=path, value=url, rule=rule, remedy="swap the URLs of the targets"))
    needed, _ = asked.most_tokens
    lengths = [model.max_model_len_tokens for model in served if model.max_model_len_tokens is not None]
    if lengths and min(lengths) < needed:
        rule = f"must hold prompt and longest output together ({needed} tokens); its max_model_len is {min(lengths)}"
        remedy = (
            "shorten workloads.load.prompt_tokens or output_tokens, lower output_spread, "
            "or start the server with a larger length"
        )
        if asked.trace is not None:
            remedy = "set workloads.model.max_model_len_tokens to the server's or start it with a larger length"
        problems.append(Problem(path=path, value=url, rule=rule, remedy=remedy))
    return problems


async def _unserved(wanted: Candidate, url: str, asked: _Asked) -> Problem | None:
    """Return why ``url`` does not serve a completion of the load; None if it does.

    Failures other than a refusal may be temporary, so a second request follows them.
    """
    settings, ignore_eos, path = asked.settings, asked.ignore_eos, _path(wanted)
    load = settings.load
    server = asked.access.server(url, timeout_seconds=load.request_timeout_seconds)
    prompt = await _prompt(server, asked)
    _, max_tokens = asked.most_tokens
    # The stretches' own defaults, because the server must serve exactly what they send.
    shared = wire.shared_body(settings.model.name, stream=True, temperature=1.0, ignore_eos=ignore_eos)
    for _ in range(2):
        done = await server.complete(shared, prompt, max_tokens=max_tokens, api=load.api)
        if done.failure is None or _is_refusal(done.http_status):
            break
    timed = [name for name in ("ttft_ms", "tpot_ms") if getattr(settings.limits, name) is not None]
    if done.failure is None and not done.streamed and timed:
        rule = f"must stream its answers when asked (stream: true), or {timed[0]} cannot be measured"
        return Problem(path=path, value=url, rule=rule, remedy=f"remove workloads.limits.{timed[0]}")
    if done.failure is None:
        return None
    call = wire.path_of(load.api)
    rule = f"must answer a request of the load; the answer to POST {call} was: {done.failure}"
    remedy = _way_out(done, prompt, ignore_eos=ignore_eos, api=load.api)
    return Problem(path=path, value=url, rule=rule, remedy=remedy)


async def _prompt(server: Server, asked: _Asked) -> Prompt:
    """Return a prompt of the load's kind and greatest length, but one that the load itself does not send."""
    load = asked.settings.load
    if load.prompt != "synthetic":
        return next(prompts.repeated().each)
    longest = (
        None if asked.trace is None else dataclasses.replace(asked.trace, shapes=(max(asked.trace.shapes, key=sum),))
    )
    source = await prompts_of(asked.settings, server, trace=longest, salt="a prompt of its own")
    return next(source.each)


_BUSY = {408, 425, 429}
_LEAST_REFUSAL, _MOST_REFUSAL = 400, 499
_UNKNOWN_PATH = {404, 405, 501}


def _is_refusal(http_status: int | None) -> bool:
    return http_status is not None and _LEAST_REFUSAL <= http_status <= _MOST_REFUSAL and http_status not in _BUSY


def _way_out(done: Completion, prompt: Prompt, *, ignore_eos: bool, api: Api) -> str:
    """Return the remedy for a completion that was not served."""
    said = str(done.failure)
    no_eos = "run with --no-ignore-eos (outputs may then be shorter)"
    if not _is_refusal(done.http_status):
        return "read the server's log; if it was only slow, raise workloads.load.request_timeout_seconds"
    if done.http_status in calls.REFUSED:
        return "give the servers' key with --key-variable or --key-file"
    if ignore_eos and "ignore_eos" in said:
        return no_eos
    if "stream_options" in said:
        return "serve with a release that supports stream_options, which reports the number of tokens"
    if done.http_status in _UNKNOWN_PATH:
        other = "completions" if api == "chat" else "chat"
        return f"set workloads.load.api to {other} if the server supports it"
    ways = [no_eos] if ignore_eos else []
    if not isinstance(prompt.content, str):
        ways.append("set workloads.load.prompt to seed or file if the server accepts no token ids")
    return "; or ".join([*ways, "start the server so that it accepts the request"])


async def wait_until_healthy(
    targets: collections.abc.Mapping[Candidate, tuple[str, ...]],
    *,
    timeout_seconds: float,
    stop: asyncio.Event,
    access: Access = OPEN,
) -> list[str]:
    """Wait until every URL answers /health, ``timeout_seconds`` have passed, or ``stop`` is set; return the others."""
    waiting = {url for urls in targets.values() for url in urls}
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_seconds
    while waiting and not stop.is_set():
        urls = sorted(waiting)
        healthy = await asyncio.gather(*(access.server(url).healthy() for url in urls))
        waiting -= {url for url, answers in zip(urls, healthy, strict=True) if answers}
        if not waiting or loop.time() >= deadline:
            break
        await pause(stop, 1.0)
    return sorted(waiting)
