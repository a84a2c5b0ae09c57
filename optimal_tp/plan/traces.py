"""What a recorded trace says of requests, when they came and how many tokens they had, in the forms that are published.

Columns are found by name, never by place. Sources, read 2026-11-27: Azure/AzurePublicDataset (LLM inference traces of
2023 and 2024), HPMLL/BurstGPT (versions 1 and 2), kvcache-ai/Mooncake (FAST'25), ai-dynamo/aiperf (mooncake_trace).
"""

import collections.abc
import csv
import dataclasses
import datetime as dt
import hashlib
import itertools
import json
import math
import operator
import pathlib
import typing

from optimal_tp.errors import Problem, SettingsError, quantity
from optimal_tp.plan.lengths import Shape, window
from optimal_tp.plan.schedule import Replay, Stream

if typing.TYPE_CHECKING:
    # Every load imports this module, and the settings' library would take as long as the first request may.
    from optimal_tp.settings.workload import Load, WorkloadSettings

Unit = typing.Literal["seconds", "milliseconds"]
"""Of time stamps, where the form does not say: Mooncake and AIPerf write milliseconds, others seconds."""
_UNITS: typing.Final = {"seconds": 1.0, "milliseconds": 0.001}


class Form(typing.NamedTuple):
    """How a kind of trace calls what is needed of it."""

    name: str
    time: str
    prompt: str
    output: str
    unit: Unit | typing.Literal["date"] | None
    """None where publishers differ."""


