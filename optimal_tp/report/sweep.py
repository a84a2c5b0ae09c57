"""A sweep's end: every run judged again, its report written, then the table across the models."""

import dataclasses
import json
import pathlib
import typing

import rich.console
import rich.text

from optimal_tp.errors import Exit, Problem, SettingsError, gravest
from optimal_tp.measurement.node_bill import Receipt, bill
from optimal_tp.measurement.sweep import SWEEP, VERDICTS, Sweep, decode_sweep, encode_sweep
from optimal_tp.report.across import ModelResult, ModelRow, headline, rows, tables
from optimal_tp.report.claims import receipt_claim
from optimal_tp.report.conclusion import judged_again, sheet, show
from optimal_tp.report.files import every_table, sweep_html, sweep_markdown, write, write_files
from optimal_tp.report.physics.reached import analysed
from optimal_tp.report.tables import Table, receipt_table
from optimal_tp.report.words import practice
from optimal_tp.results.source import Source, read
from optimal_tp.verdict.findings import EXIT_STATUS
from optimal_tp.verdict.predictions import Predict

if typing.TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepSource:
    """A sweep as it was stored."""

    sweep: Sweep
    runs: dict[str, Source]
    """By folder; one whose run wrote no record is not there."""


def read_sweep(source: str, s3: "S3Client | None" = None) -> SweepSource:
    """Return the sweep in ``source``: a folder, or ``s3://bucket/prefix`` read through ``s3``.

    Raises SettingsError for a record that cannot be read; a run that is not there is left out.
    """
    try:
        sweep = decode_sweep(sweep_text(source, s3) or "")
    except ValueError as error:
        rule = f"must hold a sweep in its {SWEEP}: {error}"
        remedy = "copy the file again, or read it with the release that wrote it"
        problem = Problem(path="RUN", value=source, rule=rule, remedy=remedy)
        raise SettingsError([problem]) from None
    runs = {}
    for leg in sweep.legs:
        place = f"{source.rstrip('/')}/{leg.folder}"
        if _text(f"{place}/run.json", s3) is not None:
            runs[leg.folder] = read(place, s3)
    return SweepSource(sweep=sweep, runs=runs)


def sweep_text(source: str, s3: "S3Client | None" = None) -> str | None:
    """Return the sweep's record in ``source``; None where there is none, as in an ordinary run's folder."""
    return _text(f"{source.rstrip('/')}/{SWEEP}", s3)


def _text(place: str, s3: "S3Client | None") -> str | None:
    if not place.startswith("s3://"):
        path = pathlib.Path(place)
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
    bucket, _, key = place.removeprefix("s3://").partition("/")
    if s3 is None or not bucket:
        return None
    try:
        return s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode("utf-8", errors="replace")
    except s3.exceptions.NoSuchKey:
        return None


def conclude_sweep(
    source: SweepSource, folder: pathlib.Path, predict: Predict | None = None, *, is_whole: bool = False
) -> int:
    """Judge every run of ``source``, write all reports into ``folder``, show the answers, and return the exit status.

    With ``predict`` each is held against the plan of the same run; with ``is_whole`` every table is shown.
    Raises StorageFailed where a report cannot be written.
    """
    console = rich.console.Console(highlight=False)
    results = _judged(source, predict)
    for each in results:
        if each.analysis is not None:
            files = write(folder / each.leg.folder, each.analysis)
            console.print(rich.text.Text(each.leg.model, style="bold"))
            show(console, each.analysis, files, every_table(each.analysis) if is_whole else ())
            console.print()
    found, across = rows(results), tables(results)
    _write(folder, source.sweep, found, across, _banner(source))
    _show(console, found, across[0], folder)
    if source.sweep.receipt is not None:
        console.print(rich.text.Text(f"Receipt: {receipt_claim(source.sweep.receipt)}"), soft_wrap=True)
    return gravest(map(_status, results))


def _judged(source: SweepSource, predict: Predict | None = None) -> list[ModelResult]:
    results = []
    for leg in source.sweep.legs:
        again = judged_again(source.runs[leg.folder], predict) if leg.folder in source.runs else None
        analysis = None
        if again is not None:
            analysis = analysed(again)
        results.append(ModelResult(leg=leg, analysis=analysis))
    return results


def _status(result: ModelResult) -> Exit:
    if result.analysis is None or result.leg.state == "failed":
        return Exit.FAILED
    return EXIT_STATUS[result.analysis.verdict.outcome]


def write_receipt(folder: pathlib.Path, receipt: Receipt) -> None:
    """Put ``receipt`` into the sweep's record and report in ``folder``. Raises StorageFailed where they cannot be."""
    source = read_sweep(str(folder))
    sweep = dataclasses.replace(source.sweep, receipt=receipt)
    results = _judged(source)
    write_files(folder, {SWEEP: encode_sweep(sweep).encode()})
    _write(folder, sweep, rows(results), tables(results), _banner(source))


def _banner(source: SweepSource) -> str | None:
    """Return what a reader must know first: of any run on one machine that it is practice."""
    return next((said for run in source.runs.values() if (said := practice(run.record)) is not None), None)


def _write(
    folder: pathlib.Path,
    sweep: Sweep,
    found: typing.Sequence[ModelRow],
    across: typing.Sequence[Table],
    banner: str | None,
) -> None:
    data: dict[str, typing.Any] = {"schema_version": 1, "sweep": sweep.sweep}
    data["caveats"] = [] if banner is None else [banner]
    data["models"] = [dataclasses.asdict(row) for row in found]
    data["receipt"] = None if sweep.receipt is None else dataclasses.asdict(bill(sweep.receipt))
    shown = [table for table in (*across, receipt_table(sweep.receipt)) if table.rows]
    said = receipt_claim(sweep.receipt)
    files = {
        "report.md": sweep_markdown(headline(found), found, shown, receipt=said, banner=banner),
        "report.html": sweep_html(sweep.sweep, headline(found), found, shown, receipt=said, banner=banner),
        VERDICTS: json.dumps(data, indent=1, allow_nan=False) + "\n",
    }
    write_files(folder, {name: text.encode() for name, text in files.items()})


def _show(console: rich.console.Console, found: typing.Sequence[ModelRow], table: Table, folder: pathlib.Path) -> None:
    if console.is_terminal:
        console.print(sheet(table, plain=False))
    else:
        console.print(rich.text.Text("\n".join("  ".join(cells) for cells in table.rows)), soft_wrap=True)
    for row in found:
        if row.outcome == "not measured":
            console.print(rich.text.Text(f"{row.model}: {row.sentence}"), soft_wrap=True)
    console.print()
    console.print(rich.text.Text(headline(found), style="bold"), soft_wrap=True)
    console.print(rich.text.Text(f"Report: {folder / 'report.html'}"), soft_wrap=True)
