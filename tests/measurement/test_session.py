"""The whole experiment against scripted servers with a planted truth: the verdict must find it, no sample be lost."""

import asyncio
import collections.abc
import contextlib
import dataclasses
import errno
import os
import pathlib
import typing

import pytest
from rich.console import Console

from optimal_tp.errors import Interrupted, ServerFailed, SettingsError, StorageFailed
from optimal_tp.experiment.planned import raise_ending
from optimal_tp.experiment.session import Session
from optimal_tp.experiment.turns import Halt, OpenArena
from optimal_tp.facts.candidates import Candidate
from optimal_tp.measurement import audit
from optimal_tp.measurement.run import DegreeRecord, RunRecord
from optimal_tp.measurement.turns import key, samples_by_turn
from optimal_tp.results.retrial import retry
from optimal_tp.results.source import read
from optimal_tp.settings.workload import WorkloadSettings, parse_workloads
from optimal_tp.telemetry.console import PlainWatcher
from optimal_tp.verdict.findings import Verdict
from tests.fakes_server import Script, ScriptedServer

MODEL = "planted"
PROMPT_TOKENS = 7
OUTPUT_TOKENS = 8
QUICK: dict[str, typing.Any] = {
    "minimum_blocks": 4,
    "fixed_looks": 5,
    "resolution": 0.2,
    "least_lead": 0.15,
    "maximum_blocks": 12,
    "budget_seconds": 30,
    "proof_seconds": 0,
}
"""Few blocks and fixed looks."""


