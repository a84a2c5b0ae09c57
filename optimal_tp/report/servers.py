"""What the servers counted themselves in the turns that are compared, as ``verdict.json`` has it."""

import dataclasses
import typing

from optimal_tp.facts.candidates import Candidate, CandidateRow
from optimal_tp.measurement.counters.reading import ServerCounts
from optimal_tp.measurement.counters.remarks import total
from optimal_tp.measurement.estimate import MISSING, percent
from optimal_tp.measurement.run import RunRecord
from optimal_tp.measurement.run_audit import JUDGED
from optimal_tp.measurement.turns import of


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServerFigures(CandidateRow):
    """One server over all blocks, proofs and predictions that were tested. None is: it does not say."""

    replica: int
    """From 0."""
    turns: int
    """Turns of which it told."""
    prompt_tokens: int | None
    generation_tokens: int | None
    requests: int | None
    preemptions: int | None
    turns_with_preemptions: int
    prefix_hit_share: float | None
    """Prompt tokens that the prefix cache had, of those that were looked up, 0 to 1."""
    mean_queue_ms: float | None
    """Mean time of a request in the server's queue."""
    process_cores: float | None
    """CPU cores that the answering process used on average; not those of its engine and workers."""
    padded_tokens: int | None
    padded_sequences: int | None
    start_up_seconds: float | None
    compile_seconds: float | None
    load_seconds: float | None


def server_figures(record: RunRecord) -> tuple[ServerFigures, ...]:
    """Return one row per server that told of a turn, by candidate and replica."""
    told: dict[tuple[Candidate, int], list[ServerCounts]] = {}
    for turn in record.turns:
        for replica, counts in enumerate(turn.servers if turn.stage in JUDGED else ()):
            if counts is not None and not counts.began_anew:
                told.setdefault((of(turn), replica), []).append(counts)
    return tuple(_figures(candidate, replica, own) for (candidate, replica), own in sorted(told.items()))


def _figures(candidate: Candidate, replica: int, own: list[ServerCounts]) -> ServerFigures:
    hits, queries = total(own, "prefix_hits"), total(own, "prefix_queries")
    queued, waited = total(own, "queue_requests"), total(own, "queue_seconds")
    cpu = [one for one in own if one.counted.process_cpu_seconds is not None]
    seconds = sum(one.seconds for one in cpu)
    last = own[-1]
    return ServerFigures(
        degree=candidate.degree,
        max_num_seqs=candidate.max_num_seqs,
        replica=replica,
        turns=len(own),
        prompt_tokens=_whole(own, "prompt_tokens"),
        generation_tokens=_whole(own, "generation_tokens"),
        requests=_whole(own, "requests"),
        preemptions=_whole(own, "preemptions"),
        turns_with_preemptions=sum(bool(one.counted.preemptions) for one in own),
        prefix_hit_share=None if hits is None or not queries else hits / queries,
        mean_queue_ms=None if waited is None or not queued else 1000 * waited / queued,
        process_cores=None if not seconds else (total(cpu, "process_cpu_seconds") or 0.0) / seconds,
        padded_tokens=_whole(own, "padded_tokens"),
        padded_sequences=_whole(own, "padded_sequences"),
        start_up_seconds=last.start_up_seconds,
        compile_seconds=last.compile_seconds,
        load_seconds=last.load_seconds,
    )


def _whole(own: list[ServerCounts], name: str) -> int | None:
    found = total(own, name)
    return None if found is None else round(found)


SERVERS_CAPTION: typing.Final = (
    "The servers' own counters (/metrics) in the turns above; CPU cores cover only the answering process"
)
SERVERS_HEADS: typing.Final = (
    *("Server", "Turns", "Requests", "Tokens", "Preemptions", "From prefix cache", "Mean queue in ms", "CPU cores"),
)


def server_rows(servers: tuple[ServerFigures, ...]) -> tuple[tuple[str, ...], ...]:
    """Return the table's row of each server that tells what it counts."""
    return tuple(
        (
            f"{one.name} server {one.replica + 1}",
            str(one.turns),
            _count(one.requests),
            _count(one.generation_tokens),
            _count(one.preemptions),
            MISSING if one.prefix_hit_share is None else percent(one.prefix_hit_share),
            MISSING if one.mean_queue_ms is None else f"{one.mean_queue_ms:,.1f}",
            MISSING if one.process_cores is None else f"{one.process_cores:.2f}",
        )
        for one in servers
    )


def _count(value: int | None) -> str:
    return MISSING if value is None else f"{value:,}"
