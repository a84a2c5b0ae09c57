"""Read a stored run from a folder or a bucket, and say which parts of it could not be read."""

import dataclasses
import json
import pathlib
import re
import typing

import pydantic

from optimal_tp.errors import Problem, SettingsError
from optimal_tp.measurement.node_bill import RECEIPT, Receipt, decode_receipt
from optimal_tp.measurement.run import RunRecord, decode_run
from optimal_tp.measurement.samples import Sample
from optimal_tp.results.parts import Faults, OfPod, join
from optimal_tp.results.turnlog import TURN_LOG, with_logged
from optimal_tp.settings.workload import unknown_keys

if typing.TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_POD = re.compile(r"^pod-\d+/")
_SAMPLE = pydantic.TypeAdapter(Sample)
_SAMPLES = re.compile(r"samples[^/]*\.jsonl")
_RECORDED = ("run.json", TURN_LOG)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """A run as it was stored."""

    name: str
    record: RunRecord
    samples: tuple[Sample, ...]
    notes: tuple[str, ...]
    """A sentence for each file with lines that hold no sample, or with settings that this release does not know."""
    stored_verdict: str | None
    """Text of the verdict stored beside it; None if there is none."""
    void: tuple[str, ...] = ()
    """Why the parts of several processes are not one run."""
    faults: Faults = dataclasses.field(default_factory=dict)
    """Faults that several processes' own audits found, by turn."""


def read(source: str, s3: "S3Client | None" = None) -> Source:
    """Return the run in ``source``: a folder, or ``s3://bucket/prefix`` read through ``s3``.

    A run of several pods has only the pods' records, below ``pod-0``, ``pod-1`` and so on, which are joined. A samples
    file may end in an incomplete line. Raises SettingsError where there is no run to read.
    """
    texts = _from_bucket(source, s3) if source.startswith("s3://") else _from_folder(source)
    stored = texts.get("verdict.json")
    if "run.json" in texts:
        record, samples, notes = _one(source, texts, "")
        return Source(name=source, record=record, samples=samples, notes=notes, stored_verdict=stored)
    folders = sorted(name.removesuffix("run.json") for name in texts if name.endswith("/run.json"))
    kept = [_one(source, texts, folder) for folder in folders]
    if not kept:
        raise _unreadable(source, "must hold a run.json", "name the folder or prefix that a run wrote")
    parts = [OfPod(record.part, record, samples) for record, samples, _ in kept if record.part is not None]
    if len(parts) < len(kept):
        raise _unreadable(source, "must hold one run: not all its pods kept a part", "name the folder of one run")
    joined = join(parts)
    receipt, unread = _receipt(texts.get(RECEIPT))
    return Source(
        name=source,
        record=dataclasses.replace(joined.record, receipt=receipt),
        samples=joined.samples,
        notes=(*(note for _, _, notes in kept for note in notes), *joined.notes, *unread),
        stored_verdict=stored,
        void=joined.void,
        faults=joined.faults,
    )


def _receipt(text: str | None) -> tuple[Receipt | None, tuple[str, ...]]:
    """Return the receipt of all pods, which lies beside their folders, and why it could not be read, if so."""
    try:
        return None if text is None else decode_receipt(text), ()
    except ValueError as error:
        return None, (f"{RECEIPT} is left out because it does not hold a receipt ({error})",)


def _one(
    source: str, texts: typing.Mapping[str, str], folder: str
) -> tuple[RunRecord, tuple[Sample, ...], tuple[str, ...]]:
    """Return record, samples and notes that one process stored in ``folder`` ("", or "pod-0/") of ``source``."""
    record = with_logged(_record(source, texts[f"{folder}run.json"]), texts.get(f"{folder}{TURN_LOG}", ""))
    samples: list[Sample] = []
    notes: list[str] = []
    unknown = unknown_keys(record.settings)
    if unknown:
        notes.append(f"{folder}run.json has settings that this release does not know: {', '.join(unknown)}")
    for name in sorted(texts):
        if name.startswith(folder) and _SAMPLES.fullmatch(name.removeprefix(folder)):
            found, note = samples_in(texts[name], name)
            samples += found
            notes += [note] if note else []
    return record, tuple(samples), tuple(notes)


def _from_folder(source: str) -> dict[str, str]:
    folder = pathlib.Path(source)
    if not folder.is_dir():
        raise _unreadable(source, "must be a folder that exists", "name the folder that a run wrote")
    try:
        files = {str(path.relative_to(folder)): path for each in ("*", "pod-*/*") for path in sorted(folder.glob(each))}
        return {
            name: path.read_text(encoding="utf-8", errors="replace") for name, path in files.items() if _is_wanted(name)
        }
    except OSError as error:
        raise _unreadable(source, f"must be readable: {error.strerror}", "") from error


def _from_bucket(source: str, s3: "S3Client | None") -> dict[str, str]:
    bucket, _, prefix = source.removeprefix("s3://").partition("/")
    if s3 is None or not bucket:
        raise _unreadable(source, "must be a folder or s3://bucket/prefix", "name it as s3://bucket/prefix")
    start = f"{prefix.rstrip('/')}/" if prefix else ""
    texts = {}
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=start):
        for item in page.get("Contents", []):
            name = item["Key"].removeprefix(start)
            if _is_wanted(name):
                body = s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
                texts[name] = body.decode("utf-8", errors="replace")
    return texts


def _is_wanted(name: str) -> bool:
    own = _POD.sub("", name)
    return name in ("verdict.json", RECEIPT) or own in _RECORDED or _SAMPLES.fullmatch(own) is not None


def _record(source: str, text: str) -> RunRecord:
    try:
        record = decode_run(text)
    except ValueError as error:
        remedy = "copy the file again, or read it with the release that wrote it"
        raise _unreadable(source, f"must hold a run in its run.json: {error}", remedy) from error
    for degree in record.degrees:
        if degree.degree < 1 or (degree.gate is None and degree.cores_used < 1):
            used = f"{degree.candidate.name} used {degree.cores_used}"
            rule = f"must hold a run that used cores; its run.json says that {used}"
            raise _unreadable(source, rule, "copy the file again")
    return record


def samples_in(text: str, name: str) -> tuple[list[Sample], str | None]:
    """Return the samples in ``text``, one a line, and a sentence on the lines of the file ``name`` that hold none."""
    found: list[Sample] = []
    bad: list[int] = []
    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found.append(_sample(line))
        except ValueError:
            bad.append(number)
    if not bad:
        return found, None
    if bad == [len(lines)]:
        return found, f"the last line of {name} is cut and left out"
    left = "is not a sample and is" if len(bad) == 1 else "are not samples and are"
    return found, f"{len(bad)} of {len(lines)} lines of {name} {left} left out; the first is line {bad[0]}"


def _sample(line: str) -> Sample:
    """Return the sample in ``line``. Raises ValueError where it holds none."""
    try:
        return _SAMPLE.validate_json(line)
    except ValueError:
        # validate_json takes half the time, but refuses half a surrogate pair, which a quote of a server may have.
        return _SAMPLE.validate_python(json.loads(line))


def _unreadable(source: str, rule: str, remedy: str) -> SettingsError:
    return SettingsError([Problem(path="RUN", value=source, rule=rule, remedy=remedy)])
