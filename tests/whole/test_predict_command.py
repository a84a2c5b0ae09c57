"""``optimal-tp predict``: the roofline's ranking in the form that ``report --predicted`` reads, with nothing to pay."""

import json
import pathlib

import pytest
import yaml

from optimal_tp.__main__ import main
from optimal_tp.results.predictors.prediction_files import read_stated
from optimal_tp.settings.workload import Load
from tests.fakes_run import SEED_EXPERIMENT, planted_run, settings, store, total_limit

ROOT = pathlib.Path(__file__).parents[2]


def written(path: pathlib.Path, text: str) -> str:
    """Write settings and return their path."""
    path.write_text(text)
    return str(path)


def test_a_stack_file_is_predicted(capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path) -> None:
    """Worked by hand for Qwen3-0.6B: 596,049,920 weights of 2 bytes and the keys so far, at 725 GB/s a core."""
    file = tmp_path / "roofline.json"
    status = main(["predict", str(ROOT / "Pulumi.dev.yaml"), "--output", str(file)])
    shown = capsys.readouterr()
    found = read_stated([str(file)], Load())

    assert status == 0
    assert found.predictor == "optimal-tp's roofline"
    assert [(row.degree, row.batch, row.cores) for row in found.rows] == [(1, 1, 1), (2, 1, 2), (4, 1, 4)]
    assert [row.ttft_ms for row in found.rows] == pytest.approx([1.644 / degree for degree in (1, 2, 4)], rel=1e-3)
    assert shown.out.startswith(
        "Qwen/Qwen3-0.6B, 30 prompt and 50 output tokens on average, within p99 of total latency at most 400 ms.\n"
    )
    rows = [line.split() for line in shown.out.splitlines()]
    assert ["1", "TP1", "1", "12.1", "605", "1.64", "1.65"] in rows
    assert [row[:3] for row in rows if len(row) == 7 and row[1][:2] == "TP"] == [
        ["1", f"TP{degree}", "1"] for degree in (1, 2, 4)
    ]
    assert f"optimal-tp report RUN --predicted {file}" in " ".join(shown.out.split())


@pytest.mark.parametrize("start", ["config: {}\n", ""])
def test_a_section_outside_config_is_refused(
    start: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The defaults would be ranked in its place."""
    file = written(tmp_path / "Pulumi.dev.yaml", f"{start}optimal-tp:workloads: {{ preset: chat }}\n")

    assert main(["predict", file]) == 2
    line = 1 + len(start.splitlines())
    assert capsys.readouterr().err.startswith(f"{file}:{line} optimal-tp:workloads: must be under config:")


def test_a_server_on_a_whole_chip_is_divided_by_the_chips_cores(
    capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path
) -> None:
    """With the image that gives each server whole chips TP1 keeps three idle cores from others: a quarter per core."""
    text = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text(encoding="utf-8"))
    text["config"]["optimal-tp:infra"]["neuron"]["pair"] = "vllm-neuron-0.29"
    text["config"]["optimal-tp:workloads"] = {
        "preset": "chat",
        "model": {"name": "Qwen/Qwen3-8B", "max_num_seqs": 16},
        "degrees": [1, 2, 4],
    }
    status = main(["predict", written(tmp_path / "Pulumi.dev.yaml", yaml.safe_dump(text)), "--json"])
    rows = json.loads(capsys.readouterr().out)["rows"]
    per_core = [row["requests_per_second"] / row["cores"] for row in rows]

    assert status == 0
    assert [(row["degree"], row["cores"]) for row in rows] == [(1, 4), (2, 4), (4, 4)]
    assert per_core == pytest.approx([0.886, 1.77, 3.54], rel=2e-3)


def test_the_file_can_be_printed(capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path) -> None:
    """With --json standard output is the file and nothing else; the table stands beside it."""
    file = tmp_path / "roofline.json"
    status = main(["predict", str(ROOT / "Pulumi.dev.yaml"), "--json", "--output", str(file)])
    shown = capsys.readouterr()

    assert status == 0
    assert shown.out == file.read_text()
    assert "The most that physics allows:" in shown.err


def test_a_file_that_cannot_be_written_is_told(capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path) -> None:
    """With the remedy."""
    file = tmp_path / "none" / "roofline.json"

    assert main(["predict", str(ROOT / "Pulumi.dev.yaml"), "--output", str(file)]) == 5
    assert f"{file} was not written: No such file or directory; name another --output" in " ".join(
        capsys.readouterr().err.split()
    )


def test_a_settings_file_is_predicted_and_ranked(capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path) -> None:
    """What physics keeps from a limit is left out, with the arithmetic; the rest is ordered."""
    text = (
        "workloads:\n  degrees: [1, 2, 4]\n  model: {max_num_seqs: 256}\n"
        "  limits: {tpot_ms: {percentile: 90, at_most_ms: 1}}\n"
    )
    status = main(["predict", written(tmp_path / "settings.yaml", text), "--json"])
    shown = capsys.readouterr()
    rows = [line.split() for line in shown.err.splitlines()]

    assert status == 0
    assert [row["degree"] for row in json.loads(shown.out)["rows"]] == [2, 4]
    assert shown.err.startswith("TP1 is left out: p90 of time per output token must be at most 1.00 ms, but physics")
    assert [row[:3] for row in rows if len(row) == 7 and row[1][:2] == "TP"] == [
        ["1", "TP4", "256"],
        ["2", "TP2", "256"],
    ]


def test_limits_that_nobody_can_hold_are_refused(capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path) -> None:
    """There is nothing to rank."""
    text = "workloads: {degrees: [1], limits: {tpot_ms: {percentile: 90, at_most_ms: 0.1}}}\n"

    assert main(["predict", written(tmp_path / "a.yaml", text)]) == 2
    assert "must have a candidate that fits into memory and could hold the limits" in capsys.readouterr().err


def test_a_bad_setting_is_told(capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path) -> None:
    """In the words of the settings themselves."""
    assert main(["predict", written(tmp_path / "a.yaml", "workloads: {degres: [1]}\n")]) == 2
    assert "workloads.degres" in capsys.readouterr().err


def test_its_file_is_judged_against_a_run(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every predicted rate lies above the measured one and every latency below it, as bounds must."""
    monkeypatch.setattr("optimal_tp.report.files.plots", lambda _analysis: ())
    main(["predict", str(ROOT / "Pulumi.dev.yaml"), "--output", str(tmp_path / "roofline.json")])
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
