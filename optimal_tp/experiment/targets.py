"""Whom we measure: every target must be up, serve the planned model as the planned candidate, and hold the requests."""

import asyncio
import collections.abc
import re

from optimal_tp.errors import Problem, ServerFailed, SettingsError
from optimal_tp.facts.candidates import Candidate, candidate
from optimal_tp.loadgen.calls import Server
from optimal_tp.settings.workload import WorkloadSettings

_CANDIDATE_IN_NAME = re.compile(r"-(tp\d+(?:-b\d+)?)$")


async def check_targets(
    targets: collections.abc.Mapping[Candidate, tuple[str, ...]], settings: WorkloadSettings
) -> None:
    """Ask every URL of ``targets`` what it serves.

    Raises SettingsError that lists every target that is down, serves another model, carries another degree or batch in
    a served name ("Qwen/Qwen3-0.6B-tp2", "Qwen/Qwen3-0.6B-tp2-b16"), or holds fewer tokens than the load asks for.
    """
    pairs = [(candidate, url) for candidate, urls in targets.items() for url in urls]
    found = await asyncio.gather(*(_problems(candidate, url, settings) for candidate, url in pairs))
    problems = [problem for several in found for problem in several]
    if problems:
        raise SettingsError(problems)


def _is_other(named: Candidate, wanted: Candidate) -> bool:
    """Whether a server whose name says ``named`` cannot be ``wanted``; a name without a batch says nothing of it."""
    batches = {named.max_num_seqs, wanted.max_num_seqs} - {None}
    return named.degree != wanted.degree or len(batches) > 1


async def _problems(wanted: Candidate, url: str, settings: WorkloadSettings) -> list[Problem]:
    path = f"target {wanted.slug.removeprefix('tp')}"
    try:
        served = await Server(url=url).models()
    except ServerFailed as error:
        rule = f"it is an OpenAI-compatible server that answers ({error})"
        return [Problem(path=path, value=url, rule=rule, remedy="start the server, or correct the URL")]
    problems = []
    names = [model.name for model in served]
    model_name = settings.model.name
    if model_name not in names:
        rule = f"it serves {model_name} (workloads.model.name); it serves {', '.join(names) or 'nothing'}"
        remedy = "correct the URL, workloads.model.name, or the server's --served-model-name"
        problems.append(Problem(path=path, value=url, rule=rule, remedy=remedy))
    named = {name: candidate(match[1]) for name in names if (match := _CANDIDATE_IN_NAME.search(name))}
    if named and all(_is_other(each, wanted) for each in named.values()):
        rule = f"it serves {wanted.name}; its name {', '.join(named)} says another"
        problems.append(Problem(path=path, value=url, rule=rule, remedy="exchange the URLs of the targets"))
    needed = settings.load.prompt_tokens + settings.load.output_tokens
    lengths = [model.max_model_len_tokens for model in served if model.max_model_len_tokens is not None]
    if lengths and min(lengths) < needed:
        rule = f"it holds prompt and output together ({needed} tokens); its max_model_len is {min(lengths)}"
        remedy = "shorten workloads.load.prompt_tokens or output_tokens, or start the server with a larger length"
        problems.append(Problem(path=path, value=url, rule=rule, remedy=remedy))
    return problems


async def wait_until_healthy(
    targets: collections.abc.Mapping[Candidate, tuple[str, ...]], *, timeout_seconds: float, stop: asyncio.Event
) -> list[str]:
    """Wait until every URL answers /health, at most ``timeout_seconds``, or ``stop`` is set; return who is down."""
    waiting = {url for urls in targets.values() for url in urls}
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_seconds
    while waiting and not stop.is_set():
        urls = sorted(waiting)
        healthy = await asyncio.gather(*(Server(url=url).healthy() for url in urls))
        waiting -= {url for url, answers in zip(urls, healthy, strict=True) if answers}
        if not waiting or loop.time() >= deadline:
            break
        try:
            await asyncio.wait_for(stop.wait(), 1.0)
        except TimeoutError:
            continue
    return sorted(waiting)