FORMS: typing.Final = (
    Form("an Azure LLM inference trace", "TIMESTAMP", "ContextTokens", "GeneratedTokens", "date"),
    Form("a BurstGPT trace", "Timestamp", "Request tokens", "Response tokens", "seconds"),
    Form("a Mooncake or AIPerf trace", "timestamp", "input_length", "output_length", None),
    Form("a table of lengths", "seconds", "prompt_tokens", "output_tokens", "seconds"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trace:
    """The requests of a trace that can be sent."""

    path: str
    form: str
    """What kind of file it is, for people."""
    has_unit: bool
    """Whether it is known that times are seconds; where not, they are in proportion."""
    digest: str
    """SHA-256 of the lines that were read, in hexadecimal."""
    shapes: tuple[Shape, ...]
    """By time, where the trace has times; else in the file's order."""
    times: tuple[float, ...] | None
    """Seconds from the first request, ascending; None where the trace does not say them of every request."""
    read: int
    """Requests read, those included that cannot be sent."""
    too_long: int
    """Of these, longer than what ``within`` allowed."""
    without_tokens: int
    """Of these, without prompt or without output: requests that had failed."""
    is_cut: bool
    """Whether the file has more than was read."""

    def within(self, most_tokens: int | None) -> "Trace":
        """Return the trace without requests whose prompt and output together exceed ``most_tokens``: they are counted.

        None leaves it as it is. Raises ValueError where no request is left.
        """
        if most_tokens is None:
            return self
        fit = [sum(shape) <= most_tokens for shape in self.shapes]
        shapes = tuple(itertools.compress(self.shapes, fit))
        if not shapes:
            rule = f"has no request within {most_tokens:,} tokens, prompt and output together"
            raise ValueError(f"{self.path} {rule}; {quantity(self.read, 'was', 'were')} read")
        times = None if self.times is None else tuple(itertools.compress(self.times, fit))
        first = times[0] if times else 0.0
        return dataclasses.replace(
            self,
            shapes=shapes,
            times=None if times is None else tuple(moment - first for moment in times),
            too_long=self.too_long + len(self.shapes) - len(shapes),
        )

    @property
    def mean_output(self) -> float:
        """Output tokens of a request on average."""
        return sum(shape.output_tokens for shape in self.shapes) / len(self.shapes)

    @property
    def longest_output(self) -> int:
        """Most output tokens of a request."""
        return max(shape.output_tokens for shape in self.shapes)


class _Row(typing.NamedTuple):
    line: int
    seconds: float | None
    prompt: int
    output: int


def read_trace(path: pathlib.Path, *, most_requests: int | None = None, unit: Unit | None = None) -> Trace:
    """Return the trace in the file ``path``: CSV with a header, or JSON Lines; the first character shows which.

    Requests without tokens, which had failed, are counted and left out. At most the first ``most_requests`` are read.
    Without ``unit``, numbers of a form that does not say theirs count as seconds: where only their proportions matter,
    that is as good as any.

    Raises OSError for a file that cannot be opened, ValueError that names file, line, value and rule for one that is no
    such trace, or that has no request to send.
    """
    digest = hashlib.sha256()
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            rows = _rows(path, _noted(file, digest), unit)
            taken = list(itertools.islice(rows, most_requests))
            is_cut = next(rows, None) is not None if most_requests is not None else False
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} must be text in UTF-8 ({error.reason} at byte {error.start})") from None
    form = _form(path, _first_line(path))
    usable = [row for row in taken if row.prompt and row.output]
    if not usable:
        read = quantity(len(taken), "request was", "requests were")
        raise ValueError(f"{path} must have a request with prompt and output; {read} read")
    timed = all(row.seconds is not None for row in usable)
    if timed:
        usable.sort(key=operator.attrgetter("seconds"))
    first = usable[0].seconds or 0.0
    return Trace(
        path=str(path),
        form=form.name,
        has_unit=form.unit is not None or unit is not None,
        digest=digest.hexdigest(),
        shapes=tuple(Shape(row.prompt, row.output) for row in usable),
        times=tuple((row.seconds or 0.0) - first for row in usable) if timed else None,
        read=len(taken),
        too_long=0,
        without_tokens=len(taken) - len(usable),
        is_cut=is_cut,
    )


def portable(path: pathlib.Path, *, most_requests: int) -> str:
    """Return the trace in ``path`` as a small table of lengths, which ``read_trace`` reads alike.

    It has one request more than ``most_requests`` where the file has, so that one sees that there are more. Raises as
    ``read_trace`` does.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(itertools.islice(_rows(path, iter(file), None), most_requests + 1))
    known = [row.seconds for row in rows if row.seconds is not None]
    if len(known) < len(rows) or not rows:
        return "".join(["prompt_tokens,output_tokens\n", *(f"{row.prompt},{row.output}\n" for row in rows)])
    start = min(known)
    lines = (f"{(row.seconds or 0.0) - start:.3f},{row.prompt},{row.output}\n" for row in rows)
    return "".join(["seconds,prompt_tokens,output_tokens\n", *lines])


def _noted(file: typing.Iterable[str], digest: "hashlib._Hash") -> typing.Iterator[str]:
    for line in file:
        digest.update(line.encode())
        yield line


def _first_line(path: pathlib.Path) -> str:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return next((line for line in file if line.strip()), "")


def _form(path: pathlib.Path, first: str) -> Form:
    """Return the form of a file that begins with the line ``first``. Raises ValueError for none that is known."""
    if first.lstrip().startswith("{"):
        try:
            names = list(json.loads(first))
        except ValueError:
            raise ValueError(f"{path} line 1 must be one JSON object (got {first.strip()[:80]!r})") from None
    else:
        names = [name.strip() for name in next(csv.reader([first]), [])]
    for form in FORMS:
        if {form.prompt, form.output} <= {*names}:
            return form
    pairs = ", ".join(f"{form.prompt} and {form.output}" for form in FORMS)
    said = ", ".join(names)[:120] or "nothing"
    raise ValueError(f"{path} line 1 must have one of these pairs of columns or keys: {pairs} (got {said})")


def _rows(path: pathlib.Path, lines: typing.Iterator[str], unit: Unit | None) -> typing.Iterator[_Row]:
    """Yield the file's requests, in its order."""
    number = 0
    first = ""
    for number, first in enumerate(lines, start=1):  # noqa: B007 - both are needed after it
        if first.strip():
            break
    form = _form(path, first)
    if first.lstrip().startswith("{"):
        for line, text in itertools.chain([(number, first)], enumerate(lines, start=number + 1)):
            if text.strip():
                yield _row(path, line, _object(path, line, text), form, unit)
        return
    names = [name.strip() for name in next(csv.reader([first]))]
    for line, text in enumerate(lines, start=number + 1):
        if text.strip():
            cells = next(csv.reader([text]))
            if len(cells) != len(names):
                raise ValueError(f"{path} line {line} must have {len(names)} columns, as the header (got {len(cells)})")
            yield _row(path, line, dict(zip(names, cells, strict=True)), form, unit)


def _object(path: pathlib.Path, line: int, text: str) -> dict[str, object]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ValueError(  # noqa: TRY004 - a file's text is wrong, no caller's argument
            f"{path} line {line} must be one JSON object (got {text.strip()[:80]!r})"
        )
    return found


def _row(
    path: pathlib.Path, line: int, cells: collections.abc.Mapping[str, object], form: Form, unit: Unit | None
) -> _Row:
    counts = []
    for name in (form.prompt, form.output):
        if name not in cells:
            raise ValueError(f"{path} line {line} must have {name}, as every request of {form.name}")
        count = _number(cells[name])
        if count is None or count < 0 or count != int(count):
            rule = "must be a whole number of tokens, at least 0"
            raise ValueError(f"{path} line {line}: {name} {rule} (got {cells[name]!r})")
        counts.append(int(count))
    said = cells.get(form.time)
    return _Row(line, None if said is None else _seconds(path, line, said, form, unit), *counts)


def _seconds(path: pathlib.Path, line: int, said: object, form: Form, unit: Unit | None) -> float:
    if form.unit == "date":
        try:
            moment = dt.datetime.fromisoformat(str(said).strip())
        except ValueError:
            rule = "must be a date and a time, for example 2023-11-16 18:17:03.9799600"
            raise ValueError(f"{path} line {line}: {form.time} {rule} (got {said!r})") from None
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=dt.UTC)).timestamp()
    number = _number(said)
    if number is None:
        raise ValueError(f"{path} line {line}: {form.time} must be a number (got {said!r})")
    return number * _UNITS[form.unit or unit or "seconds"]


