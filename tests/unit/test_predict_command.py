"""``optimal-tp predict``: the roofline's ranking in the form that ``report --predicted`` reads, with nothing to pay."""

import json
import pathlib

import pytest

from optimal_tp.__main__ import main
from optimal_tp.results.predictors.reading import read_stated
from optimal_tp.settings.workload import Load
from tests.fakes_run import SEED_EXPERIMENT, planted_run, settings, store, total_limit

ROOT = pathlib.Path(__file__).parents[2]


def written(path: pathlib.Path, text: str) -> str:
    """Write settings and return their path."""
    path.write_text(text)
    return str(path)


def test_a_stack_file_is_predicted(capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path) -> None:
    """Worked by hand for Qwen3-0.6B: 596,049,920 weights of 2 bytes and the keys so far, at 725 GB/s a core."""
    status = main(["predict", str(ROOT / "Pulumi.dev.yaml")])
    shown = capsys.readouterr()
    (tmp_path / "roofline.json").write_text(shown.out)
    found = read_stated([str(tmp_path / "roofline.json")], Load())

    assert status == 0
    assert found.predictor == "optimal-tp's roofline"
    assert [(row.degree, row.batch, row.cores) for row in found.rows] == [(1, 1, 1), (2, 1, 2), (4, 1, 4)]
    assert [row.ttft_ms for row in found.rows] == pytest.approx([1.644 / degree for degree in (1, 2, 4)], rel=1e-3)
    assert shown.err.startswith("1. TP1 with max_num_seqs 1: at most 12.1 requests/s per core, 605 output tokens/s")
    assert "1. TP4 with max_num_seqs 1" in shown.err


def test_a_settings_file_is_predicted_and_ranked(capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path) -> None:
    """What physics keeps from a limit is left out, with the arithmetic; the rest is ordered."""
    text = (
        "workloads:\n  degrees: [1, 2, 4]\n  model: {max_num_seqs: 256}\n"
        "  limits: {tpot_ms: {percentile: 90, at_most_ms: 1}}\n"
    )
    status = main(["predict", written(tmp_path / "settings.yaml", text)])
    shown = capsys.readouterr()

    assert status == 0
    assert [row["degree"] for row in json.loads(shown.out)["rows"]] == [2, 4]
    assert shown.err.startswith("TP1 is left out: p90 of time per output token must be at most 1.00 ms, but physics")
    assert "\n1. TP4 with max_num_seqs 256" in shown.err
    assert "\n2. TP2 with max_num_seqs 256" in shown.err


def test_limits_that_nobody_can_hold_are_refused(capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path) -> None:
    """There is nothing to rank."""
    text = "workloads: {degrees: [1], limits: {tpot_ms: {percentile: 90, at_most_ms: 0.1}}}\n"

    assert main(["predict", written(tmp_path / "a.yaml", text)]) == 2
    assert "must have a candidate that fits into memory and could hold the limits" in capsys.readouterr().err


def test_a_bad_setting_is_told(capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path) -> None:
    """In the words of the settings themselves."""
    assert main(["predict", written(tmp_path / "a.yaml", "workloads: {degres: [1]}\n")]) == 2
    assert "workloads.degres" in capsys.readouterr().err


def test_its_file_is_judged_against_a_run(
    capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every predicted rate lies above the measured one and every latency below it, as bounds must."""
    monkeypatch.setattr("optimal_tp.report.files.plots", lambda _analysis: ())
    main(["predict", str(ROOT / "Pulumi.dev.yaml")])
    (tmp_path / "roofline.json").write_text(capsys.readouterr().out)
    section = settings(degrees=[1, 2, 4], limits=total_limit(310, 75))
    folder = store(tmp_path / "run", *planted_run(SEED_EXPERIMENT, section))
    main(["report", str(folder), "--predicted", str(tmp_path / "roofline.json")])
    judged = json.loads((folder / "verdict.json").read_text())["predicted"]
    figures = [each for row in judged["rows"] for each in row["figures"] if each["ratio"] is not None]
    rates = [each["ratio"] for each in figures if "per_second" in each["metric"]]
    latencies = [each["ratio"] for each in figures if each["metric"].endswith("_ms")]

    assert judged["pairs"] == []
    assert (len(rates), len(latencies)) == (3, 6)
    assert min(rates) > 1 > max(latencies)
