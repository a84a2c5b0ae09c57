"""The experiment with traffic of others: a trace's sizes and times, chats, and servers that want a key."""

import asyncio
import itertools
import json
import pathlib
import typing

import pytest

from optimal_tp.errors import SettingsError
from optimal_tp.experiment.targets import check_targets, wait_until_healthy
from optimal_tp.loadgen.command.access import Access
from optimal_tp.measurement.run import RunRecord
from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.turns import Key, key, samples_by_turn
from optimal_tp.results.source import read
from tests.fakes_candidates import TP1
from tests.fakes_run import total_limit
from tests.fakes_samples import run, whole
from tests.fakes_server import TEMPLATE_TOKENS, Script, ScriptedServer
from tests.measurement.test_session import QUICK, _conduct, _session, _settings, _verdict

SIZES = ((3, 2), (9, 5), (4, 7), (12, 3), (5, 4), (8, 1), (2, 6))
GAPS = (1, 0, 2, 0, 2, 0, 2)
"""Before each of them, in mean gaps: they come two at a time, and from the last to the first it is a mean one."""
BRIEF = {"decision": {**QUICK, "maximum_blocks": 4, "minimum_blocks": 4, "fixed_looks": 1}}


def trace_file(folder: pathlib.Path) -> str:
    """Write a trace of SIZES, two requests at a time, and one that is longer than the model; return its path."""
    rows = [
        {"timestamp": 1000 * (number // 2), "input_length": prompt, "output_length": output}
        for number, (prompt, output) in enumerate((*SIZES, (500, 5)))
    ]
    (folder / "trace.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(folder / "trace.jsonl")


def conducted(folder: pathlib.Path, **changes: typing.Any) -> tuple[RunRecord, dict[Key, list[Sample]]]:
    """Run a brief experiment; return its record, and the samples of each turn in the order of their requests."""
    with _session(folder, {1: 0.0005, 2: 0.0004}, _settings(**BRIEF, **changes)) as session:
        record = _conduct(session)
    turns = samples_by_turn(read(str(folder)).samples)
    return record, {name: sorted(own, key=lambda sample: sample.request) for name, own in turns.items()}


def sizes_of(samples: typing.Iterable[Sample]) -> list[tuple[int | None, int | None]]:
    """Return what servers counted of those that succeeded."""
    return [(sample.prompt_tokens, sample.output_tokens) for sample in samples if sample.status == "ok"]


def test_sizes_come_from_the_trace_in_its_order_for_every_candidate(tmp_path: pathlib.Path) -> None:
    """Each turn begins at a place that is drawn, the same for both degrees, and goes round."""
    record, turns = conducted(tmp_path, load={"trace": trace_file(tmp_path)})
    blocks = [turn for turn in record.turns if turn.stage == "block"]
    begun: dict[int | None, int] = {}
    for turn in blocks:
        own = sizes_of(turns[key(turn)])
        first = next(place for place in range(7) if all(own[n] == SIZES[(place + n) % 7] for n in range(len(own))))
        assert begun.setdefault(turn.block, first) == first

    assert len(blocks) == 8
    assert len(set(begun.values())) > 1
    assert record.trace is not None
    assert (record.trace.read, record.trace.fitting, record.trace.too_long) == (8, 7, 1)
    assert f"for the traffic that was sent: {record.trace.sentence}" in _verdict(tmp_path).caveats
    assert record.trace.sentence.endswith("(87.5 %); left out: 1 longer than the model length")


def test_arrivals_are_replayed_at_the_rate_that_is_asked(tmp_path: pathlib.Path) -> None:
    """Two at a time stay two at a time; of a stated rate per core each degree has its cores' worth."""
    load = {"trace": trace_file(tmp_path), "trace_use": "arrivals", "rates_per_second_per_core": [60]}
    record, turns = conducted(tmp_path, load=load, limits=total_limit(40))
    for turn in (turn for turn in record.turns if turn.stage == "block" and turn.rate_per_second):
        own, rate = turns[key(turn)][turn.uncounted - 1 :], turn.rate_per_second or 0.0
        gaps = [later.intended_seconds - sooner.intended_seconds for sooner, later in itertools.pairwise(own)]

        assert rate == pytest.approx(60 * turn.degree)
        for gap, later in zip(gaps, own[1:], strict=True):
            if later.prompt_tokens is not None:
                assert round(gap * rate, 3) == GAPS[[prompt for prompt, _ in SIZES].index(later.prompt_tokens)]


def test_a_chat_is_measured(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a server that offers nothing else: prompts have the planned length with the server's own template."""
    script = Script(model="planted", ttft_seconds=0.001, gap_seconds=0.0005, slots=1, chat_only=True, reasoning=3)
    monkeypatch.setattr("tests.measurement.test_session._script", lambda _: script)
    record, turns = conducted(tmp_path, load={"api": "chat", "prompt_tokens": TEMPLATE_TOKENS + 8})
    counted = {size for own in turns.values() for size in sizes_of(own)}
    streams = [sample for own in turns.values() for sample in own if sample.status == "ok"]

    assert (TEMPLATE_TOKENS + 8, 8) in counted
    assert {prompt for prompt, _ in counted} == {TEMPLATE_TOKENS + 8}
    assert all(len(sample.token_seconds) == sample.output_tokens for sample in streams)
    assert record.pins["prompts"] == "8 random words in the server's chat template, unique"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            None,
            "must name a readable file (No such file or directory) (got 'PATH'); name another file",
        ),
        ("prompt_tokens,output_tokens\n90,90\n", "PATH has no request within 128 tokens, prompt and output together; "),
    ],
)
def test_a_bad_trace_ends_a_run_before_anybody_is_asked(
    tmp_path: pathlib.Path, text: str | None, sentence: str
) -> None:
    """The servers need not even run."""
    path = tmp_path / "t.csv"
    if text is not None:
        path.write_text(text)
        sentence += "1 was read (got 'PATH'); name another file"
    with (
        _session(tmp_path, {}, _settings(load={"trace": str(path)})) as session,
        pytest.raises(SettingsError, match=whole(f"workloads.load.trace: {sentence.replace('PATH', str(path))}")),
    ):
        _conduct(session)


def test_servers_that_want_a_key_get_it() -> None:
    """Without it the refusal names the way in."""
    settings = _settings(model={"name": "planted", "revision": "none"})
    way_in = Access(headers=(("Authorization", "Bearer s3cret"),))
    with ScriptedServer(Script(model="planted", key="s3cret")) as server:
        targets = {TP1: (server.url,)}
        run(check_targets(targets, settings, ignore_eos=True, access=way_in))
        with pytest.raises(SettingsError, match=r"401.*; give the servers' key with --key-variable or --key-file$"):
            run(check_targets(targets, settings, ignore_eos=True))


def test_a_server_without_health_is_asked_for_its_models() -> None:
    """Nobody waits for a path that is not there."""

    async def down(url: str) -> list[str]:
        return await wait_until_healthy({TP1: (url,)}, timeout_seconds=0, stop=asyncio.Event())

    with ScriptedServer(Script(health=False)) as server:
        assert run(down(server.url)) == []