def _number(value: object) -> float | None:
    """Return the finite number that ``value`` is or writes; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def trace_of(settings: "WorkloadSettings", *, file: str = "") -> Trace | None:
    """Return the trace that ``settings`` name, as far as it fits into the model's length; None where they name none.

    Raises SettingsError for a file that is no trace, or has no request that fits; ``file`` is that of the settings.
    """
    load = settings.load
    if load.trace is None:
        return None
    path = "workloads.load.trace"
    try:
        trace = read_trace(pathlib.Path(load.trace), most_requests=load.trace_requests)
        trace = trace.within(settings.model.max_model_len_tokens)
    except (OSError, ValueError) as error:
        rule = f"must name a readable file ({error.strerror})" if isinstance(error, OSError) else str(error)
        problem = Problem(path=path, value=load.trace, rule=rule, remedy="name another file", file=file)
        raise SettingsError([problem]) from None
    if load.trace_use == "arrivals" and trace.times is None:
        rule = "must have a time for every request where arrivals are replayed"
        remedy = "set workloads.load.trace_use to lengths, or name another file"
        raise SettingsError([Problem(path=path, value=load.trace, rule=rule, remedy=remedy, file=file)])
    return trace


def recorded_arrivals(load: "Load", trace: Trace | None) -> tuple[float, ...] | None:
    """Return the times of ``trace`` where ``load`` replays its arrivals; None where arrivals are random."""
    return None if trace is None or load.trace_use == "lengths" else trace.times


def open_arrivals(
    recorded: tuple[float, ...] | None, rate_per_second: float, *, seed: int, opening: int
) -> Stream | Replay:
    """Return arrivals at a mean rate after an opening: random ones, or ``recorded`` ones from a drawn place on."""
    if recorded is None:
        return Stream(rate_per_second=rate_per_second, seed=seed, opening=opening)
    return Replay(
        recorded=recorded,
        stretched_to_per_second=rate_per_second,
        first=window(seed, len(recorded)),
        opening=opening,
        again=True,
    )
