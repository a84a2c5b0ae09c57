"""Fetch a model onto the shared volume once: the program of the fetch Job.

``python -m optimal_tp.pods.fetch --source S --model OWNER/NAME --revision R --shape NAME --folder F`` takes files from
a hub that answers as huggingface.co does, each checked against the hub's own hash, or from an S3 prefix, each against
its size.
"""

import argparse
import collections.abc
import hashlib
import json
import os
import pathlib
import sys
import typing
import urllib.error
import urllib.parse
import urllib.request

from optimal_tp.errors import OptimalTpError, SettingsError
from optimal_tp.facts.shapes import SHAPES, shape_from_config
from optimal_tp.pods import folders
from optimal_tp.pods.container import end_on_sigterm, say

if typing.TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CHUNK_BYTES = 4 * 2**20
_TRIES = 3
_STALE_SECONDS = 86_400
_NEEDED = (".json", ".safetensors", ".txt", ".model", ".jinja")
"""Endings of what a server reads: configuration, weights, tokenizer, chat template."""


class FetchError(OptimalTpError):
    """The model could not be fetched; the message says which file and why."""


class HubFile(typing.NamedTuple):
    """One file of a model on a hub."""

    name: str
    size_bytes: int
    sha256: str | None
    """Of the content, for files in large-file storage; None for the others."""
    blob: str
    """Git's own name of the file: SHA-1 of a header and the content."""


def hub_files(listing: typing.Mapping[str, typing.Any]) -> list[HubFile]:
    """Return the files that a server needs from the hub's answer about one revision.

    Raises FetchError when there are no weights among them, or a name leaves the folder.
    """
    files = [
        HubFile(
            name=item["rfilename"],
            size_bytes=item["size"],
            sha256=(item.get("lfs") or {}).get("sha256"),
            blob=item["blobId"],
        )
        for item in listing["siblings"]
        if item["rfilename"].endswith(_NEEDED)
    ]
    for file in files:
        if pathlib.PurePosixPath(file.name).is_absolute() or ".." in pathlib.PurePosixPath(file.name).parts:
            raise FetchError(
                f"the hub lists {file.name!r}, which is outside the model's folder; nothing of it is fetched: check "
                "serving.model_source and workloads.model.name"
            )
    if not any(file.name.endswith(".safetensors") for file in files):
        raise FetchError(
            "the hub lists no .safetensors file, and weights in other formats are not served; name a revision that has "
            "them (workloads.model.revision)"
        )
    return files


def _download(url: str, path: pathlib.Path, digests: typing.Sequence[typing.Any]) -> None:
    with urllib.request.urlopen(url, timeout=60) as answer, path.open("wb") as target:  # noqa: S310 - https by settings
        while chunk := answer.read(_CHUNK_BYTES):
            target.write(chunk)
            for digest in digests:
                digest.update(chunk)


def fetch_file(url: str, file: HubFile, path: pathlib.Path) -> None:
    """Download ``file`` from ``url`` to ``path``. Raises FetchError after three tries without the hub's hash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    reason = ""
    for _ in range(_TRIES):
        sha256 = hashlib.sha256()
        blob = hashlib.sha1(b"blob %d\0" % file.size_bytes, usedforsecurity=False)
        try:
            _download(url, path, (sha256, blob))
        except OSError as error:
            reason = str(error)
            continue
        if (sha256.hexdigest() == file.sha256) if file.sha256 is not None else (blob.hexdigest() == file.blob):
            return
        reason = f"the content does not have the hub's hash {file.sha256 or file.blob}"
    raise FetchError(
        f"{url} was not fetched in {_TRIES} tries: {reason}; the Job tries again, and if that fails too, put the model "
        "into a bucket and name it as serving.model_source"
    )


def fetch_from_hub(source: str, model: str, revision: str, draft: pathlib.Path) -> None:
    """Put the model's files into ``draft``. Raises FetchError."""
    owner_name, commit = urllib.parse.quote(model), urllib.parse.quote(revision, safe="")
    about = f"{source.rstrip('/')}/api/models/{owner_name}/revision/{commit}?blobs=true"
    try:
        with urllib.request.urlopen(about, timeout=60) as answer:  # noqa: S310 - https by settings
            listing = json.load(answer)
        files = hub_files(listing)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FetchError(
            f"{about} did not list the model's files: {error}; check serving.model_source, workloads.model.name and "
            "its revision, and that pods reach the hub"
        ) from error
    for file in files:
        say(f"fetching {file.name}, {file.size_bytes / 1e6:.1f} MB")
        url = f"{source.rstrip('/')}/{owner_name}/resolve/{commit}/{urllib.parse.quote(file.name)}"
        fetch_file(url, file, draft / file.name)


