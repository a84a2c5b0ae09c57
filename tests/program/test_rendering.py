"""The report's files: complete, self-contained, the same each time, and safe to open."""

import dataclasses
import json
import pathlib
import re
import typing

import PIL.Image
import pytest

from optimal_tp.errors import StorageFailed
from optimal_tp.report.files import write
from optimal_tp.settings.workload import Model
from optimal_tp.verdict.analysis import analyse
from optimal_tp.verdict.rule import decide
from tests.fakes_run import SEED_EXPERIMENT, planted_run, price, settings, total_limit


def rendered(folder: pathlib.Path, **plan: typing.Any) -> dict[str, pathlib.Path]:
    """Return the report's files of a planted run, by name."""
    name = plan.pop("model_name", None)
    record, samples = planted_run(**plan)
    if name is not None:
        record = dataclasses.replace(record, settings=record.settings.model_copy(update={"model": Model(name=name)}))
    return {path.name: path for path in write(folder, analyse(record, samples, decide(record, samples)))}


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pathlib.Path]:
    """Return the files of a run that has everything."""
    section = settings(price=price(), limits=total_limit(270, 75))
    return rendered(tmp_path_factory.mktemp("full"), section=section)


def test_a_full_report_has_all_its_files(full: dict[str, pathlib.Path]) -> None:
    """The page first, then text, data and pictures."""
    pictures = ["comparison.png", "latency.png", "load.png"]

    assert list(full) == ["report.html", "report.md", "verdict.json", "candidates.csv", *pictures]
    assert all(full[name].read_bytes().startswith(b"\x89PNG") for name in pictures)


def test_a_picture_says_which_run_it_is_of(full: dict[str, pathlib.Path]) -> None:
    """Wherever a PNG is copied to, its description has its figures and the run."""
    run = json.loads(full["verdict.json"].read_text())["run"]
    described = []
    for name in ("comparison.png", "latency.png", "load.png"):
        with PIL.Image.open(full[name]) as picture:
            described.append(picture.info["Description"])

    assert [words.endswith(f". Run {run}.") for words in described] == [True] * 3
    assert described[0].startswith("Requests/s per core, times TP2's: TP2 1.00 (1.00 to 1.00), TP4 0.6")


def test_nothing_partial_is_left(full: dict[str, pathlib.Path]) -> None:
    """Files are replaced whole."""
    folder = full["report.html"].parent

    assert sorted(path.name for path in folder.iterdir()) == sorted(full)


def test_the_same_run_renders_to_the_same_bytes(tmp_path: pathlib.Path) -> None:
    """No clock, no random identifier."""
    first = rendered(tmp_path / "a", blocks=0)
    second = rendered(tmp_path / "b", blocks=0)

    assert {name: path.read_bytes() for name, path in first.items()} == {
        name: path.read_bytes() for name, path in second.items()
    }


def test_the_page_loads_nothing(full: dict[str, pathlib.Path]) -> None:
    """Pictures and script are part of the page; the only addresses are the files beside it, for a click."""
    page = full["report.html"].read_text()

    assert re.findall(r"(?:src|srcset)=", page) == []
    assert re.findall(r"href=\"([^\"]*)\"", page) == ["verdict.json", "candidates.csv", "report.md"]
    assert re.findall(r"https?://|url\(|@import", page) == []


def test_every_picture_has_words(full: dict[str, pathlib.Path]) -> None:
    """What a picture shows is told to who cannot see it, with the same numbers."""
    page = full["report.html"].read_text()
    told = re.findall(r'<svg [^>]*role="img" aria-label="([^"]*)"', page)

    assert [words.partition(":")[0] for words in told] == [
        "Requests/s per core, in percent of TP2&#x27;s",
        "p75 of total latency at the compared point, in ms",
        "How total latency spreads at the compared point",
        "The answer narrowing, block by block",
        "Requests within the limits as load rises",
        "Every turn of the run",
    ]
    assert told[1].endswith("; limit 270 ms.")


def test_the_page_is_made_for_phone_and_paper(full: dict[str, pathlib.Path]) -> None:
    """It says its width, its colour schemes and how it prints."""
    page = full["report.html"].read_text()

    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page
    assert '<meta name="color-scheme" content="light dark">' in page
    assert "@media print" in page


def test_markdown_answers_in_its_first_three_lines(full: dict[str, pathlib.Path]) -> None:
    """After what a practice run is: the headline, the answer, how sure, what otherwise."""
    lines = [line for line in full["report.md"].read_text().splitlines() if line]

    assert lines[0].startswith("> **Practice run on CPU cores")
    assert lines[1] == "# Serve with TP2: most per core within limits"
    assert lines[2].startswith("Serve with TP2. Of the candidates within your limit it delivers the most: about 0.9")
    assert lines[3].startswith("Confidence at least 95 %")
    assert lines[4].startswith(
        "TP1 misses the limit: even one at a time, only 0 % of 480 requests keep total latency within 270"
    )


def test_markdown_tables_are_whole(full: dict[str, pathlib.Path]) -> None:
    """Every row of a table has as many cells as its head."""
    text = full["report.md"].read_text()
    for block in text.split("\n\n"):
        rows = [line for line in block.splitlines() if line.startswith("|")]
        widths = {len(re.findall(r"(?<!\\)\|", row)) for row in rows}

        assert len(widths) <= 1


def test_what_a_run_says_is_escaped(tmp_path: pathlib.Path) -> None:
    """A model's name that is markup stays a name, in the page and in Markdown."""
    files = rendered(tmp_path, blocks=0, model_name="<script>alert(1)</script>|x")

    assert "<script>alert" not in files["report.html"].read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\|x" in files["report.md"].read_text()


def test_a_run_without_blocks_has_a_report_without_their_pictures(tmp_path: pathlib.Path) -> None:
    """Nothing is drawn of what is not there."""
    files = rendered(tmp_path, truths=SEED_EXPERIMENT, blocks=0)

    assert list(files) == ["report.html", "report.md", "verdict.json", "candidates.csv"]


def test_without_limits_the_load_is_drawn_as_requests_in_flight(tmp_path: pathlib.Path) -> None:
    """Its words have each candidate's throughput where it is compared."""
    files = rendered(tmp_path, truths=SEED_EXPERIMENT, rising=(1, 2, 4))
    page = files["report.html"].read_text()

    assert list(files)[4:] == ["comparison.png", "latency.png", "load.png"]
    assert 'aria-label="Throughput as load rises: TP1: 17' in page
    assert " at 1.00; TP2: 98." in page


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: pathlib.Path) -> None:
    """A file stands where the folder should be."""
    (tmp_path / "taken").write_text("")

    again = r"free space or name another folder, then run optimal-tp report again"
    with pytest.raises(StorageFailed, match=rf"^the report cannot be written to .*taken: File exists; {again}$"):
        rendered(tmp_path / "taken", blocks=0)
