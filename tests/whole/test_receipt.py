"""The receipt: node-seconds of what was there, dollars, and what is not known."""

import dataclasses
import json
import typing

import jsonschema
import pytest

from optimal_tp.measurement.node_bill import NodeSpan, Receipt, Tariff, bill, decode_receipt, receipt
from optimal_tp.measurement.run import decode_run, encode_run
from optimal_tp.report.claims import claims, receipt_claim
from optimal_tp.report.document import document, encode_document, schema
from optimal_tp.report.tables import receipt_table, tables
from optimal_tp.settings.workload import Price
from optimal_tp.verdict.analysis import analyse
from optimal_tp.verdict.rule import decide
from tests.fakes_run import planted_run, settings

PRICE = Price(usd_per_hour=2.25, billed_cores=4, source="a test", date="2026-10-03")
TARIFF = Tariff(price=PRICE, idle_usd_per_hour=0.36)
FROM, UNTIL = "2026-11-24T09:30:00+00:00", "2026-11-24T11:00:00+00:00"
BEFORE = f"nodes that ended before {FROM}"


def node(name: str, launched: str, gone: str | None = None, **changes: str) -> NodeSpan:
    """Return a trn2.3xlarge that was launched, and perhaps ended, at these times of the day."""
    fields: dict[str, typing.Any] = {"instance_type": "trn2.3xlarge", "capacity_type": "reserved", "seen": UNTIL}
    return NodeSpan(
        name=name,
        launched=f"2026-11-24T{launched}:00Z",
        gone=None if gone is None else f"2026-11-24T{gone}:00+00:00",
        **{**fields, **changes},
    )


def billed(*nodes: NodeSpan, tariff: Tariff = TARIFF, verdicts: int = 1, faults: tuple[str, ...] = ()) -> Receipt:
    """Return the receipt of ``nodes``."""
    return receipt(nodes, tariff, watched_from=FROM, watched_until=UNTIL, verdicts=verdicts, faults=faults)


def test_nodes_are_paid_from_launch_to_end() -> None:
    """One of 60 minutes and one of 100: 160 minutes at 2.25, and 2 hours of what ran around them."""
    found = billed(node("a", "09:00", "10:00"), node("b", "09:10", "10:50"))

    assert [(total.instance_type, total.nodes, total.seconds) for total in found.totals] == [("trn2.3xlarge", 2, 9600)]
    assert found.neuron_usd == pytest.approx(160 / 60 * 2.25)
    assert found.idle_usd == pytest.approx(2 * 0.36)
    assert found.total_usd == pytest.approx(6.72)
    assert found.total_usd_per_verdict == pytest.approx(6.72)
    assert found.unknown == (BEFORE,)


def test_a_node_that_is_still_there_is_counted_so_far() -> None:
    """And the receipt says that it goes on costing."""
    found = billed(node("a", "10:00", "10:30"), node("b", "10:00"))

    assert found.totals[0].seconds == 5400
    assert found.unknown[1] == f"the cost of 1 of 2 nodes after {UNTIL}, when it was still there"


def test_types_are_counted_apart() -> None:
    """Their price is the settings', which is one type's, and that is said."""
    found = billed(node("a", "10:00", "11:00"), node("b", "10:00", "11:00", instance_type="trn2.48xlarge"))

    assert [total.instance_type for total in found.totals] == ["trn2.3xlarge", "trn2.48xlarge"]
    assert found.unknown[-1] == "the prices of 2 node types: all are counted at the price of one"


def test_without_a_price_seconds_remain() -> None:
    """Dollars are not known, neither 0 nor the idle part alone."""
    found = billed(node("a", "10:00", "11:00"), tariff=Tariff(price=None, idle_usd_per_hour=0.36))

    assert (found.neuron_usd, found.total_usd, found.total_usd_per_verdict) == (None, None, None)
    assert found.totals[0].seconds == 3600
    assert "the price of a node" in found.unknown


@pytest.mark.parametrize(("verdicts", "each"), [(0, None), (1, 2.61), (3, 0.87)])
def test_dollars_per_verdict(verdicts: int, each: float | None) -> None:
    """Of nothing settled there is no price per verdict; a sweep's is shared by its models."""
    found = billed(node("a", "10:00", "11:00"), verdicts=verdicts).total_usd_per_verdict

    assert found == (None if each is None else pytest.approx(each))


def test_no_node_is_no_dollar_and_no_verdict_for_free() -> None:
    """Nothing seen is not nothing spent: the sentence says what could not be seen."""
    found = billed(faults=("4 of 4 looks at the nodes failed, the last: forbidden",))

    assert (found.idle_usd, found.totals) == (None, ())
    assert receipt_claim(found) == (
        f"No Neuron node was seen. Not known: {BEFORE}; 4 of 4 looks at the nodes failed, the last: forbidden."
    )


def test_a_clock_that_steps_back_gives_no_negative_seconds() -> None:
    """A node that ends before it begins was there for no time that is known."""
    assert node("a", "11:00", "10:00").seconds == 0


def test_the_claim_has_seconds_dollars_and_doubt() -> None:
    """Every figure of the receipt, in one sentence."""
    assert receipt_claim(billed(node("a", "09:00", "10:00"), node("b", "09:10", "10:50"))) == (
        f"2 x trn2.3xlarge, 2.7 h in total: $6.00 and about $0.72 for the cluster around them; $6.72 per verdict. Not "
        f"known: {BEFORE}."
    )


def test_a_stored_receipt_comes_back() -> None:
    """Its sums, which stand beside it in receipt.json, are computed and not read."""
    paid = billed(node("a", "09:00", "10:00"), node("b", "09:10"))
    text = json.dumps(dataclasses.asdict(bill(paid)) | {"usd": -1})

    assert decode_receipt(text) == paid


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{}", "nodes must be set in a receipt"),
        ("[]", r"all of it must not be \[\] in a receipt"),
        ("", "Expecting value: .*"),
    ],
)
def test_a_text_that_holds_no_receipt_is_refused(text: str, sentence: str) -> None:
    """By the first key that is not there."""
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        decode_receipt(text)


def test_local_runs_have_no_receipt() -> None:
    """No word of it in claims, tables or verdict.json."""
    record, samples = planted_run(section=settings())
    analysis = analyse(record, samples, decide(record, samples))
    found = document(analysis)

    assert [claim for claim in claims(analysis) if claim.topic == "Receipt"] == []
    assert [table for table in tables(analysis, found) if table.heads[0] == "Node"] == []
    assert found.receipt is None
    assert receipt_table(None).rows == ()


def test_the_report_shows_the_receipt_and_a_stored_run_keeps_it() -> None:
    """In the claims, in a table, in verdict.json by its schema; and again from run.json."""
    record, samples = planted_run(section=settings())
    paid = billed(node("a", "09:00", "10:00"), node("b", "09:10"))
    record = decode_run(encode_run(dataclasses.replace(record, receipt=paid)))
    analysis = analyse(record, samples, decide(record, samples))
    found = json.loads(encode_document(document(analysis)))

    assert record.receipt == paid
    jsonschema.validate(found, json.loads(schema()))
    assert found["receipt"]["usd"] == pytest.approx(paid.total_usd)
    assert found["receipt"]["nodes"][1]["gone"] is None
    assert [claim.sentence for claim in claims(analysis) if claim.topic == "Receipt"] == [receipt_claim(paid)]
    (table,) = (table for table in tables(analysis, document(analysis)) if table.heads[0] == "Node")
    assert [row[4] for row in table.rows] == ["2026-11-24T10:00:00+00:00", f"still there at {UNTIL}"]
