"""Pages of ``docs/evidence`` that sum up long tables of ``docs/concepts``: the figures that a reader asks for first.

``python -m tests.fakes_pages`` writes them; a test keeps them fresh, so a new table takes its page along.
"""

import dataclasses
import pathlib
import re
import statistics
import typing

from tests.fakes_stack_files import ROOT

FOLDER = ROOT / "docs" / "evidence"
VERDICT, FLEET = (ROOT / "docs" / "concepts" / name for name in ("verdict.md", "fleet.md"))
PROMISED = 5.0
"""Percent of experiments that may err, in either way."""


def rows(page: pathlib.Path, *heads: str) -> list[list[str]]:
    """Return the cells of the one table of ``page`` whose first columns are called ``heads``."""
    lines = page.read_text(encoding="utf-8").splitlines()
    (start,) = (place for place, line in enumerate(lines) if line.startswith(f"| {' | '.join(heads)} |"))
    found = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in line.strip("|").split("|")])
    return found


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of the bench's tables: what was planted, and in what percentage of experiments what happened."""

    name: str
    ratio: str
    false_better: float
    too_low: float
    reached: float


KINDS: typing.Final[dict[str, tuple[str, ...]]] = {
    "undisturbed engines": ("quiet", "p50 of TTFT", "prefill first", "one slot", "8B-like"),
    "single turns far too slow, or slow first blocks": ("1 of ", "best "),
    "machines that wander": ("own AR", "common AR"),
    "servers whose starts differ": ("starts differ",),
    "the quick profile": ("quick",),
}
"""How rows with limits are summed up: by how their names begin."""


def _row(cells: list[str]) -> Row:
    name, ratio, false_better, too_low, reached = cells[:5]
    return Row(name, ratio, float(false_better), float(too_low), float(reached))


def _kind(row: Row) -> str:
    """Return the one kind of a row with limits. Raises ValueError for a row of a new kind."""
    (kind,) = (kind for kind, names in KINDS.items() if row.name.startswith(names))
    return kind


def _summed(kind: str, own: list[Row]) -> str:
    """Return the line of one kind of rows: mean and worst row of each figure."""
    better, low, reached = zip(*((row.false_better, row.too_low, row.reached) for row in own), strict=True)
    pairs = ((better, max(better)), (low, max(low)), (reached, min(reached)))
    cells = [f"{statistics.fmean(values):.1f} % / {worst:g} %" for values, worst in pairs]
    return f"| {kind} | {len(own)} | {' | '.join(cells)} |"


def error_rates() -> str:
    """Return the page on how often the verdict errs."""
    limited = [_row(cells) for cells in rows(VERDICT, "truth", "ratio")]
    unlimited = [_row(cells) for cells in rows(VERDICT, "without limits", "ratio")]
    proofs = [float(cells[3]) for cells in rows(VERDICT, "proof of one candidate")]
    dated = re.search(r"The tables are of ([^.]+)\.", " ".join(VERDICT.read_text(encoding="utf-8").split()))
    assert dated is not None, "docs/concepts/verdict.md must say when its tables were made"
    groups = [_summed(kind, own) for kind in KINDS if (own := [row for row in limited if _kind(row) == kind])]
    groups.append(_summed("without limits", unlimited))
    above = [
        f"| {row.name} | {row.ratio} | {row.false_better:g} | {row.too_low:g} |"
        for row in (*limited, *unlimited)
        if max(row.false_better, row.too_low) > PROMISED
    ]
    return f"""# Error rates of the verdict

Made by `python -m tests.fakes_pages` from [the whole tables](../concepts/verdict.md#against-planted-truths); a test
keeps it fresh.

How often is the rule wrong? `python -m bench.race` plants the truth: it runs the rule's own code in virtual time
against simulated engines whose capacity is known, and counts. The figures are of {dated[1]}.

At most {PROMISED:g} % of experiments may call a candidate better that is not, and at most {PROMISED:g} % may choose one
that is more than the resolution below the best. Each cell gives the mean of the rows, then the worst row:

| planted | rows | false *better* | choice too low | reach a choice |
| --- | ---: | ---: | ---: | ---: |
{chr(10).join(groups)}

The other experiments ended *inconclusive*, which claims nothing. After the choice, a rate was wrongly called proven
in {"none" if not max(proofs) else f"at most {max(proofs):g} %"} of a row's experiments ({len(proofs)} rows).

{len(above)} of {len(limited) + len(unlimited)} rows have more errors than promised (a ratio of 1 is a tie):

| planted | ratio | false *better* % | choice too low % |
| --- | ---: | ---: | ---: |
{chr(10).join(above)}

What these figures do not show:

- **Rare errors in one row.** Most rows have 1,000 experiments, older ones 50 to 100. Of 1,000 without an error up to
  0.3 % may still err, at 95 % confidence, of 50 up to 5.8 %.
- **The present rule everywhere.** [The page of the tables](../concepts/verdict.md#against-planted-truths) says which
  rows ran before the rule changed, and which were used to tune it.
- **Real machines.** Some wander for longer than a run:
  [what a verdict does not say](../concepts/verdict.md#what-a-verdict-does-not-say).
"""


