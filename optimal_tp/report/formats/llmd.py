"""A run as benchmark reports of llm-d, version 0.2.1: one file for each load of each candidate.

The form holds one load of one server configuration, so a run becomes several files with the run's name as their
experiment. It has no place for goodput, nor for intervals: those stand in ``results.profiling``. Source: package
llmd-benchmark-report 0.2.1, read 2026-11-27.
"""

import collections.abc
import datetime as dt
import hashlib
import importlib
import json
import math
import types
import typing

import numpy as np
import yaml

from optimal_tp.errors import Problem, SettingsError
from optimal_tp.facts.candidates import Candidate
from optimal_tp.measurement.distribution import percentile_of
from optimal_tp.measurement.run import DegreeRecord, RunRecord
from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.turns import Turn, counted, of
from optimal_tp.results.retrial import Retrial
from optimal_tp.verdict.evidence import examine, tokens_per_second

VERSION = "0.2.1"
STAGES = ("idle", "rising", "block")
_PERCENTILES = {
    "p0p1": 0.1,
    "p1": 1,
    "p5": 5,
    "p10": 10,
    "p25": 25,
    "p50": 50,
    "p75": 75,
    "p90": 90,
    "p95": 95,
    "p99": 99,
    "p99p9": 99.9,
}
_Turns = list[tuple[Turn, list[Sample]]]
_Data = dict[str, typing.Any]


def llmd_files(retrial: Retrial) -> dict[str, bytes]:
    """Return the reports of a judged run by file name, each accepted by llm-d's own validator.

    Raises SettingsError where its library is not installed, or no load was measured.
    """
    library = _library()
    record = retrial.record
    files = {}
    for number, ((candidate, stage, load), turns) in enumerate(_points(retrial).items()):
        report = _report(retrial, candidate, turns, number)
        library.load_benchmark_report(report)
        name = f"llmd-{candidate.slug}-{stage}{'' if load is None else f'-{load:g}'}.yaml"
        files[name] = yaml.safe_dump(report, sort_keys=False, allow_unicode=True).encode()
    if not files:
        rule = "must have a sound turn of a candidate"
        raise SettingsError([Problem(path="RUN", value=record.run, rule=rule, remedy="measure again")])
    return files


def _library() -> types.ModuleType:
    try:
        return importlib.import_module("llmd_benchmark_report")
    except ImportError:
        rule = "must have the library llmd-benchmark-report, which is not installed"
        problem = Problem(path="--format", value="llmd", rule=rule, remedy="in the clone, pip install '.[llmd]'")
        raise SettingsError([problem]) from None


_Point = tuple[Candidate, str, float | None]


def _points(retrial: Retrial) -> dict[_Point, _Turns]:
    """Return the sound turns of each load: the bracket's one by one, all blocks of a candidate together."""
    points: dict[_Point, _Turns] = {}
    for turn, samples in examine(retrial.record, retrial.samples).turns:
        if turn.stage in STAGES:
            load = (turn.rate_per_second or turn.concurrency) if turn.stage == "rising" else None
            points.setdefault((of(turn), turn.stage, load), []).append((turn, counted(turn, samples)))
    return dict(sorted(points.items(), key=lambda point: (point[0][0], STAGES.index(point[0][1]), point[0][2] or 0)))


def _report(retrial: Retrial, candidate: Candidate, turns: _Turns, stage: int) -> _Data:
    record = retrial.record
    first, last = turns[0][0], turns[-1][0]
    own = next(one for one in record.degrees if one.candidate == candidate)
    began = dt.datetime.fromisoformat(record.started) + dt.timedelta(seconds=first.start_seconds)
    ended = dt.datetime.fromisoformat(record.started) + dt.timedelta(seconds=last.end_seconds)
    return {
        "version": VERSION,
        "run": {
            "uid": f"{record.run}-{candidate.slug}-{stage}",
            "eid": record.run,
            "time": {
                "start": began.isoformat(),
                "end": ended.isoformat(),
                "duration": f"PT{last.end_seconds - first.start_seconds:.3f}S",
            },
            "description": f"{candidate.name}, stage {first.stage}, measured by optimal-tp",
        },
        "scenario": {"stack": [_engine(record, own)], "load": _load(record, turns, stage)},
        "results": {
            "request_performance": {"aggregate": _aggregate(turns)},
            "profiling": {"optimal_tp": _verdict(retrial, candidate)},
        },
    }


