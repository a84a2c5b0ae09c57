"""Results on their way to a bucket: what it refuses now is stored later, and the folder has everything meanwhile."""

import pathlib

import botocore.exceptions
import pytest

from optimal_tp.errors import StorageFailed
from optimal_tp.measurement.run import RunRecord, decode_run
from optimal_tp.results.folder import Bucket, new_folder, samples_name, write_record
from optimal_tp.settings.workload import WorkloadSettings
from tests.fakes_s3 import FakeS3

RECORD = RunRecord(
    run="r",
    started="2026-01-01T00:00:00+00:00",
    place="own-servers",
    settings=WorkloadSettings(),
    pins={},
    degrees=(),
    turns=(),
    ending="running",
    ending_detail=None,
    elapsed_seconds=0.0,
)


def _file(folder: pathlib.Path, name: str, text: str) -> pathlib.Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_files_are_stored_below_the_prefix(tmp_path: pathlib.Path) -> None:
    """Bucket, prefix, name."""
    store = FakeS3()
    Bucket(store, "b", "runs/r").store([_file(tmp_path, "a.jsonl", "x")])

    assert store.kept == {"b/runs/r/a.jsonl": b"x"}


def test_what_an_outage_left_is_stored_with_the_next_call(tmp_path: pathlib.Path) -> None:
    """Nothing is lost, and while something is missing it is said how much and where it is."""
    store = FakeS3()
    bucket = Bucket(store, "b", "p")
    store.error = botocore.exceptions.ClientError({"Error": {"Code": "503", "Message": "Slow Down"}}, "PutObject")
    bucket.store([_file(tmp_path, "1", "one"), _file(tmp_path, "2", "two")])
    during = bucket.failure
    store.error = None
    bucket.store([_file(tmp_path, "3", "three")])

    assert str(during).startswith("2 files are not in s3://b/p yet (An error occurred (503)")
    assert str(during).endswith(f"), but in {tmp_path}")
    assert bucket.failure is None
    assert sorted(store.kept) == ["b/p/1", "b/p/2", "b/p/3"]


def test_a_record_is_written_whole(tmp_path: pathlib.Path) -> None:
    """It replaces the one before, and no draft stays."""
    write_record(tmp_path, RECORD)
    path = write_record(tmp_path, RECORD)

    assert decode_run(path.read_text(encoding="utf-8")) == RECORD
    assert [file.name for file in tmp_path.iterdir()] == ["run.json"]


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: pathlib.Path) -> None:
    """Folder, reason, what is safe, remedy."""
    gone = tmp_path / "gone"

    with pytest.raises(StorageFailed) as caught:
        write_record(gone, RECORD)

    assert str(caught.value) == (
        f"results cannot be written to {gone} (No such file or directory); earlier results are intact; free space "
        f"there or name another folder"
    )


def test_a_run_never_goes_into_an_old_folder(tmp_path: pathlib.Path) -> None:
    """An existing folder is refused: two runs in one would be read as one."""
    with pytest.raises(StorageFailed, match="File exists"):
        new_folder(tmp_path)


def test_parts_sort_by_their_number() -> None:
    """Read in the order of names, samples are in the order they were taken."""
    assert sorted(samples_name(part) for part in (10, 9, 100)) == [samples_name(part) for part in (9, 10, 100)]
