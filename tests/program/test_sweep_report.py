"""The report of a sweep: a verdict per model, a table across them, and honest words for what is missing."""

import json
import pathlib

import pytest

from optimal_tp.__main__ import main
from optimal_tp.errors import SettingsError
from optimal_tp.measurement.sweep import Leg, Sweep, encode_sweep
from optimal_tp.report import files
from optimal_tp.report.across import ModelRow, headline
from optimal_tp.report.sweep import conclude_sweep, read_sweep
from optimal_tp.verdict.predictions import UNCHECKED
from tests.fakes_run import Planted, planted_run, price, settings, store, total_limit

SMALL = (Planted(degree=1, latency_ms=290), Planted(degree=2, latency_ms=255))
LARGE = (Planted(degree=1, latency_ms=1400), Planted(degree=2, latency_ms=500))


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the pictures to their own tests: they take most of a report's time."""
    monkeypatch.setattr(files, "plots", lambda _analysis: ())


def swept(folder: pathlib.Path, *, markup: str = "<b>|") -> pathlib.Path:
    """Store a sweep of five: two settled at different degrees, one without any, a failed and a waiting one."""
    for name, truths in (("small", SMALL), ("large", LARGE)):
        section = settings(degrees=[1, 2], price=price(), limits=total_limit(2000))
        store(folder / name, *planted_run(truths, section))
    store(folder / "slow", *planted_run(SMALL, settings(degrees=[1, 2], limits=total_limit(10))))
    legs = (
        Leg(model="Qwen/Qwen3-0.6B", folder="small", state="ended"),
        Leg(model="Qwen/Qwen3-8B", folder="large", state="ended"),
        Leg(model="me/slow", folder="slow", state="ended"),
        Leg(model="me/gone", folder="gone", state="failed", sentence=f"it died {markup}"),
        Leg(model="me/next", folder="next"),
    )
    (folder / "sweep.json").write_text(encode_sweep(Sweep(sweep="20260701T120000Z-test", legs=legs)))
    return folder


def test_each_model_has_its_degree(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first line names them all, and the exit status tells that two were not measured."""
    status = main(["report", str(swept(tmp_path))])
    said = capsys.readouterr().out.splitlines()

    assert status == 5
    assert said[-2:] == [
        (
            "Serve Qwen/Qwen3-0.6B with TP1 and Qwen/Qwen3-8B with TP2; no degree qualifies for me/slow; not measured: "
            "me/gone and me/next."
        ),
        f"Report: {tmp_path / 'report.html'}",
    ]
    assert f"Report: {tmp_path / 'large' / 'report.html'}" in said
    assert "me/gone: it died <b>|" in said
    assert "me/next: its turn has not come" in said


def test_a_sweep_judged_without_a_plan_says_so_of_each_choice(tmp_path: pathlib.Path) -> None:
    """As in a pod; a model without a choice has nothing that a plan could contradict."""
    conclude_sweep(read_sweep(str(swept(tmp_path))), tmp_path)
    caveats = {
        name: json.loads((tmp_path / name / "verdict.json").read_text())["verdict"]["caveats"]
        for name in ("small", "slow")
    }

    assert caveats["small"][-1] == UNCHECKED
    assert UNCHECKED not in caveats["slow"]


def test_the_tables_stand_in_the_report(tmp_path: pathlib.Path) -> None:
    """Size, degree, goodput, throughput, the limit and the price of each; every degree's word in the second table."""
    main(["report", str(swept(tmp_path))])
    lines = (tmp_path / "report.md").read_text().splitlines()
    small, large = (
        next(line for line in lines if line.startswith(f"| Qwen/Qwen3-{size} |")) for size in ("0.6B", "8B")
    )
    degrees = [line for line in lines if line.startswith("| Qwen") and "chosen" in line]

    assert small.startswith("| Qwen/Qwen3-0.6B | 0.60 billion | settled | TP1 | 1.7")
    assert "| p90 of total latency " in small
    assert " ms of 2,000 ms |" in small
    assert large.startswith("| Qwen/Qwen3-8B | 8.19 billion | settled | TP2 | 0.5")
    assert [row.count(" % less per core, ") for row in degrees] == [1, 1]
    assert degrees[0].index("chosen") < degrees[0].index("% less")
    assert degrees[1].index("chosen") > degrees[1].index("% less")


def test_a_column_without_a_figure_is_left_out(tmp_path: pathlib.Path) -> None:
    """Models of unknown size, no price, no limit: three columns would be nothing but dashes."""
    store(tmp_path / "small", *planted_run(SMALL, settings(degrees=[1, 2])))
    legs = (Leg(model="me/mine", folder="small", state="ended"), Leg(model="me/next", folder="next"))
    (tmp_path / "sweep.json").write_text(encode_sweep(Sweep(sweep="20260701T120000Z-test", legs=legs)))
    main(["report", str(tmp_path)])
    lines = (tmp_path / "report.md").read_text().splitlines()

    assert "| Model | Verdict | Candidate | Tokens/s per core |" in lines
    assert "| me/next | not measured | — | — |" in lines


def test_what_a_run_says_is_escaped(tmp_path: pathlib.Path) -> None:
    """A server's words are text, in Markdown and on the page."""
    main(["report", str(swept(tmp_path, markup="<script>|"))])

    assert "it died &lt;script&gt;\\|" in (tmp_path / "report.md").read_text()
    page = (tmp_path / "report.html").read_text()
    assert "it died &lt;script&gt;|" in page
    assert "<script>" not in page


def test_the_answers_are_data_too(tmp_path: pathlib.Path) -> None:
    """Outcome, degree and sentence per model; no degree is null, never 0."""
    main(["report", str(swept(tmp_path))])
    rows = json.loads((tmp_path / "verdicts.json").read_text())["models"]

    assert [(row["outcome"], row["candidate"]) for row in rows] == [
        ("settled", "TP1"),
        ("settled", "TP2"),
        ("settled", None),
        ("not measured", None),
        ("not measured", None),
    ]
    assert rows[2]["sentence"].startswith("No candidate meets the limits, ")


def test_the_same_sweep_gives_the_same_bytes(tmp_path: pathlib.Path) -> None:
    """Derived again, also into another folder, nothing changes."""
    main(["report", str(swept(tmp_path / "a"))])
    main(["report", str(tmp_path / "a"), "--output", str(tmp_path / "b")])

    for name in ("report.md", "report.html", "verdicts.json", "large/report.md"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_sweep_with_everything_settled_ends_with_0(tmp_path: pathlib.Path) -> None:
    """As a run does."""
    swept(tmp_path)
    legs = tuple(Leg(model=name, folder=name, state="ended") for name in ("small", "large"))
    (tmp_path / "sweep.json").write_text(encode_sweep(Sweep(sweep="20260701T120000Z-test", legs=legs)))

    assert main(["report", str(tmp_path)]) == 0


def test_doubt_is_told_as_doubt() -> None:
    """Only what is settled is served; the rest stands under its own word."""
    rows = [
        ModelRow(model=name, folder=name, outcome="inconclusive", candidate=None, provisional="TP1", sentence="")
        for name in ("a", "b", "c")
    ]

    assert headline(rows) == "Inconclusive: a, b and c."


def test_a_record_that_is_cut_is_refused(tmp_path: pathlib.Path) -> None:
    """One sentence, and what to do."""
    (tmp_path / "sweep.json").write_text("{")

    with pytest.raises(SettingsError) as caught:
        read_sweep(str(tmp_path))

    assert str(caught.value).startswith("RUN: must hold a sweep in its sweep.json: ")
    assert str(caught.value).endswith("; copy the file again, or read it with the release that wrote it")