def _engine(record: RunRecord, own: DegreeRecord) -> _Data:
    model = record.settings.model
    batch = model.batch_of(own.candidate)
    args = {"--max-num-seqs": batch, "--max-model-len": model.max_model_len_tokens}
    accelerator = record.pins.get("instance") or record.pins.get("processor") or "unknown"
    return {
        "metadata": {
            "label": own.candidate.slug,
            "cfg_id": _digest({"degree": own.degree, **args, "model": model.name, "revision": model.revision}),
            "description": f"{accelerator}; an accelerator is a logical core",
        },
        "standardized": {
            "kind": "inference_engine",
            "tool": "vllm",
            "tool_version": record.pins.get("vllm", "unknown"),
            "role": "replica",
            "replicas": max(1, own.cores_used // own.degree),
            "model": {"name": model.name},
            "accelerator": {"model": accelerator, "count": own.cores_used, "parallelism": {"tp": own.degree}},
        },
        "native": {"args": {"--tensor-parallel-size": own.degree, **args}, "config": {"pins": dict(record.pins)}},
    }


def _load(record: RunRecord, turns: _Turns, stage: int) -> _Data:
    load = record.settings.load
    first = turns[0][0]
    rates = [turn.rate_per_second for turn, _ in turns if turn.rate_per_second is not None]
    least, most = load.output_range
    output: _Data = {"distribution": "fixed", "value": load.output_tokens}
    if least < most:
        output = {"distribution": "uniform", "value": load.output_tokens, "min": least, "max": most}
    prompt: _Data = {"distribution": "fixed", "value": load.prompt_tokens}
    if record.trace is not None or load.prompt != "synthetic":
        samples = [sample for _, own in turns for sample in own]
        prompt = {"distribution": "other", "value": _mean(sample.prompt_tokens for sample in samples)}
        output = {"distribution": "other", "value": _mean(sample.output_tokens for sample in samples)}
    settings = record.settings.model_dump(mode="json")
    standardized: _Data = {
        "tool": "optimal-tp",
        "tool_version": record.pins.get("code", "unknown"),
        "source": "random" if load.prompt == "synthetic" and record.trace is None else "sampled",
        "stage": stage,
        "input_seq_len": prompt,
        "output_seq_len": output,
    }
    if rates:
        standardized["rate_qps"] = math.exp(math.fsum(map(math.log, rates)) / len(rates))
    elif first.concurrency is not None:
        standardized["concurrency"] = first.concurrency
    return {
        "metadata": {"cfg_id": _digest(settings)},
        "standardized": standardized,
        "native": {"config": settings},
    }


def _mean(values: typing.Iterable[int | None]) -> float:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else 0.0


def _aggregate(turns: _Turns) -> _Data:
    samples = [sample for _, own in turns for sample in own]
    good = [sample for sample in samples if sample.status == "ok"]
    asked: dict[str, tuple[str, collections.abc.Callable[[Sample], float | None]]] = {
        "time_to_first_token": ("ms", lambda one: one.ttft_ms),
        "time_per_output_token": ("ms/token", lambda one: one.tpot_ms),
        "request_latency": ("ms", lambda one: one.total_latency_ms),
    }
    speeds = [speed for turn, own in turns if (speed := tokens_per_second(turn, own)) is not None]
    rates = [
        sum(sample.status == "ok" for sample in own) / seconds for turn, own in turns if (seconds := _seconds(own)) > 0
    ]
    found: _Data = {
        "requests": {
            "total": len(samples),
            "failures": len(samples) - len(good),
            **_filled(
                input_length=_statistics("count", [one.prompt_tokens for one in good]),
                output_length=_statistics("count", [one.output_tokens for one in good]),
            ),
        },
        "latency": _filled(**{name: _statistics(unit, map(value, good)) for name, (unit, value) in asked.items()}),
        "throughput": _filled(
            output_token_rate=_statistics("tokens/s", speeds), request_rate=_statistics("queries/s", rates)
        ),
    }
    return found


def _seconds(own: typing.Sequence[Sample]) -> float:
    """Return the time from the first intended send to the last end."""
    ends = [sample.end_seconds for sample in own]
    return max(ends) - min(sample.intended_seconds for sample in own) if own else 0.0


def _filled(**parts: _Data | None) -> _Data:
    return {name: part for name, part in parts.items() if part is not None}


def _statistics(unit: str, values: typing.Iterable[float | None]) -> _Data | None:
    """Return the statistics of known values; None of none. A percentile is there where a value lies beyond it."""
    known = np.array([value for value in values if value is not None], dtype=float)
    if not len(known):
        return None
    found: _Data = {"units": unit, "mean": float(known.mean())}
    if len(known) > 1:
        found["stddev"] = float(known.std(ddof=1))
    ordered = sorted(known.tolist())
    found["min"] = ordered[0]
    for name, percent in _PERCENTILES.items():
        if len(known) * min(percent, 100 - percent) >= 100:  # noqa: PLR2004 - one value in percent
            found[name] = percentile_of(ordered, percent)
    found["max"] = ordered[-1]
    return found


def _verdict(retrial: Retrial, candidate: Candidate) -> _Data:
    """Return what the form has no key for: the verdict, goodput, intervals."""
    verdict = retrial.verdict
    own = next(one for one in verdict.degrees if one.candidate == candidate)
    tokens = own.tokens_per_second_per_core
    return {
        "outcome": verdict.outcome,
        "chosen": verdict.chosen,
        "confidence": verdict.confidence,
        "word": own.word,
        "because": own.ground.sentence,
        "goodput_per_second_per_core": own.goodput_per_second_per_core,
        "output_tokens_per_second_per_core": None
        if tokens is None
        else {"value": tokens.value, "low": tokens.interval.low, "high": tokens.interval.high},
    }


def _digest(data: object) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:32]
