"""``optimal-tp report``: exit statuses, what it prints, and that it says the same again."""

import dataclasses
import json
import pathlib

import pytest

from optimal_tp.__main__ import main
from optimal_tp.cli.reference import metrics_page
from optimal_tp.measurement.run import RunRecord
from optimal_tp.report import files
from tests.fakes_run import SEED_EXPERIMENT, Planted, planted_run, settings, store, total_limit
from tests.unit.test_source import edit_record

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the pictures to their own tests: they take most of a report's time."""
    monkeypatch.setattr(files, "plots", lambda _analysis: ())


def late(record: RunRecord) -> RunRecord:
    """Return ``record`` as a client without headroom leaves it: its clock half a second late."""
    turns = tuple(dataclasses.replace(turn, send_lag_p99_ms=500.0) for turn in record.turns)
    return dataclasses.replace(record, turns=turns)


def test_a_settled_run_ends_with_0_and_its_answer(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The last lines are the headline, the answer, how sure, what otherwise, and where the report is."""
    folder = store(tmp_path, *planted_run())
    status = main(["report", str(folder)])
    last = capsys.readouterr().out.splitlines()[-5:]

    assert status == 0
    assert last[0] == "Serve with TP1: most per core"
    assert last[1].startswith("Serve with TP1. Of the candidates measured it delivers the most: 17")
    assert last[2].startswith("Confidence at least 95 %")
    assert last[3].startswith("TP2 delivers 43")
    assert last[4] == f"Report: {folder / 'report.html'}"


@pytest.mark.parametrize(
    ("kind", "status", "first"),
    [("short", 3, "Not settled yet"), ("late", 4, "No verdict: the run is void")],
)
def test_doubt_and_void_have_their_own_exit_status(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], kind: str, status: int, first: str
) -> None:
    """3 for inconclusive, 4 for void; the answer says which."""
    record, samples = planted_run(blocks=1 if kind == "short" else 5)
    folder = store(tmp_path, late(record) if kind == "late" else record, samples)
    found = main(["report", str(folder)])
    lines = capsys.readouterr().out.splitlines()

    assert found == status
    assert any(line.startswith(first) for line in lines)


def test_bad_input_ends_with_2_and_one_sentence(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No traceback for a folder that is not there."""
    missing = tmp_path / "nowhere"

    assert main(["report", str(missing)]) == 2
    assert capsys.readouterr().err == (
        f"RUN: must be a folder that exists (got '{missing}'); name the folder that a run wrote\n"
    )


def test_settings_that_break_a_rule_end_with_2(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A stored section that this program would refuse is refused here too, by key."""
    folder = store(tmp_path, *planted_run(blocks=1))
    edit_record(folder, lambda data: data.update(settings={"degrees": [3]}))

    assert main(["report", str(folder)]) == 2
    assert capsys.readouterr().err.startswith("run.json workloads.degrees[0]: must be a power of two")


def test_the_report_may_go_elsewhere(tmp_path: pathlib.Path) -> None:
    """A source that must not be written to stays as it is."""
    folder = store(tmp_path / "run", *planted_run(blocks=0))
    main(["report", str(folder), "--output", str(tmp_path / "out")])

    assert (tmp_path / "out" / "report.html").exists()
    assert not (folder / "report.html").exists()


def test_the_same_source_gives_the_same_verdict_again(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Offline, from the stored samples, byte for byte; a stored verdict that says the same is not mentioned."""
    folder = store(tmp_path, *planted_run(blocks=6))
    main(["report", str(folder)])
    first = (folder / "verdict.json").read_bytes()
    main(["report", str(folder)])

    assert (folder / "verdict.json").read_bytes() == first
    assert "The stored verdict" not in capsys.readouterr().out


def test_verbose_prints_every_table(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Between what is said of the run and the verdict, which stays last."""
    folder = store(tmp_path, *planted_run(blocks=6))
    main(["report", str(folder)])
    short = capsys.readouterr().out.splitlines()
    main(["report", str(folder), "-v"])
    whole = capsys.readouterr().out.splitlines()
    more = [line for line in whole if line not in short]

    assert "Latency in ms from the planned send; each range at the run's confidence" in more
    assert len(more) > 10
    assert whole[-4:] == short[-4:]


def test_a_stored_verdict_that_differs_is_pointed_out(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody changed the answer, or the rule changed: the reader is told."""
    folder = store(tmp_path, *planted_run(blocks=6))
    other = {"schema_version": 1, "verdict": {"outcome": "settled", "chosen": 4}}
    (folder / "verdict.json").write_text(json.dumps(other))
    main(["report", str(folder), "--output", str(tmp_path / "out")])

    assert capsys.readouterr().out.splitlines()[-1] == (
        "The stored verdict was settled, TP4; recomputed it is inconclusive, —: the samples or the rule have changed."
    )


def test_turns_that_fail_the_audit_are_listed_as_left_out(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One late turn of two dozen: the run stands, without it, and says so."""
    record, samples = planted_run()
    turns = [dataclasses.replace(turn, send_lag_p99_ms=500.0) if turn.block == 3 else turn for turn in record.turns]
    folder = store(tmp_path, dataclasses.replace(record, turns=tuple(turns)), samples)

    assert main(["report", str(folder)]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Left out: ")]
    assert "TP1 block 3: " in line


def test_compare_says_what_changed(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two runs of the same truth are not distinguishable."""
    folders = [str(store(tmp_path / str(seed), *planted_run(seed=seed))) for seed in (1, 2)]

    assert main(["compare", *folders]) == 0
    assert capsys.readouterr().out.count("is not distinguishable between") == 3


def test_compare_fails_on_worse_if_asked(tmp_path: pathlib.Path) -> None:
    """A gate needs no words: a slower candidate ends with 1; a faster one, or nobody asking, with 0."""
    slow, fast = (
        str(store(tmp_path / f"{ms}", *planted_run((Planted(degree=1, latency_ms=ms, noise=0.01),), seed=ms)))
        for ms in (300, 270)
    )

    assert main(["compare", fast, slow, "--fail-on-worse"]) == 1
    assert main(["compare", slow, fast, "--fail-on-worse"]) == 0
    assert main(["compare", fast, slow]) == 0


@pytest.mark.parametrize(("commits", "lines"), [(("a1", "b2"), 1), (("a1", "a1"), 0), (("a1", "unknown"), 0)])
def test_compare_names_commits_that_differ(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], commits: tuple[str, str], lines: int
) -> None:
    """What changed may be the program; commits that agree or are unknown say nothing."""
    folders = []
    for place, commit in zip("AB", commits, strict=True):
        record, samples = planted_run()
        record = dataclasses.replace(record, pins=record.pins | {"code": commit})
        folders.append(str(store(tmp_path / place, record, samples)))

    assert main(["compare", *folders]) == 0
    assert capsys.readouterr().out.count(f"optimal-tp measured them, a1 {folders[0]} and b2 {folders[1]}: ") == lines


def test_compare_refuses_runs_that_differ(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another limit is another question; allowed by name it is not refused."""
    one = str(store(tmp_path / "1", *planted_run(SEED_EXPERIMENT, settings(limits=total_limit(270)))))
    two = str(store(tmp_path / "2", *planted_run(SEED_EXPERIMENT, settings(limits=total_limit(280)))))
    key = "settings.limits.total_latency_ms.at_most_ms"

    assert main(["compare", one, two]) == 2
    assert capsys.readouterr().err.startswith(f"{key}: must be the same in both runs; in B it is 280 (got 270)")
    assert main(["compare", one, two, "--allow", key]) == 0


def test_the_metrics_page_is_fresh(capsys: pytest.CaptureFixture[str]) -> None:
    """docs/reference/metrics.md is what the metric table says."""
    assert main(["reference", "metrics"]) == 0
    assert (ROOT / "docs/reference/metrics.md").read_text() == capsys.readouterr().out == metrics_page()


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever reads verdict.json can have its form."""
    assert main(["reference", "schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "Document"


def test_a_bucket_that_cannot_be_reached_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without credentials nothing is read, and the remedy is named."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-2")

    assert main(["report", "s3://bucket/run"]) == 2
    assert capsys.readouterr().err.endswith("check the name, your credentials and AWS_ENDPOINT_URL\n")


def test_predictions_are_shown_beside_the_run(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On the terminal, in Markdown and in verdict.json; the exit status is the verdict's."""
    folder = store(tmp_path / "run", *planted_run())
    planner = ROOT / "tests/predictions/planner.csv"
    status = main(["report", str(folder), "--predicted", str(planner)])
    shown = capsys.readouterr().out
    judged = json.loads((folder / "verdict.json").read_text())["predicted"]

    assert status == 0
    assert "Predicted: A planner 1.4 would choose TP1, as the run does. A planner prefers TP4 to TP2" in shown
    assert "**Predicted.** A planner 1.4 would choose TP1" in (folder / "report.md").read_text()
    assert [(pair["preferred"], pair["other"], pair["word"]) for pair in judged["pairs"]] == [
        ("TP1", "TP4", "right"),
        ("TP1", "TP2", "right"),
        ("TP4", "TP2", "inverted"),
    ]
    assert judged["file"] == "planner.csv"
