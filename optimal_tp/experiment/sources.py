"""Where a run's prompts come from."""

import collections.abc
import itertools
import pathlib
import random

from optimal_tp.errors import Problem, SettingsError
from optimal_tp.loadgen.calls import Server
from optimal_tp.measurement.run import EXACT, OUTPUT_TOKENS, PROMPT_TOKENS
from optimal_tp.plan import prompts
from optimal_tp.settings.workload import WorkloadSettings


async def prompts_of(settings: WorkloadSettings, url: str, *, salt: str = "", asked: int = 0) -> prompts.Prompts:
    """Return what ``settings`` ask for, in tokens of the server at ``url``: the same sequence for each candidate.

    A run that goes on must not ask again what it asked before, for a prefix cache could answer: random prompts are
    others with another ``salt``, and of a file the ``asked`` first ones are left out. Raises SettingsError for a file
    without prompts, or that cannot be read.
    """
    load = settings.load
    if load.prompt == "seed":
        return prompts.repeated()
    if load.prompt_file is not None:
        source = _of_file(load.prompt_file)
        next(itertools.islice(source.each, asked, asked), None)
        return source
    ids = await Server(url=url).tokens(settings.model.name, " ".join(prompts.WORDS))
    seed = random.Random(f"{load.seed} {salt}").getrandbits(32) if salt else load.seed
    return prompts.synthetic(ids, load.prompt_tokens, seed=seed)


def said_of(sources: collections.abc.Iterable[prompts.Prompts], *, ignore_eos: bool) -> dict[str, str]:
    """Return what the record says of the prompts, all of one kind, and of the answers."""
    said = {OUTPUT_TOKENS: EXACT if ignore_eos else "at most"}
    for first in itertools.islice(sources, 1):
        unique = "unique" if first.unique else "repeated: a prefix cache may answer"
        exact = EXACT if first.exact else "as the server counts"
        said = {"prompts": f"{first.words}, {unique}", PROMPT_TOKENS: exact, **said}
    return said


def _of_file(path: str) -> prompts.Prompts:
    """Return the prompts in the file ``path``. Raises SettingsError for one without any, or that cannot be read."""
    try:
        return prompts.from_lines(pathlib.Path(path).read_text(encoding="utf-8").splitlines())
    except (OSError, ValueError) as error:
        rule = f"it names a text file of prompts ({error.strerror if isinstance(error, OSError) else error})"
        problem = Problem(path="workloads.load.prompt_file", value=path, rule=rule, remedy="name another file")
        raise SettingsError([problem]) from None
