"""Reading stored runs: from a folder or a bucket, whole, cut, or not at all."""

import json
import pathlib
import typing

import pytest

from optimal_tp.errors import SettingsError
from optimal_tp.measurement.samples import encode
from optimal_tp.results.source import read, samples_in
from tests.fakes_run import planted_run, store
from tests.fakes_s3 import FakeS3
from tests.fakes_samples import make_sample, whole

NO_RUN = "must hold a run in its run.json"
RELEASE = "copy the file again, or read it with the release that wrote it"


@pytest.fixture
def stored(tmp_path: pathlib.Path) -> pathlib.Path:
    """Return the folder of a run."""
    return store(tmp_path / "run", *planted_run(blocks=5))


def edit_record(folder: pathlib.Path, change: typing.Callable[[dict[str, typing.Any]], None]) -> None:
    """Change run.json in place."""
    path = folder / "run.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def test_a_stored_run_is_read_back_whole(stored: pathlib.Path) -> None:
    """What was written is what is read."""
    record, samples = planted_run(blocks=5)
    source = read(str(stored))

    assert (source.record, list(source.samples), source.notes) == (record, samples, ())


def test_a_cut_last_line_is_left_out_and_said(stored: pathlib.Path) -> None:
    """A full disk or a killed client cuts the last line; the others stand."""
    path = stored / "samples.jsonl"
    path.write_text(path.read_text()[:-40])
    source = read(str(stored))

    assert len(source.samples) == len(planted_run(blocks=5)[1]) - 1
    assert source.notes == ("the last line of samples.jsonl is cut and left out",)


LINE = encode(make_sample(detail="half a pair: \ud83d", rate_per_second=2.5))


def test_samples_are_read_as_they_were_written() -> None:
    """Numbers with their types, and words whatever a server sent: half a surrogate pair among them."""
    (found,), note = samples_in(LINE, "samples.jsonl")

    assert (repr(found), note) == (repr(make_sample(detail="half a pair: \ud83d", rate_per_second=2.5)), None)


def test_a_sample_of_before_a_key_has_its_default() -> None:
    """Servers were not numbered while there was one."""
    (found,), _ = samples_in(LINE.replace('"replica":0,', ""), "samples.jsonl")

    assert found.replica == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"end_seconds":', '"end_second":'),
        ('"end_seconds":', '"x":1,"end_seconds":'),
        ('"end_seconds":0.100000', '"end_seconds":NaN'),
        ('"rate_per_second":2.5', '"rate_per_second":1e999'),
        ("[0.050000", "[-Infinity"),
        ('"degree":1', '"degree":1.5'),
        ('"status":"ok"', '"status":"fine"'),
        ("}", ""),
    ],
    ids=["missing", "unknown", "not a number", "no rate", "no moment", "half a degree", "no status", "cut"],
)
def test_a_line_that_is_no_sample_is_left_out(old: str, new: str) -> None:
    """A key that is not there or unknown, a number that is not finite, a value that nothing writes."""
    found, note = samples_in(f"{LINE.replace(old, new)}\n{LINE}", "samples.jsonl")

    assert (len(found), note) == (
        1,
        "1 of 2 lines of samples.jsonl is not a sample and is left out; the first is line 1",
    )


def test_lines_that_hold_no_sample_are_counted(stored: pathlib.Path) -> None:
    """NaN, nonsense and foreign records: how many, and where the first is."""
    path = stored / "samples.jsonl"
    lines = path.read_text().splitlines()
    lines[3] = lines[3].replace('"end_seconds":', '"end_seconds":NaN,"x":')
    lines[5] = "[]"
    path.write_text("\n".join(lines) + "\n")
    source = read(str(stored))

    assert source.notes == (
        f"2 of {len(lines)} lines of samples.jsonl are not samples and are left out; the first is line 4",
    )


def test_several_sample_files_are_one_run(stored: pathlib.Path) -> None:
    """Parts are read in the order of their names; other files are left alone."""
    lines = (stored / "samples.jsonl").read_text().splitlines(keepends=True)
    (stored / "samples.jsonl").unlink()
    (stored / "samples-0001.jsonl").write_text("".join(lines[:100]))
    (stored / "samples-0002.jsonl").write_text("".join(lines[100:]))
    (stored / "notes.jsonl").write_text("not a sample\n")

    assert read(str(stored)).samples == tuple(planted_run(blocks=5)[1])


