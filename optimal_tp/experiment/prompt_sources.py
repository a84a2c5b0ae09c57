"""Create a run's prompts: synthetic, from a file, or with the sizes of a trace."""

import collections.abc
import itertools
import pathlib
import random

from optimal_tp.errors import Problem, SettingsError
from optimal_tp.loadgen.calls import Server, random_prompts
from optimal_tp.loadgen.stretch import Stretch
from optimal_tp.measurement.run import EXACT, OUTPUT_TOKENS, PROMPT_TOKENS, TraceRecord
from optimal_tp.measurement.shares import WHOLE, Share
from optimal_tp.plan import prompts
from optimal_tp.plan.lengths import recorded_shapes, window
from optimal_tp.plan.prompts import Prompt
from optimal_tp.plan.schedule import Replay, opening
from optimal_tp.plan.traces import Trace
from optimal_tp.settings.workload import WorkloadSettings


def trace_record(trace: Trace) -> TraceRecord:
    """Return the record of ``trace``."""
    return TraceRecord(
        file=trace.path,
        form=trace.form,
        sha256=trace.digest,
        read=trace.read,
        whole_file=not trace.is_cut,
        fitting=len(trace.shapes),
        too_long=trace.too_long,
        without_tokens=trace.without_tokens,
        longest_output_tokens=trace.longest_output,
    )


def turn_prompts(
    source: prompts.Prompts, trace: Trace | None, share: Share
) -> collections.abc.Callable[[Stretch], collections.abc.Iterator[Prompt]]:
    """Return the maker of each stretch's prompts. No two processes send the same: a prefix cache could answer it."""
    sized = source.sized
    if trace is None or sized is None:
        each = itertools.islice(source.each, share.index, None, share.count)
        return lambda _: each

    def recorded(stretch: Stretch) -> collections.abc.Iterator[Prompt]:
        """Yield prompts with the trace's sizes, from the place in the trace where ``stretch`` begins."""
        arrivals = stretch.arrivals
        first = arrivals.first if isinstance(arrivals, Replay) else window(stretch.seed, len(trace.shapes))
        shapes = recorded_shapes(trace.shapes, first, seed=stretch.seed, opening=opening(arrivals), share=stretch.share)
        return map(sized, shapes)

    return recorded


async def prompts_of(
    settings: WorkloadSettings,
    server: Server,
    *,
    trace: Trace | None = None,
    share: Share = WHOLE,
    salt: str = "",
    asked: int = 0,
) -> prompts.Prompts:
    """Return the prompts for ``settings``, in tokens of ``server``: the same sequence for each candidate.

    A resumed run must not repeat earlier prompts, because a prefix cache could answer them. So pass another ``salt``
    for other random prompts; from a file the first ``asked`` prompts are left out. Raises SettingsError for a file that
    has no prompts or cannot be read.
    """
    load = settings.load
    if load.prompt == "seed":
        return prompts.repeated()
    if load.prompt_file is not None:
        source = _of_file(load.prompt_file)
        next(itertools.islice(source.each, asked, asked), None)
        return source
    seed = random.Random(f"{load.seed} {salt}").getrandbits(32) if salt else load.seed
    if trace is not None:  # each request has its size, so shares cannot be cut
        seed = random.Random(f"{seed} {share.index}").getrandbits(32)
    shapes = None if trace is None else trace.shapes
    return await random_prompts(server, settings.model.name, load.prompt_tokens, api=load.api, seed=seed, shapes=shapes)


def said_of(sources: collections.abc.Iterable[prompts.Prompts], *, ignore_eos: bool) -> dict[str, str]:
    """Return the record's entries on the prompts, all of one kind, and on the answers."""
    said = {OUTPUT_TOKENS: EXACT if ignore_eos else "at most"}
    for first in itertools.islice(sources, 1):
        unique = "unique" if first.unique else "repeated: a prefix cache may answer"
        exact = EXACT if first.exact else "as the server counts"
        said = {"prompts": f"{first.words}, {unique}", PROMPT_TOKENS: exact, **said}
    return said


def _of_file(path: str) -> prompts.Prompts:
    """Return the prompts in the file ``path``. Raises SettingsError if it has none or cannot be read."""
    try:
        return prompts.from_lines(pathlib.Path(path).read_text(encoding="utf-8-sig").splitlines())
    except (OSError, ValueError) as error:
        rule = f"must name a text file of prompts ({error.strerror if isinstance(error, OSError) else error})"
        problem = Problem(path="workloads.load.prompt_file", value=path, rule=rule, remedy="name another file")
        raise SettingsError([problem]) from None
