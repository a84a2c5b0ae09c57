"""Where a run's prompts come from."""

import collections.abc
import itertools
import pathlib
import random

from optimal_tp.errors import Problem, SettingsError
from optimal_tp.loadgen.calls import Server
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
    """Return what the record says of ``trace``."""
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
    """Return what makes the prompts of each stretch: no two processes send one, for a prefix cache could answer."""
    sized = source.sized
    if trace is None or sized is None:
        each = itertools.islice(source.each, share.index, None, share.count)
        return lambda _: each

    def recorded(stretch: Stretch) -> collections.abc.Iterator[Prompt]:
        """Yield prompts with the sizes that the trace has from the place where ``stretch`` begins in it."""
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
    """Return what ``settings`` ask for, in tokens of ``server``: the same sequence for each candidate.

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
    model, text = settings.model.name, " ".join(prompts.WORDS)
    seed = random.Random(f"{load.seed} {salt}").getrandbits(32) if salt else load.seed
    own = random.Random(f"{seed} {share.index}").getrandbits(32)  # sizes are told one by one, so shares cannot be cut
    if load.api == "chat":
        added = await server.template_tokens(model, text) or 0
        if trace is None:
            return prompts.chat(load.prompt_tokens, seed=seed, template_tokens=added)
        return prompts.recorded(None, trace.shapes, seed=own, template_tokens=added)
    ids = await server.tokens(model, text)
    if trace is not None:
        return prompts.recorded(ids, trace.shapes, seed=own)
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
        return prompts.from_lines(pathlib.Path(path).read_text(encoding="utf-8-sig").splitlines())
    except (OSError, ValueError) as error:
        rule = f"must name a text file of prompts ({error.strerror if isinstance(error, OSError) else error})"
        problem = Problem(path="workloads.load.prompt_file", value=path, rule=rule, remedy="name another file")
        raise SettingsError([problem]) from None