def fetch_from_bucket(source: str, store: "S3Client", draft: pathlib.Path) -> None:
    """Put the files below the S3 prefix ``source`` into ``draft``. Raises FetchError for an empty prefix."""
    bucket, _, prefix = source.removeprefix("s3://").partition("/")
    below = f"{prefix.rstrip('/')}/" if prefix else ""
    fetched = 0
    for page in store.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=below):
        for item in page.get("Contents", ()):
            name = item["Key"].removeprefix(below)
            if not name.endswith(_NEEDED) or ".." in pathlib.PurePosixPath(name).parts:
                continue
            path = draft / name
            path.parent.mkdir(parents=True, exist_ok=True)
            say(f"fetching {name}, {item['Size'] / 1e6:.1f} MB")
            store.download_file(bucket, item["Key"], str(path))
            if path.stat().st_size != item["Size"]:
                raise FetchError(
                    f"s3://{bucket}/{item['Key']} has {item['Size']} bytes and {path.stat().st_size} arrived; copy the "
                    "model into the bucket again if this goes on"
                )
            fetched += 1
    if not fetched:
        raise FetchError(f"there is no model below {source} (serving.model_source); copy it there, config.json and all")


def check_shape(draft: pathlib.Path, shape_name: str) -> None:
    """Hold the fetched config.json against the sizes that the plan was computed with.

    Raises FetchError when they differ, SettingsError when the config has none.
    """
    path = draft / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FetchError(
            f"the fetched model has no readable config.json: {error}; serve a model that has one beside its weights"
        ) from error
    found = shape_from_config(config, where="config.json")
    if found != SHAPES[shape_name]:
        raise FetchError(
            f"the plan was computed for {shape_name} ({SHAPES[shape_name]}), and the model is {found}; correct "
            "serving.shape_as or workloads.model.name"
        )


def main(arguments: typing.Sequence[str], *, store: collections.abc.Callable[[], "S3Client"]) -> int:
    """Run the program; returns 0 when the folder is complete. ``store`` makes an S3 client when one is needed."""
    parser = argparse.ArgumentParser(prog="python -m optimal_tp.pods.fetch")
    for name in ("source", "model", "revision", "shape"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    given = parser.parse_args(arguments)
    if folders.is_complete(given.folder):
        say(f"already complete: {given.folder}")
        return 0
    owner = os.environ.get("HOSTNAME", "here")
    try:
        draft = folders.open_draft(given.folder, owner=owner, stale_after_seconds=_STALE_SECONDS)
        if given.source.startswith("s3://"):
            fetch_from_bucket(given.source, store(), draft)
        else:
            fetch_from_hub(given.source, given.model, given.revision, draft)
        check_shape(draft, given.shape)
        folders.publish(draft, given.folder, {"source": given.source, "revision": given.revision})
    except (FetchError, SettingsError) as error:
        say(f"not fetched: {error}")
        return error.exit_status
    except OSError as error:
        say(f"not fetched: {given.folder} cannot be written ({error.strerror}): is the volume mounted, with room?")
        return FetchError.exit_status
    say(f"complete: {given.folder}")
    return 0


def _s3() -> "S3Client":
    import boto3  # noqa: PLC0415 - only a model from a bucket needs it, and it takes a while to import

    return boto3.client("s3")


if __name__ == "__main__":
    end_on_sigterm()
    sys.exit(main(sys.argv[1:], store=_s3))
