"""A run in the forms of others: llm-d's own validator accepts it, a table has a request a line, Python loads it."""

import csv
import dataclasses
import importlib
import io
import json
import pathlib
import re
import sys
import typing

import pytest
import yaml

from optimal_tp.__main__ import main
from optimal_tp.measurement.samples import Sample
from optimal_tp.report.formats.sample_table import COLUMNS, sample_table
from optimal_tp.results.loading import load_run
from tests.fakes_run import SEED_EXPERIMENT, planted_run, settings, store, total_limit
from tests.fakes_samples import make_sample

ROOT = pathlib.Path(__file__).parents[2]
LIMITED: typing.Final = {
    "truths": SEED_EXPERIMENT[:2],
    "section": settings(degrees=[1, 2], limits=total_limit(310, 75)),
    "blocks": 4,
}


def exported(tmp_path: pathlib.Path, **plan: typing.Any) -> dict[str, dict[str, typing.Any]]:
    """Return the llm-d reports of a planted run by file name."""
    folder = store(tmp_path / "run", *planted_run(**plan))
    assert main(["report", str(folder), "--format", "llmd", "--output", str(tmp_path / "out")]) in (0, 3)
    return {path.name: yaml.safe_load(path.read_text()) for path in sorted((tmp_path / "out").iterdir())}


def test_llmds_validator_accepts_every_report(tmp_path: pathlib.Path) -> None:
    """One file for each load of each candidate, of one experiment."""
    library = importlib.import_module("llmd_benchmark_report")
    found = exported(tmp_path, **LIMITED)
    read = [library.import_benchmark_report(str(path)) for path in sorted((tmp_path / "out").iterdir())]

    assert [name for name in found if "tp1" in name] == [
        "llmd-tp1-block.yaml",
        "llmd-tp1-idle.yaml",
        "llmd-tp1-rising-1.15572.yaml",
        "llmd-tp1-rising-2.57211.yaml",
    ]
    assert {one.version for one in read} == {"0.2.1"}
    assert {one.run.eid for one in read} == {"20260701T120000Z-test"}
    assert len({one.run.uid for one in read}) == len(read) == 8


def test_an_llmd_report_has_the_measured_figures(tmp_path: pathlib.Path) -> None:
    """Latencies in milliseconds, rates of all replicas, the verdict where the form has room for it."""
    found = exported(tmp_path)
    block = found["llmd-tp2-block.yaml"]
    aggregate = block["results"]["request_performance"]["aggregate"]
    engine = block["scenario"]["stack"][0]["standardized"]
    totals = {sample.total_latency_ms for sample in load_run(tmp_path / "run").samples}

    assert aggregate["requests"]["total"] == 24 * 20
    # As in the report: a latency that a request had, not one between two.
    assert aggregate["latency"]["request_latency"]["p50"] in totals
    assert aggregate["latency"]["request_latency"]["units"] == "ms"
    assert aggregate["latency"]["request_latency"]["mean"] == pytest.approx(255, rel=0.02)
    assert aggregate["throughput"]["output_token_rate"]["mean"] == pytest.approx(50 / 0.255, rel=0.02)
    assert aggregate["throughput"]["request_rate"]["mean"] == pytest.approx(1 / 0.255, rel=0.02)
    assert (engine["accelerator"]["count"], engine["accelerator"]["parallelism"]) == (2, {"tp": 2})
    assert block["results"]["profiling"]["optimal_tp"]["chosen"] == "TP1"
    assert "p99p9" not in aggregate["latency"]["request_latency"]


def test_without_its_library_the_extra_is_named(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence, no traceback, nothing written."""
    monkeypatch.setitem(sys.modules, "llmd_benchmark_report", None)
    folder = store(tmp_path / "run", *planted_run())
    status = main(["report", str(folder), "--format", "llmd", "--output", str(tmp_path / "out")])

    assert status == 2
    assert capsys.readouterr().err == (
        "--format: must have the library llmd-benchmark-report, which is not installed (got 'llmd'); "
        "in the clone, pip install '.[llmd]'\n"
    )
    assert not (tmp_path / "out").exists()


def test_the_table_has_a_request_a_line(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its path is printed, and every sample is in it."""
    record, samples = planted_run()
    folder = store(tmp_path / "run", record, samples)

    assert main(["report", str(folder), "--format", "csv"]) == 0
    assert capsys.readouterr().out == f"{folder / 'samples.csv'}\n"
    assert main(["report", str(folder), "--format", "csv", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"format": "csv", "files": [str(folder / "samples.csv")]}
    rows = list(csv.DictReader(io.StringIO((folder / "samples.csv").read_text())))
    assert len(rows) == len(samples)
    assert rows[-1]["candidate"] == f"TP{samples[-1].degree}"
    assert float(rows[-1]["total_latency_ms"]) == pytest.approx(samples[-1].total_latency_ms)


def test_what_is_not_known_is_blank() -> None:
    """Never 0, and a request that failed has no latency."""
    failed = make_sample(status="timeout", token_seconds=(), sent_seconds=None, detail='late, "very"', http_status=None)
    (row,) = csv.DictReader(io.StringIO(sample_table([failed])))

    assert [name for name, value in row.items() if not value] == [
        "max_num_seqs",
        "rate_per_second",
        "sent_seconds",
        "first_token_seconds",
        "last_token_seconds",
        "total_latency_ms",
        "ttft_ms",
        "tpot_ms",
        "http_status",
    ]
    assert row["detail"] == 'late, "very"'


def test_the_table_has_every_field_of_a_sample() -> None:
    """A field that is added later is not forgotten here; moments of tokens are told by the first and the last."""
    fields = {field.name for field in dataclasses.fields(Sample)} - {"token_seconds"}

    assert fields <= set(COLUMNS)


@pytest.mark.parametrize("option", ["--format=csv", "--predicted=planner.csv"])
def test_a_sweep_is_refused(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], option: str) -> None:
    """Both are about one run."""
    (tmp_path / "sweep.json").write_text('{"schema_version": 1, "sweep": "a", "legs": []}')
    status = main(["report", str(tmp_path), option])

    assert status == 2
    assert "must be a run, not a sweep" in capsys.readouterr().err


def test_the_example_of_the_loader_works(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page's own lines, run in a folder with a run as a user has it."""
    page = (ROOT / "docs/how-to/loader.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    store(tmp_path / "out/last", *planted_run())
    monkeypatch.chdir(tmp_path)
    exec(code, {})  # noqa: S102 - the page's own example

    assert capsys.readouterr().out.splitlines()[0] == "settled TP1"


def test_a_loaded_run_is_judged_as_the_report_judges_it(tmp_path: pathlib.Path) -> None:
    """The same audit, the same rule."""
    record, samples = planted_run()
    found = load_run(store(tmp_path, record, samples))

    assert (found.verdict.outcome, found.verdict.chosen, found.notes) == ("settled", "TP1", ())
    assert (found.record, found.samples) == (record, tuple(samples))


def test_types_travel_with_the_package() -> None:
    """Type checkers read the package's own types."""
    assert (ROOT / "optimal_tp/py.typed").is_file()
    assert '"py.typed"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
