"""``verdict.json``: the whole analysis as data, in a published and versioned form."""

import dataclasses
import json
import typing

import pydantic

from optimal_tp.facts.candidates import CandidateRow
from optimal_tp.measurement.node_bill import Bill, bill
from optimal_tp.measurement.run import VERSION, Ending, TraceRecord
from optimal_tp.report.claims import Claim, claims
from optimal_tp.report.headline import headline
from optimal_tp.report.physics.claims_in_words import PhysicalLimits, limits_of
from optimal_tp.report.servers import ServerFigures, server_figures
from optimal_tp.report.start_up import StartUp, start_up
from optimal_tp.report.words import caveats
from optimal_tp.verdict.analysis import Analysis, LatencySplit
from optimal_tp.verdict.costs import CoreFigures, EqualCores, Money
from optimal_tp.verdict.findings import Verdict
from optimal_tp.verdict.latency import LatencyRow
from optimal_tp.verdict.load_steps import LoadStep
from optimal_tp.verdict.predictions import Prediction
from optimal_tp.verdict.predictors.judgement import Judged
from optimal_tp.verdict.views.by_limit import ByLimit
from optimal_tp.verdict.views.timeline import TimelineTurn

Denominator = typing.Literal["used", "physical", "allocated", "billed"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PerCore(CandidateRow):
    """Output tokens per second per core, with the kind of core said."""

    denominator: Denominator
    cores: int
    tokens_per_second_per_core: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Document:
    """What ``verdict.json`` holds."""

    schema_version: typing.Literal[2]
    run: str
    started: str
    place: typing.Literal["local", "cluster", "own-servers"]
    ending: Ending
    ending_detail: str | None
    elapsed_seconds: float
    pins: dict[str, str]
    settings: dict[str, typing.Any]
    verdict: Verdict
    claims: tuple[Claim, ...]
    latencies: tuple[LatencyRow, ...]
    steps: tuple[LoadStep, ...]
    per_core: tuple[PerCore, ...]
    equal_cores: tuple[EqualCores, ...]
    money: Money | None
    latency_split: LatencySplit | None
    receipt: Bill | None = None
    trace: TraceRecord | None = None
    start_up: tuple[StartUp, ...] = ()
    prediction: Prediction | None = None
    servers: tuple[ServerFigures, ...] = ()
    predicted: Judged | None = None
    """What another program predicted, held against the run (``report --predicted``)."""
    limits: PhysicalLimits | None = None
    """How far from the physical limit; null where the cores' roof is not known."""
    headline: str = ""
    """The verdict in at most eight words."""
    caveats: tuple[str, ...] = ()
    """Everything that limits the answer, the weightiest first: of a run on one machine that it is practice."""
    by_limit: tuple[ByLimit, ...] = ()
    """The choice at other limits, by limited metric."""
    timeline: tuple[TimelineTurn, ...] = ()
    """Every turn, and what became of it."""


_ADAPTER = pydantic.TypeAdapter(Document)


def document(analysis: Analysis) -> Document:
    """Return ``analysis`` in the published form."""
    record = analysis.record
    return Document(
        schema_version=VERSION,
        run=record.run,
        started=record.started,
        place=record.place,
        ending=record.ending,
        ending_detail=record.ending_detail,
        elapsed_seconds=record.elapsed_seconds,
        pins=record.pins,
        settings=record.settings.model_dump(mode="json"),
        verdict=analysis.verdict,
        claims=claims(analysis),
        latencies=analysis.latencies,
        steps=analysis.steps,
        per_core=tuple(row for figures in analysis.cores for row in _per_core(figures)),
        equal_cores=analysis.equal_cores,
        money=analysis.money,
        latency_split=analysis.split,
        receipt=None if record.receipt is None else bill(record.receipt),
        trace=record.trace,
        start_up=start_up(record),
        prediction=analysis.prediction,
        servers=server_figures(record),
        predicted=analysis.predicted,
        limits=limits_of(analysis),
        headline=headline(analysis.verdict),
        caveats=caveats(record, analysis.verdict),
        by_limit=analysis.by_limit,
        timeline=analysis.timeline,
    )


def encode_document(found: Document) -> str:
    """Return ``found`` as indented JSON; the same analysis gives the same text."""
    return json.dumps(_ADAPTER.dump_python(found, mode="json"), indent=1, allow_nan=False) + "\n"


def schema() -> str:
    """Return the JSON Schema (2020-12) of ``verdict.json``, as published beside this module."""
    form = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"verdict.v{VERSION}.schema.json",
        **_ADAPTER.json_schema(mode="serialization"),
    }
    return json.dumps(form, indent=1) + "\n"


def _per_core(figures: CoreFigures) -> list[PerCore]:
    counted: tuple[tuple[Denominator, int | None, float | None], ...] = (
        ("used", figures.used, figures.per_used),
        ("physical", figures.physical, figures.per_physical),
        ("allocated", figures.allocated, figures.per_allocated),
        ("billed", figures.billed, figures.per_billed),
    )
    return [
        PerCore(
            degree=figures.degree,
            max_num_seqs=figures.max_num_seqs,
            denominator=kind,
            cores=cores,
            tokens_per_second_per_core=rate,
        )
        for kind, cores, rate in counted
        if cores is not None and rate is not None
    ]