@pytest.fixture(autouse=True)
def _busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the client be late: what is tested is the experiment, not how much this machine has to spare."""
    monkeypatch.setattr(audit, "LATENESS_FLOOR_MS", 100.0)


def _settings(**changes: typing.Any) -> WorkloadSettings:
    load = {
        "prompt_tokens": PROMPT_TOKENS,
        "output_tokens": OUTPUT_TOKENS,
        "output_spread": 0,
        "warm_up_requests": 1,
        "idle_requests": 2,
        "warm_in": 1,
        "turn_length": 8,
        "turn_requests": 10,
        "bracket_turns": 3,
        "pause_seconds": 0,
        "request_timeout_seconds": 5,
    }
    data = {
        "model": {"name": MODEL, "revision": "none"},
        "degrees": [1, 2],
        "load": load | changes.pop("load", {}),
        "decision": QUICK,
        **changes,
    }
    return parse_workloads(data, file="test")


def _script(token_seconds: float) -> Script:
    """One request at a time, each token after ``token_seconds``: throughput is exactly 1 / token_seconds."""
    return Script(model=MODEL, ttft_seconds=token_seconds, gap_seconds=token_seconds, slots=1)


class _Arena(OpenArena):
    """An open arena that can tell of a failure."""

    def __init__(self, fails_after: int | None = None) -> None:
        self.turns = 0
        self._fails_after = fails_after

    async def admit(self, candidate: Candidate) -> None:  # noqa: ARG002 - the protocol's
        self.turns += 1

    def failure(self) -> str | None:
        if self._fails_after is not None and self.turns > self._fails_after:
            return "the server of TP2 ended with status 1"
        return None


@contextlib.contextmanager
def _session(
    folder: pathlib.Path, token_seconds: dict[int, float], settings: WorkloadSettings, arena: OpenArena | None = None
) -> collections.abc.Iterator[Session]:
    with contextlib.ExitStack() as servers:
        urls = {
            degree: servers.enter_context(ScriptedServer(_script(seconds))).url
            for degree, seconds in token_seconds.items()
        }
        yield Session(
            run="test",
            place="own-servers",
            settings=settings,
            degrees=tuple(
                DegreeRecord(
                    degree=degree,
                    gate=None,
                    reason=None,
                    urls=(url,),
                    cores_used=degree,
                    cores_allocated=degree,
                    ready_seconds=None,
                )
                for degree, url in urls.items()
            ),
            arena=arena or OpenArena(),
            folder=folder,
            bucket=None,
            cloudwatch=None,
            pins={},
            watcher=PlainWatcher(Console(quiet=True)),
            halt=None,  # type: ignore[arg-type]  # made in the loop that waits for it
            ignore_eos=True,
            ready_timeout_seconds=2,
        )


def _conduct(session: Session, *, halt_after_seconds: float | None = None) -> RunRecord:
    async def conduct() -> RunRecord:
        halt = Halt(event=asyncio.Event())
        if halt_after_seconds is not None:
            asyncio.get_running_loop().call_later(halt_after_seconds, halt.set, "interrupted", "Ctrl-C ended the run")
        return await dataclasses.replace(session, halt=halt).conduct()

    return asyncio.run(conduct())


def _verdict(folder: pathlib.Path) -> Verdict:
    return retry(read(str(folder))).verdict


def _settled(
    folder: pathlib.Path, token_seconds: dict[int, float], settings: WorkloadSettings, *, right: str
) -> Verdict:
    """Return the first settled verdict of three runs; each must be right or in doubt.

    A busy machine makes the servers slow for a while, and the run may then not decide: that is no failure.
    """
    for attempt in range(3):
        part = folder / str(attempt)
        part.mkdir()
        with _session(part, token_seconds, settings) as session:
            _conduct(session)
        verdict = _verdict(part)
        assert verdict.chosen in (right, None)
        if verdict.chosen is not None:
            return verdict
    pytest.fail("three runs, none settled")


@pytest.mark.parametrize(
    ("token_seconds", "best"),
    [
        pytest.param({1: 0.002, 2: 0.0016}, "TP1", id="TP2 faster, but not twice as fast"),
        pytest.param({1: 0.003, 2: 0.001}, "TP2", id="TP2 three times as fast"),
    ],
)
def test_the_planted_best_degree_is_chosen(tmp_path: pathlib.Path, token_seconds: dict[int, float], best: str) -> None:
    """The degree with more throughput per core wins, whichever it is, and the run stops as soon as it is sure."""
    verdict = _settled(tmp_path, token_seconds, _settings(), right=best)

    assert verdict.blocks <= 8


def test_a_planted_tie_ends_in_the_smaller_degree_or_in_doubt(tmp_path: pathlib.Path) -> None:
    """TP2 exactly twice as fast is a tie per core: never a win for TP2."""
    with _session(tmp_path, {1: 0.004, 2: 0.002}, _settings()) as session:
        _conduct(session)
    verdict = _verdict(tmp_path)

    assert (verdict.outcome, verdict.chosen) in {("settled", "TP1"), ("inconclusive", None)}


def test_a_degree_over_the_limit_is_not_chosen(tmp_path: pathlib.Path) -> None:
    """TP1 has the throughput, but misses the limit: TP2 is chosen, and TP1's word says why."""
    limits = {"total_latency_ms": {"percentile": 50, "at_most_ms": 30}}
    verdict = _settled(tmp_path, {1: 0.005, 2: 0.0028}, _settings(limits=limits), right="TP2")

    assert {degree.degree: degree.word for degree in verdict.degrees} == {1: "misses-slo", 2: "chosen"}


def test_tokens_are_exact_and_every_request_has_its_sample(tmp_path: pathlib.Path) -> None:
    """What the turns count as requests is on disk, each with the planned tokens as the server counted them."""
    with _session(tmp_path, {1: 0.002, 2: 0.001}, _settings()) as session:
        record = _conduct(session)
    samples = read(str(tmp_path)).samples
    closed = [sample for sample in samples if sample.rate_per_second is None]

    assert len(samples) == sum(turn.requests for turn in record.turns)
    assert {(s.prompt_tokens, s.output_tokens, len(s.token_seconds)) for s in closed} == {
        (PROMPT_TOKENS, OUTPUT_TOKENS, OUTPUT_TOKENS)
    }


