"""Whom we measure: every target must be up, serve the planned model at the planned degree, and hold the requests."""

import asyncio
import collections.abc
import re

from optimal_tp.errors import Problem, ServerFailed, SettingsError
from optimal_tp.loadgen.calls import Server
from optimal_tp.settings.workload import WorkloadSettings

_DEGREE_IN_NAME = re.compile(r"-tp(\d+)$")


async def check_targets(targets: collections.abc.Mapping[int, tuple[str, ...]], settings: WorkloadSettings) -> None:
    """Ask every URL of ``targets`` (by degree) what it serves.

    Raises SettingsError that lists every target that is down, serves another model, carries another degree in a
    served name ("Qwen/Qwen3-0.6B-tp2"), or holds fewer tokens than the load asks for.
    """
    pairs = [(degree, url) for degree, urls in targets.items() for url in urls]
    found = await asyncio.gather(*(_problems(degree, url, settings) for degree, url in pairs))
    problems = [problem for several in found for problem in several]
    if problems:
        raise SettingsError(problems)


async def _problems(degree: int, url: str, settings: WorkloadSettings) -> list[Problem]:
    path = f"target {degree}"
    try:
        served = await Server(url=url).models()
    except ServerFailed as error:
        rule = f"it is an OpenAI-compatible server that answers ({error})"
        return [Problem(path=path, value=url, rule=rule, remedy="start the server, or correct the URL")]
    problems = []
    names = [model.name for model in served]
    wanted = settings.model.name
    if wanted not in names:
        rule = f"it serves {wanted} (workloads.model.name); it serves {', '.join(names) or 'nothing'}"
        remedy = "correct the URL, workloads.model.name, or the server's --served-model-name"
        problems.append(Problem(path=path, value=url, rule=rule, remedy=remedy))
    degrees = {int(match[1]) for name in names if (match := _DEGREE_IN_NAME.search(name))}
    if degrees and degree not in degrees:
        said = ", ".join(name for name in names if _DEGREE_IN_NAME.search(name))
        rule = f"it serves degree {degree}; its name {said} says another"
        problems.append(Problem(path=path, value=url, rule=rule, remedy="exchange the URLs of the targets"))
    needed = settings.load.prompt_tokens + settings.load.output_range[1]
    lengths = [model.max_model_len_tokens for model in served if model.max_model_len_tokens is not None]
    if lengths and min(lengths) < needed:
        rule = f"it holds prompt and longest output together ({needed} tokens); its max_model_len is {min(lengths)}"
        remedy = (
            "shorten workloads.load.prompt_tokens or output_tokens, lower output_spread, "
            "or start the server with a larger length"
        )
        problems.append(Problem(path=path, value=url, rule=rule, remedy=remedy))
    return problems


async def wait_until_healthy(
    targets: collections.abc.Mapping[int, tuple[str, ...]], *, timeout_seconds: float, stop: asyncio.Event
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
