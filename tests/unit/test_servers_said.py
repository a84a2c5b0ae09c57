"""What servers counted is said: in the verdict's caveats, in verdict.json and in the report's table."""

import dataclasses
import typing

import pytest

from optimal_tp.measurement.counters.reading import Gauges, ServerCounts, Totals
from optimal_tp.measurement.counters.remarks import remarks
from optimal_tp.measurement.run import RunRecord, decode_run, encode_run
from optimal_tp.report.servers import server_figures, server_rows
from optimal_tp.verdict.rule import decide
from tests.fakes_run import SEED_EXPERIMENT, planted_run, settings, total_limit

PAIR = (dataclasses.replace(SEED_EXPERIMENT[0], replicas=2), SEED_EXPERIMENT[1])  # on two cores each
SECTION = settings(degrees=[1, 2], limits=total_limit(310, 75))


def counts(seconds: float = 10.0, **totals: typing.Any) -> ServerCounts:
    """Return what a server says of a turn."""
    return ServerCounts(seconds=seconds, counted=Totals(**totals), before=Gauges(), after=Gauges())


def with_counts(record: RunRecord, found: dict[int, ServerCounts], *, starts: int = 3) -> RunRecord:
    """Return ``record`` with ``found`` by degree in every turn of a block, on several starts."""
    turns = tuple(
        dataclasses.replace(
            turn,
            server_start=(turn.block or 0) % starts,
            servers=(found[turn.degree],) if turn.degree in found and turn.block is not None else (),
        )
        for turn in record.turns
    )
    return dataclasses.replace(record, turns=turns)


def test_preemptions_are_a_caveat_with_their_count() -> None:
    """Whose servers, how often, and in how many turns."""
    record, samples = planted_run(PAIR, SECTION)
    told = with_counts(record, {1: counts(preemptions=0), 2: counts(preemptions=2)})
    turns = sum(turn.degree == 2 and turn.block is not None for turn in record.turns)

    assert decide(told, samples).caveats == (
        (
            f"in {turns} turns the servers of TP2 ran out of KV cache {2 * turns} times and recomputed a request "
            "(preemption): allow fewer requests at a time or give the KV cache more memory"
        ),
    )


def test_servers_that_say_nothing_are_no_caveat() -> None:
    """Absent counters are not zeros."""
    record, samples = planted_run(PAIR, SECTION)

    assert decide(with_counts(record, {1: counts()}), samples).caveats == ()


@pytest.mark.parametrize(
    ("totals", "said"),
    [
        ({"preemptions": 1}, ["ran out of KV cache once and recomputed a request (preemption): "]),
        ({"prefix_queries": 200, "prefix_hits": 50}, ["took 50 of 200 prompt tokens (25 %) from the prefix cache, "]),
        ({"prefix_queries": 20_000, "prefix_hits": 50}, []),
        ({"process_cpu_seconds": 9.7}, ["used 0.97 CPU cores in the process that answers: "]),
        ({"process_cpu_seconds": 8.0}, []),
        ({"process_cpu_seconds": 38.0}, []),
        ({}, []),
    ],
    ids=["preempted", "hits", "a hit or two", "busy", "not busy", "computes the model", "nothing"],
)
def test_what_a_figure_would_not_show_is_remarked(totals: dict[str, typing.Any], said: list[str]) -> None:
    """Preemptions, hits that prompts do not imply, a front end at its core's end."""
    found = list(remarks([counts(**totals)]))

    assert [one[: len(words)] for one, words in zip(found, said, strict=True)] == said


def test_hits_that_prompts_imply_are_not_remarked() -> None:
    """Prompts that come again are in the cache; of chats a part is the template."""
    found = [counts(prefix_queries=200, prefix_hits=150)]

    assert list(remarks(found, are_prompts_alike=True)) == []
    assert next(remarks(found, is_chat=True)).endswith("from the prefix cache; chats begin with the same template")


def test_the_table_has_a_row_for_each_server_that_tells() -> None:
    """Means are over all turns, weighted by what they are of."""
    record, _ = planted_run(PAIR, SECTION)
    own = counts(
        requests=4,
        generation_tokens=1000,
        prefix_queries=10,
        prefix_hits=1,
        queue_seconds=0.08,
        queue_requests=4,
        process_cpu_seconds=2.5,
    )
    told = with_counts(record, {1: own})
    turns = sum(turn.degree == 1 and turn.block is not None for turn in record.turns)

    (row,) = server_rows(server_figures(told))
    assert row == ("TP1 server 1", str(turns), f"{4 * turns:,}", f"{1000 * turns:,}", "—", "10 %", "20.0", "0.25")


def test_counts_survive_the_record() -> None:
    """A run that goes on has them as they were; a record without them has none."""
    record, _ = planted_run(PAIR, SECTION)
    told = with_counts(record, {1: counts(preemptions=2, queue_seconds=0.5)})

    assert decode_run(encode_run(told)).turns == told.turns