def test_both_degrees_have_the_same_lengths_in_the_same_order(tmp_path: pathlib.Path) -> None:
    """Outputs vary over their range, and what one degree is asked for in a block the other is asked for too."""
    with _session(tmp_path, {1: 0.001, 2: 0.001}, _settings(load={"output_spread": 0.5})) as session:
        _conduct(session)
    closed = [sample for sample in read(str(tmp_path)).samples if sample.rate_per_second is None]
    samples = sorted(closed, key=lambda sample: sample.request)
    asked = {
        (degree, block): [s.output_tokens for s in samples if (s.degree, s.block, s.stage) == (degree, block, "block")]
        for degree in (1, 2)
        for block in (0, 1)
    }

    assert {s.output_tokens for s in samples} <= set(range(4, 13))
    assert len({s.output_tokens for s in samples}) > 3
    for block in (0, 1):
        assert len(pairs := list(zip(asked[1, block], asked[2, block], strict=False))) > 1
        assert all(one == other for one, other in pairs)
    assert asked[1, 0][:4] != asked[1, 1][:4]


def test_stages_come_in_their_order_and_blocks_are_whole(tmp_path: pathlib.Path) -> None:
    """Warm-up, idle, rising, blocks, predictions; in each block every degree once, not always in the same order."""
    decision = {"minimum_blocks": 12, "maximum_blocks": 12, "budget_seconds": 30, "proof_seconds": 0}
    with _session(tmp_path, {1: 0, 2: 0}, _settings(decision=decision)) as session:
        turns = _conduct(session).turns
    stages = list(dict.fromkeys(turn.stage for turn in turns))
    orders = {
        tuple(turn.degree for turn in turns if turn.stage == "block" and turn.block == block) for block in range(12)
    }

    assert stages == ["warm_up", "idle", "rising", "block", "held_out"]
    assert orders == {(1, 2), (2, 1)}


def test_blocks_within_limits_are_open_and_count_a_fixed_number(tmp_path: pathlib.Path) -> None:
    """Requests come at a rate, whatever the servers do; those that count are known before the turn."""
    limits = {"total_latency_ms": {"percentile": 75, "at_most_ms": 60}}
    with _session(tmp_path, {1: 0.002, 2: 0.0016}, _settings(limits=limits)) as session:
        record = _conduct(session)
    blocks = [turn for turn in record.turns if turn.stage == "block"]
    grouped = samples_by_turn(read(str(tmp_path)).samples)

    assert {turn.degree for turn in blocks} == {1, 2}
    for turn in blocks:
        assert turn.rate_per_second is not None
        assert turn.counted is not None
        assert turn.counted >= 10
        assert turn.uncounted >= 1
        assert turn.requests == len(grouped[key(turn)]) >= turn.uncounted + turn.counted


def test_one_open_turn_of_each_tests_the_prediction(tmp_path: pathlib.Path) -> None:
    """After the blocks, at a rate below the capacity, whether there are limits or none."""
    with _session(tmp_path, {1: 0.002, 2: 0.0016}, _settings()) as session:
        turns = _conduct(session).turns

    assert [(turn.stage, turn.degree) for turn in turns[-2:]] == [("held_out", 1), ("held_out", 2)]
    assert all(turn.rate_per_second is not None for turn in turns[-2:])


def test_a_budget_ends_the_blocks_in_time(tmp_path: pathlib.Path) -> None:
    """The sentence says how far it came; what it held is judged."""
    decision = QUICK | {"budget_seconds": 1.5, "minimum_blocks": 40, "maximum_blocks": 400, "fixed_looks": None}
    with _session(tmp_path, {1: 0.002, 2: 0.0016}, _settings(decision=decision)) as session:
        record = _conduct(session)

    assert record.ending == "budget"
    assert str(record.ending_detail).startswith("the budget of 2 s ended after ")
    assert _verdict(tmp_path).outcome != "settled"


