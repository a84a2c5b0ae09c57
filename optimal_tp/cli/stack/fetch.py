"""Copy stored runs from the results bucket to this machine. Files that are here already are not copied again.

Exit status: 0 all files are here, 2 there is nothing to copy or to read, 5 this disk failed.
Example: optimal-tp fetch
  optimal-tp fetch 20260702T120000Z-aaaa --stack dev --output out/cluster
"""

import argparse
import collections.abc
import contextlib
import dataclasses
import datetime as dt
import json
import os
import pathlib
import sys
import typing

from optimal_tp.cli.stack.results import ResultsPlace, configure_place, place_of, readable
from optimal_tp.cli.terminal import output
from optimal_tp.errors import Problem, SettingsError, StorageFailed, quantity

if typing.TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_MIB = 1024 * 1024


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stored:
    """One file in the bucket."""

    name: str
    """Path below the runs: ``run/file``."""
    size_bytes: int
    modified: dt.datetime

    @property
    def run(self) -> str:
        """The folder of its run; empty for a file beside the runs, such as the newest receipt."""
        head, slash, _ = self.name.partition("/")
        return head if slash else ""

    def is_at(self, path: pathlib.Path) -> bool:
        """Return whether ``path`` is this file: of the same length, and not older."""
        try:
            found = path.stat()
        except FileNotFoundError:
            return False
        return found.st_size == self.size_bytes and found.st_mtime >= self.modified.timestamp()


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("runs", nargs="*", metavar="RUN", help="name of a run or sweep (default: all of them)")
    configure_place(parser)
    parser.add_argument(
        "--output",
        type=pathlib.Path,
        default=pathlib.Path("out/cluster"),
        metavar="FOLDER",
        help="folder to copy to (default %(default)s)",
    )


def main(options: argparse.Namespace) -> int:
    """Copy the files. Raises SettingsError if they are missing or unreadable, StorageFailed if this disk fails."""
    place = place_of(options)
    s3 = place.session.client("s3")
    with readable(place.uri):
        found = wanted(stored(s3, place), options.runs, place.uri)
        with _writable(options.output):
            new = copied(s3, place, found, options.output)
    runs = sorted({each.run for each in found if each.run})
    size_bytes = sum(each.size_bytes for each in new)
    if output.is_json(options):
        told = {"results": place.uri, "folder": str(options.output), "runs": runs, "files": len(found)}
        sys.stdout.write(json.dumps({**told, "copied": len(new), "copied_bytes": size_bytes}, indent=1) + "\n")
        return 0
    sys.stdout.write(
        f"{options.output}: {quantity(len(runs), 'run', 'runs')} with {quantity(len(found), 'file', 'files')}; copied "
        f"{len(new)} ({size_bytes / _MIB:.1f} MiB), {quantity(len(found) - len(new), 'was', 'were')} here\n"
    )
    if runs:
        sys.stdout.write(f"next: optimal-tp report {options.output / runs[-1]}\n")
    return 0


def stored(s3: "S3Client", place: ResultsPlace) -> list[Stored]:
    """Return every file below ``place``. Raises SettingsError for a name that would leave the target folder."""
    found = []
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=place.bucket, Prefix=place.start):
        for item in page.get("Contents", []):
            name = item["Key"].removeprefix(place.start)
            if not name or name.endswith("/"):
                continue  # a folder, as the console creates them
            if any(part in ("", ".", "..") for part in name.split("/")):
                rule = "must hold names without empty, . or .. parts, which would leave the folder"
                raise SettingsError([Problem(path="results", value=f"{place.uri}/{name}", rule=rule)])
            found.append(Stored(name=name, size_bytes=item["Size"], modified=item["LastModified"]))
    return found


def wanted(
    found: collections.abc.Sequence[Stored], runs: collections.abc.Sequence[str], uri: str
) -> collections.abc.Sequence[Stored]:
    """Return the files of ``runs``, or of all runs if none is named. Raises SettingsError for a missing run."""
    if not found:
        remedy = "follow the first run with optimal-tp watch"
        raise SettingsError([Problem(path="results", value=uri, rule="must hold a run", remedy=remedy)])
    known = sorted({each.run for each in found if each.run})
    remedy = f"runs there: {', '.join(known)}"
    rule = "must be the name of a stored run"
    problems = [Problem(path="RUN", value=run, rule=rule, remedy=remedy) for run in runs if run not in known]
    if problems:
        raise SettingsError(problems)
    return [each for each in found if each.run in runs] if runs else found


def copied(
    s3: "S3Client", place: ResultsPlace, found: collections.abc.Sequence[Stored], folder: pathlib.Path
) -> list[Stored]:
    """Copy the files that ``folder`` lacks and return them. Even if this is interrupted, no file is incomplete."""
    new = []
    for each in found:
        path = folder / each.name
        if each.is_at(path):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        s3.download_file(place.bucket, place.start + each.name, str(path))  # beside it first, then renamed
        seconds = each.modified.timestamp()
        os.utime(path, (seconds, seconds))
        new.append(each)
    return new


@contextlib.contextmanager
def _writable(folder: pathlib.Path) -> collections.abc.Iterator[None]:
    try:
        yield
    except OSError as error:
        where = error.filename or folder
        raise StorageFailed(
            f"{where} cannot be written: {error.strerror}; name another folder with --output"
        ) from error
