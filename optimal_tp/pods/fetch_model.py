"""Fetch a model onto the shared volume once: the program of the fetch Job.

``python -m optimal_tp.pods.fetch_model --source S --model OWNER/NAME --revision R --shape JSON --folder F`` takes
files from a hub that answers as huggingface.co does, each checked against the hub's own hash, or from an S3 prefix,
each against its size. What a try that was ended has fetched, the next one keeps.
"""

import argparse
import collections.abc
import contextlib
import json
import pathlib
import shutil
import sys
import threading
import time
import typing

from optimal_tp.errors import SettingsError, quantity
from optimal_tp.facts.families import shape_from_config, text_part
from optimal_tp.facts.shapes import ModelShape
from optimal_tp.pods import folders
from optimal_tp.pods.container import end_on_sigterm, say
from optimal_tp.pods.hub import CACHE, NEEDED, FetchError, Hub

if typing.TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_EVERY_SECONDS = 20.0
_CONFIG = "config.json"
_OWNER = "fetch"
"""All tries share one draft."""


def fetch_from_hub(hub: Hub, draft: pathlib.Path, planned: ModelShape) -> None:
    """Put the model's files into ``draft``, its config.json first, held against ``planned``. Raises FetchError."""
    commit, files = hub.files()
    hub.fetch(commit, [file for file in files if file.name == _CONFIG], draft)
    check_shape(draft, planned)
    total = sum(file.size_bytes for file in files)
    say(f"fetching {quantity(len(files), 'file', 'files')}, {_gb(total)}")
    with progress(draft, total):
        hub.fetch(commit, files, draft)
    shutil.rmtree(draft / CACHE, ignore_errors=True)


def fetch_from_bucket(source: str, store: "S3Client", draft: pathlib.Path, planned: ModelShape) -> None:
    """Do the same from the S3 prefix ``source``. Raises FetchError, for an empty prefix too."""
    bucket, _, prefix = source.removeprefix("s3://").partition("/")
    below = f"{prefix.rstrip('/')}/" if prefix else ""
    wanted: dict[str, int] = {}
    for page in store.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=below):
        for item in page.get("Contents", ()):
            name = item["Key"].removeprefix(below)
            if name.endswith(NEEDED) and ".." not in pathlib.PurePosixPath(name).parts:
                wanted[name] = item["Size"]
    if not wanted:
        raise FetchError(f"{source} (serving.model_source) must hold a model; copy it there with its config.json")

    def take(name: str, size: int) -> None:
        """Download the file ``name`` unless it is there. Raises FetchError where it then has not ``size`` bytes."""
        path = draft / name
        if path.is_file() and path.stat().st_size == size:
            return  # boto3 gives a file its name when it is whole
        path.parent.mkdir(parents=True, exist_ok=True)
        store.download_file(bucket, f"{below}{name}", str(path))
        if path.stat().st_size != size:
            raise FetchError(
                f"s3://{bucket}/{below}{name} has {size} bytes but {path.stat().st_size} arrived; copy the model into "
                "the bucket again if this repeats"
            )

    if _CONFIG in wanted:
        take(_CONFIG, wanted[_CONFIG])
    check_shape(draft, planned)
    say(f"fetching {quantity(len(wanted), 'file', 'files')}, {_gb(sum(wanted.values()))}")
    with progress(draft, sum(wanted.values())):
        for name, size in wanted.items():
            take(name, size)


@contextlib.contextmanager
def progress(
    draft: pathlib.Path, total_bytes: int, *, every_seconds: float = _EVERY_SECONDS
) -> collections.abc.Iterator[None]:
    """Say again and again how much of ``total_bytes`` lies in ``draft``, and how fast it comes."""
    over = threading.Event()

    def tell() -> None:
        """Say it until it is over."""
        before, since = _size_of(draft), time.monotonic()
        while not over.wait(every_seconds):
            there, now = _size_of(draft), time.monotonic()
            # While a file is moved it is counted nowhere.
            per_second = max(0, there - before) / (now - since)
            share = min(1.0, there / total_bytes) if total_bytes else 1.0
            say(f"fetched {_gb(there)} of {_gb(total_bytes)} ({share:.0%}), {per_second / 1e6:.0f} MB/s")
            before, since = there, now

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _size_of(folder: pathlib.Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # it was there when it was listed
            total += path.stat().st_size if path.is_file() else 0
    return total


def _gb(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.2f} GB"


def check_shape(draft: pathlib.Path, planned: ModelShape) -> None:
    """Hold the fetched config.json against the sizes that the plan was computed with.

    Raises FetchError when they differ or the weights are packed, SettingsError when the config has none.
    """
    path = draft / _CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FetchError(
            f"the fetched model must have a readable config.json: {error}; serve a model that has one"
        ) from error
    found = shape_from_config(config, where="config.json")
    differences = planned.differences(found)
    if differences:
        raise FetchError(
            f"the fetched model must be the planned one, but its config.json has {differences}; "
            "correct workloads.model.name, serving.config_file or shape_as"
        )
    for part in (config, text_part(config)):
        if isinstance(part.get("quantization_config"), dict):
            packed = part["quantization_config"].get("quant_method", "unknown")
            raise FetchError(
                "the fetched model must have weights in BF16 or FP16, but its config.json has a quantization_config "
                f"({packed}); serve the original model instead of the quantized one"
            )


def main(arguments: typing.Sequence[str], *, store: collections.abc.Callable[[], "S3Client"]) -> int:
    """Run the program; returns 0 when the folder is complete. ``store`` makes an S3 client when one is needed."""
    parser = argparse.ArgumentParser(prog="python -m optimal_tp.pods.fetch_model")
    for name in ("source", "model", "revision"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--shape", type=ModelShape.read, required=True)
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--token-file", type=pathlib.Path)
    given = parser.parse_args(arguments)
    if folders.is_complete(given.folder):
        say(f"already complete: {given.folder}")
        return 0
    try:
        draft = folders.reopen_draft(given.folder, owner=_OWNER)
        if given.source.startswith("s3://"):
            fetch_from_bucket(given.source, store(), draft, given.shape)
        else:
            token = None if given.token_file is None else given.token_file.read_text(encoding="utf-8").strip()
            fetch_from_hub(Hub(given.source, given.model, given.revision, token=token), draft, given.shape)
        folders.publish(draft, given.folder, {"source": given.source, "revision": given.revision})
    except (FetchError, SettingsError) as error:
        say(f"not fetched: {error}")
        return error.exit_status
    except OSError as error:
        say(
            f"not fetched: {given.folder} cannot be written ({error.strerror}); "
            "check that the volume is mounted and has room"
        )
        return FetchError.exit_status
    say(f"complete: {given.folder}")
    return 0


def _s3() -> "S3Client":
    import boto3  # noqa: PLC0415 - only a model from a bucket needs it, and it takes a while to import

    return boto3.client("s3")


if __name__ == "__main__":
    end_on_sigterm()
    sys.exit(main(sys.argv[1:], store=_s3))