ENGINE: typing.Final = ("total p50", "total p99", "TTFT p50", "TTFT p99", "TPOT p50", "TPOT p99")
"""Columns of the table of errors against a known engine."""


def _number(cell: str) -> float:
    return float(cell.replace(",", "").removesuffix("%"))


@dataclasses.dataclass(frozen=True)
class AtLoad:
    """The plans at one load of the engine of known costs, over all kinds of it."""

    load: str
    errors: tuple[float, ...]
    """Largest median error by column of ``ENGINE``, in percent."""
    held: int
    intervals: int

    @property
    def line(self) -> str:
        """The table's."""
        return (
            f"| {self.load} | {' | '.join(f'{one:.1f} %' for one in self.errors)} | {self.held} of {self.intervals} |"
        )


def _at_loads() -> list[AtLoad]:
    """Return one entry per load, rising."""
    by_load: dict[str, list[list[str]]] = {}
    for _, _, load, *cells in rows(FLEET, "prompts", "steps vary"):
        by_load.setdefault(load, []).append(cells)
    found = []
    for load, own in by_load.items():
        errors = tuple(max(_number(cells[place]) for cells in own) for place in range(len(ENGINE)))
        counts = [cells[-1].split(" of ") for cells in own]
        held, intervals = (sum(int(count[place]) for count in counts) for place in (0, 1))
        found.append(AtLoad(load, errors, held, intervals))
    return found


def _forms() -> str:
    """Return what the comparison with closed forms shows."""
    forms = rows(FLEET, "closed form", "load")
    within = sum(cells[-1] == "yes" for cells in forms)
    planned = [_number(cells[3].partition(" ±")[0]) / _number(cells[2]) for cells in forms if "as planned" in cells[0]]
    return (
        f"{within} of {len(forms)} figures are exact within the simulation's own noise; p99 with a plan's effort is "
        f"{min(planned):.2f} to {max(planned):.2f} times the exact one"
    )


def _servers() -> str:
    """Return what the comparison with servers shows."""
    served = rows(FLEET, "servers", "share of capacity")
    within = 0
    for cells in served:
        low, high = map(_number, cells[5].split(" to "))
        within += low <= _number(cells[6]) <= high
    return f"{within} of {len(served)} percentiles lie in the range of 95 % of such runs"


def fleet() -> str:
    """Return the page on how well a fleet's plan holds."""
    *calm, busy = loads = _at_loads()
    engine = (
        f"below {busy.load} load {sum(one.held for one in calm)} of {sum(one.intervals for one in calm)} intervals "
        f"hold the truth; at {busy.load}, {busy.held} of {busy.intervals}"
    )
    page = "../concepts/fleet.md#compared-with-"
    compared = (
        f"[closed forms]({page}closed-forms) | {_forms()} | `python -m bench.closed_forms` | 2026-11-27",
        f"[an engine of known costs]({page}a-known-engine) | {engine} | `python -m bench.fleet_engine` | 2026-11-27",
        f"[scripted servers]({page}servers) | {_servers()} | `python -m bench.fleet --seconds 18` | 2026-11-24",
    )
    return f"""# Fleet plans against known truths

Made by `python -m tests.fakes_pages` from [the page on fleets](../concepts/fleet.md); a test keeps it fresh.

Does a planned fleet keep its limits? A plan rests on a simulation, so the simulation was compared with three things
whose truth is known, on a machine with two cores. During the third comparison its load average was 15; the other two
are simulations with fixed seeds, so other work on the machine does not change their figures.

| compared with | result | command | day |
| --- | --- | --- | --- |
{chr(10).join(f"| {line} |" for line in compared)}

Error of a plan's percentiles against the engine of known costs, by load: the largest over the kinds of engine, each the
median of five runs.

| load | {" | ".join(ENGINE)} | intervals that hold the truth |
| --- | {" | ".join("---:" for _ in ENGINE)} | ---: |
{chr(10).join(one.line for one in loads)}

Near its capacity a fleet's tail is hard to predict, and the intervals say so. Plan for less load than that.

Not compared: real vLLM servers under a plan, and any fleet on AWS.
"""


PAGES: typing.Final[dict[pathlib.Path, typing.Callable[[], str]]] = {
    FOLDER / "error-rates.md": error_rates,
    FOLDER / "fleet.md": fleet,
}
