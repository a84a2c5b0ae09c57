"""``verdict.json``: its published schema, its stability, and what older versions say."""

import dataclasses
import functools
import json
import pathlib
import typing

import jsonschema
import pytest

from optimal_tp import report
from optimal_tp.facts.candidates import Candidate
from optimal_tp.report.document import document, encode_document, schema
from optimal_tp.report.tables import tables
from optimal_tp.results.retrial import read_stored
from optimal_tp.verdict.analysis import analyse
from optimal_tp.verdict.rule import decide
from tests.fakes_candidates import TP1
from tests.fakes_cluster_life import step
from tests.fakes_run import SEED_EXPERIMENT, Planted, no_fit, planted_run, price, settings, total_limit

SCHEMA_FILE = pathlib.Path(report.__file__).with_name("verdict.schema.json")
GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "verdict-v1.json"


@functools.cache
def published() -> jsonschema.protocols.Validator:
    """Return what holds a document to the published schema, which is a schema itself."""
    document = json.loads(SCHEMA_FILE.read_text())
    kind = jsonschema.validators.validator_for(document)
    kind.check_schema(document)
    return kind(document)


def encoded(**plan: typing.Any) -> str:
    """Return the verdict.json of a planted run."""
    void = plan.pop("void", {})
    record, samples = planted_run(**plan)
    return encode_document(document(analyse(record, samples, decide(record, samples, void))))


PLANS: dict[str, dict[str, typing.Any]] = {
    "settled": {"section": settings(price=price(), limits=total_limit(270, 75)), "rising": (1, 2)},
    "inconclusive": {"blocks": 1},
    "void": {"void": {None: ("late",)}},
    "nothing measured": {"blocks": 0},
    "no fit": {"truths": SEED_EXPERIMENT[:1], "ended": [no_fit(4)]},
    "all fail": {"truths": (Planted(degree=1, latency_ms=290, failing=1),)},
}


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_every_verdict_obeys_the_published_schema(plan: dict[str, typing.Any]) -> None:
    """Settled or not, full or empty: the same form, and no number that JSON cannot hold."""
    published().validate(json.loads(encoded(**plan)))


STEPS = (
    step(None, "fetch", usd=None),
    step(TP1, "compile", gate="no-compile", node_seconds=None, seconds=None),
    step(Candidate(2, 16), "start", removed="pod tp2-a"),
    step(Candidate(2, 16), "start", number=1),
)


def test_what_stood_before_the_load_is_told() -> None:
    """Each step with its seconds, dollars and word in ``verdict.json``, and in a table of the report."""
    record, samples = planted_run()
    analysis = analyse(dataclasses.replace(record, steps=STEPS), samples, decide(record, samples))
    found = document(analysis)
    (table,) = (each for each in tables(analysis, found) if each.caption.startswith("Start-up"))
    published().validate(json.loads(encode_document(found)))

    assert [
        (each.degree, each.max_num_seqs, each.what, each.number, each.usd, each.gate) for each in found.start_up
    ] == [
        (None, None, "fetch", 0, None, None),
        (1, None, "compile", 0, 0.15, "no-compile"),
        (2, 16, "start", 0, 0.15, None),
        (2, 16, "start", 1, 0.15, None),
    ]
    assert table.rows == (
        ("all", "fetch", "60 s", "10 min", "—", "done"),
        ("TP1", "compile", "—", "—", "$0.15", "no-compile"),
        ("TP2-B16", "start 1", "60 s", "10 min", "$0.15", "again"),
        ("TP2-B16", "start 2", "60 s", "10 min", "$0.15", "done"),
    )


def test_the_published_schema_is_fresh() -> None:
    """The file is what ``optimal-tp reference schema`` prints."""
    assert SCHEMA_FILE.read_text() == schema()


def test_the_schema_refuses_another_form() -> None:
    """A verdict without its outcome, or with a word that does not exist, is none."""
    found = json.loads(encoded())
    found["verdict"]["degrees"][0]["word"] = "splendid"

    with pytest.raises(jsonschema.ValidationError, match="'splendid' is not one of"):
        published().validate(found)


def test_the_same_run_gives_the_same_text() -> None:
    """Byte for byte, so that a change is a change."""
    assert encoded() == encoded()


def test_what_is_not_known_is_null() -> None:
    """A degree that does not fit has no throughput, no goodput and no cost: null, never 0."""
    found = json.loads(encoded(**PLANS["no fit"]))
    degree = found["verdict"]["degrees"][1]

    assert degree["word"] == "no-fit"
    unknown = (
        "tokens_per_second_per_core",
        "goodput_per_second_per_core",
        "proof",
        "median_latency_ms",
        "share_within",
    )
    assert [degree[name] for name in unknown] == [None] * 5
    assert found["money"] is None


def test_a_stored_verdict_of_version_1_stays_readable() -> None:
    """This file is never made again: it is what a user kept; its choice was a degree."""
    stored = read_stored(GOLDEN.read_text())

    assert (stored.schema_version, stored.outcome, stored.chosen) == (1, "settled", "TP2")


def test_a_verdict_of_this_version_is_read_as_it_was_written() -> None:
    """Its choice is a candidate's name."""
    stored = read_stored(encoded())

    assert (stored.schema_version, stored.outcome, stored.chosen) == (2, "settled", "TP1")


VERSIONS = r"^schema_version must be from 1 to 2 in a verdict \(got"
REMEDY = "read it with the program that wrote it"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ('{"schema_version": 3}', rf"{VERSIONS} 3\); {REMEDY}$"),
        ("[]", rf"{VERSIONS} none\); {REMEDY}$"),
        (
            '{"schema_version": 1, "verdict": {"outcome": "fine"}}',
            "^the outcome of a verdict must be one of settled, inconclusive, void$",
        ),
        ('{"schema_version": 1, "verd', "^Unterminated string"),
    ],
    ids=["newer", "a list", "no outcome", "cut"],
)
def test_what_is_no_verdict_is_refused(text: str, rule: str) -> None:
    """Newer, foreign or cut texts are not guessed at."""
    with pytest.raises(ValueError, match=rule):
        read_stored(text)