def test_a_run_without_samples_is_read(stored: pathlib.Path) -> None:
    """A run that ended before its first request has a record and nothing else."""
    (stored / "samples.jsonl").unlink()

    assert read(str(stored)).samples == ()


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("nowhere", "must be a folder that exists (got 'PATH'); name the folder that a run wrote"),
        ("empty", "must hold a run.json (got 'PATH'); name the folder or prefix that a run wrote"),
    ],
)
def test_a_source_that_holds_no_run_is_refused(tmp_path: pathlib.Path, name: str, rule: str) -> None:
    """One sentence with the path and the remedy."""
    (tmp_path / "empty").mkdir()
    source = str(tmp_path / name)

    with pytest.raises(SettingsError) as caught:
        read(source)
    assert str(caught.value) == f"RUN: {rule.replace('PATH', source)}"


def test_a_file_that_cannot_be_read_is_told(stored: pathlib.Path) -> None:
    """A name of a file that is a folder's."""
    (stored / "verdict.json").mkdir()

    sentence = f"RUN: must be readable: Is a directory (got '{stored}')"
    with pytest.raises(SettingsError, match=whole(sentence)):
        read(str(stored))


def test_a_cut_record_is_refused(stored: pathlib.Path) -> None:
    """Half a run.json is no run."""
    path = stored / "run.json"
    path.write_text(path.read_text()[:200])

    with pytest.raises(SettingsError, match=rf"must hold a run in its run\.json: .*; {RELEASE}$"):
        read(str(stored))


def test_settings_that_are_no_more_are_said(stored: pathlib.Path) -> None:
    """The run is judged without them, and the reader knows."""
    edit_record(stored, lambda data: data["settings"]["load"].update(ramp=1))

    assert read(str(stored)).notes == ("run.json has settings that this release does not know: workloads.load.ramp",)


def no_cores(data: dict[str, typing.Any]) -> None:
    """Make the first degree use no cores."""
    data["degrees"][0]["cores_used"] = 0


def words_for_cores(data: dict[str, typing.Any]) -> None:
    """Make the first degree use "many" cores."""
    data["degrees"][0]["cores_used"] = "many"


def without_urls(data: dict[str, typing.Any]) -> None:
    """Take a key away that every degree has."""
    del data["degrees"][0]["urls"]


def newer(data: dict[str, typing.Any]) -> None:
    """Make the record of a schema that this program does not know."""
    data["schema_version"] = 99


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (
            no_cores,
            "must hold a run that used cores; its run.json says that TP1 used 0 (got 'PATH'); copy the file again",
        ),
        (
            words_for_cores,
            f"{NO_RUN}: degrees.0.cores_used must not be 'many' in a run record (got 'PATH'); {RELEASE}",
        ),
        (newer, f"{NO_RUN}: schema_version must be 1 in a run record, but it is 99 (got 'PATH'); {RELEASE}"),
        (without_urls, f"{NO_RUN}: degrees.0.urls must be set in a run record (got 'PATH'); {RELEASE}"),
    ],
    ids=["no cores", "words for cores", "newer", "without a key"],
)
def test_an_impossible_record_is_refused(
    stored: pathlib.Path, change: typing.Callable[[dict[str, typing.Any]], None], rule: str
) -> None:
    """Nothing is divided by a core that is not there."""
    edit_record(stored, change)

    with pytest.raises(SettingsError, match=whole(f"RUN: {rule.replace('PATH', str(stored))}")):
        read(str(stored))


@pytest.mark.parametrize("prefix", ["", "runs/one", "runs/one/"])
def test_a_bucket_holds_a_run_as_a_folder_does(stored: pathlib.Path, prefix: str) -> None:
    """Objects below the prefix are read over all pages; deeper ones and neighbours are not."""
    start = f"{prefix.rstrip('/')}/" if prefix else ""
    objects = {f"bucket/{start}{path.name}": path.read_bytes() for path in stored.iterdir()}
    objects["bucket/runs/one-more/run.json"] = b"{}"

    found = read(f"s3://bucket/{prefix}", FakeS3(objects))
    assert found.samples == read(str(stored)).samples


def test_a_bucket_without_a_client_is_refused() -> None:
    """The caller brings the client."""
    with pytest.raises(
        SettingsError, match=r"must be a folder or s3://bucket/prefix \(got .*\); name it as s3://bucket/prefix$"
    ):
        read("s3://bucket/run")