def test_a_server_that_dies_ends_the_run_with_a_sentence_and_its_samples(tmp_path: pathlib.Path) -> None:
    """The samples until then are on disk; the record says how it ended."""
    with _session(tmp_path, {1: 0.002, 2: 0.001}, _settings(), arena=_Arena(fails_after=5)) as session:
        record = _conduct(session)

    assert (record.ending, record.ending_detail) == ("failed", "the server of TP2 ended with status 1")
    assert len(read(str(tmp_path)).samples) == sum(turn.requests for turn in record.turns) > 0
    with pytest.raises(ServerFailed, match=r"^the server of TP2 ended with status 1$"):
        raise_ending(record)


def test_an_interrupt_keeps_every_sample(tmp_path: pathlib.Path) -> None:
    """Requests in flight are finished or labelled; none is lost, and the verdict on the rest is no traceback."""
    with _session(tmp_path, {1: 0.002, 2: 0.001}, _settings()) as session:
        record = _conduct(session, halt_after_seconds=0.15)

    assert record.ending == "interrupted"
    assert len(read(str(tmp_path)).samples) == sum(turn.requests for turn in record.turns) > 0
    assert _verdict(tmp_path).outcome == "inconclusive"
    with pytest.raises(Interrupted, match=r"^Ctrl-C ended the run$"):
        raise_ending(record)


def test_a_full_disk_is_one_sentence_and_what_was_written_stays_whole(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ENOSPC with the thirteenth sample: those before it can be read, and the sentence names the folder."""
    real, writes = os.pwrite, iter(range(1_000_000))

    def full(descriptor: int, data: bytes, offset: int) -> int:
        if next(writes) >= 12:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", full)
    with (
        _session(tmp_path, {1: 0.002, 2: 0.001}, _settings()) as session,
        pytest.raises(StorageFailed, match=f"cannot be written to {tmp_path}.*No space left on device"),
    ):
        _conduct(session)
    monkeypatch.undo()

    assert {sample.stage for sample in read(str(tmp_path)).samples} == {"warm_up", "idle", "rising"}


@pytest.mark.parametrize("down", [pytest.param(False, id="all up"), pytest.param(True, id="one down")])
def test_wrong_targets_are_told_together(tmp_path: pathlib.Path, *, down: bool) -> None:
    """Another model, too short a length, and nobody there: each is its own sentence before any load."""
    settings = _settings(model={"name": "wanted", "revision": "none"}, load={"prompt_tokens": 100})
    script = Script(model="qwen-vllm-tp4", max_model_len=64)
    with ScriptedServer(script) as server:
        url = "http://127.0.0.1:9" if down else server.url
        with _session(tmp_path, {1: 0.001}, settings) as session:
            degrees = (
                dataclasses.replace(session.degrees[0], urls=(server.url,)),
                dataclasses.replace(session.degrees[0], degree=2, urls=(url,)),
            )
            wrong = dataclasses.replace(session, degrees=degrees, ready_timeout_seconds=0.01)
            with pytest.raises(SettingsError) as caught:
                _conduct(wrong)
    second = 1 if down else 3

    assert [problem.path for problem in caught.value.problems] == ["target 1"] * 3 + ["target 2"] * second
    assert str(caught.value.problems[0]) == (
        f"target 1: must serve wanted (workloads.model.name), but it serves qwen-vllm-tp4 (got '{server.url}'); "
        f"correct the URL, workloads.model.name or the server's --served-model-name"
    )
    assert str(caught.value.problems[1]) == (
        f"target 1: must serve TP1, but it calls itself qwen-vllm-tp4 (got '{server.url}'); swap the URLs of the "
        f"targets"
    )
    assert "its max_model_len is 64" in str(caught.value.problems[2])
    assert not list(tmp_path.iterdir())
