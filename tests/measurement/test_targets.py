"""Every target must serve one completion as the load asks for it, or nothing is measured."""

import pathlib
import typing

import pytest

from optimal_tp.errors import Exit, ServerFailed, SettingsError
from optimal_tp.experiment.targets import check_targets
from optimal_tp.settings.workload import parse_workloads
from tests.fakes_candidates import TP1, TP2
from tests.fakes_samples import run
from tests.fakes_server import Script, ScriptedServer
from tests.measurement.test_session import _conduct, _session, _settings

ANSWERED = "must answer a request of the load; the answer to POST /v1/completions was: "
NO_EOS = "run with --no-ignore-eos (outputs may then be shorter)"
NO_IDS = "set workloads.load.prompt to seed or file if the server accepts no token ids"


def checked(script: Script, *, ignore_eos: bool = True, **sections: typing.Any) -> str:
    """Check a server of ``script`` as TP2; return the sentence of refusal without its address, empty for none."""
    load = {"request_timeout_seconds": 0.3}
    settings = parse_workloads({"model": {"name": "scripted"}, "load": load, **sections}, file="x.yaml")
    with ScriptedServer(script) as server:
        try:
            run(check_targets({TP2: (server.url,)}, settings, ignore_eos=ignore_eos))
        except SettingsError as error:
            return str(error).replace(server.url, "URL")
    return ""


@pytest.mark.parametrize("script", [Script(), Script(tokenizer=False), Script(streams=False), Script(usage=False)])
def test_a_target_that_serves_is_taken(script: Script) -> None:
    """Prompts of token ids and of words, a stream and one JSON: what was served can be measured."""
    assert checked(script) == ""


@pytest.mark.parametrize(
    ("script", "said", "remedy"),
    [
        (
            Script(refused_key="ignore_eos"),
            "HTTP status 400: Unrecognized request argument: ignore_eos",
            NO_EOS,
        ),
        (
            Script(refused_key="stream_options"),
            "HTTP status 400: Unrecognized request argument: stream_options",
            "serve with a release that supports stream_options, which reports the number of tokens",
        ),
        (
            Script(chat_only=True),
            "HTTP status 404: Not Found",
            "set workloads.load.api to chat if the server supports it",
        ),
        (
            Script(refused_key="temperature"),
            "HTTP status 400: Unrecognized request argument: temperature",
            f"{NO_EOS}; or {NO_IDS}; or start the server so that it accepts the request",
        ),
        (
            Script(fault="http_500"),
            "HTTP status 500: boom",
            "read the server's log; if it was only slow, raise workloads.load.request_timeout_seconds",
        ),
        (
            Script(fault="no_answer"),
            "no complete response within 0.3 s",
            "read the server's log; if it was only slow, raise workloads.load.request_timeout_seconds",
        ),
        (
            Script(fault="stream_error"),
            """the stream reported an error: {"message": "engine died"}""",
            "read the server's log; if it was only slow, raise workloads.load.request_timeout_seconds",
        ),
    ],
    ids=["ignore_eos", "stream_options", "chat alone", "another key", "error", "no answer", "error in the stream"],
)
def test_a_refusal_is_quoted_with_the_way_out(script: Script, said: str, remedy: str) -> None:
    """The server's own sentence says what is wrong, the remedy what to do."""
    assert checked(script) == f"target 2: {ANSWERED}{said} (got 'URL'); {remedy}"


def test_what_passes_is_no_refusal() -> None:
    """A server that fails its first completion and serves the second one is taken."""
    assert checked(Script(fault="http_500", fault_every=2)) == ""
    with ScriptedServer(Script(fault="http_429", fault_every=2)) as server:
        settings = parse_workloads({"model": {"name": "scripted"}}, file="x.yaml")
        for _ in range(2):
            run(check_targets({TP1: (server.url,)}, settings, ignore_eos=False))


def test_a_refused_ignore_eos_is_served_without_it() -> None:
    """The way out leads out."""
    assert checked(Script(refused_key="ignore_eos"), ignore_eos=False) == ""


def test_limits_on_tokens_take_a_stream() -> None:
    """One JSON has no first token."""
    limits = {"ttft_ms": {"at_most_ms": 100}}

    assert checked(Script(streams=False), limits=limits) == (
        "target 2: must stream its answers when asked (stream: true), or ttft_ms cannot be measured (got 'URL'); "
        "remove workloads.limits.ttft_ms"
    )


def test_a_run_at_a_server_that_refuses_everything_does_not_settle(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends before anything is measured, with every target that refused."""
    monkeypatch.setattr("tests.measurement.test_session._script", lambda _: Script(model="planted", chat_only=True))
    with (
        _session(tmp_path, {1: 0, 2: 0}, _settings()) as session,
        pytest.raises(SettingsError, match=r"^target 1: .* 404: Not Found .*\ntarget 2: .* 404: Not Found "),
    ):
        _conduct(session)


def test_targets_that_cannot_be_reached_are_failed_servers() -> None:
    """Nothing in the settings need be wrong: the exit status is that of `load`, and each target has its sentence."""
    settings = parse_workloads({"model": {"name": "scripted"}}, file="x.yaml")
    targets = {TP1: ("http://127.0.0.1:9",), TP2: ("http://127.0.0.1:19",)}
    with pytest.raises(ServerFailed) as caught:
        run(check_targets(targets, settings, ignore_eos=False))

    assert caught.value.exit_status is Exit.FAILED
    assert [line.partition(": ")[0] for line in str(caught.value).splitlines()] == ["target 1", "target 2"]
    assert str(caught.value).endswith("(got 'http://127.0.0.1:19'); start the server, or correct its URL")


def test_a_server_that_answers_otherwise_is_a_bad_address() -> None:
    """Somebody is there, but no list of models: the target is wrong, whether or not another one is down."""
    settings = parse_workloads({"model": {"name": "scripted"}}, file="x.yaml")
    with ScriptedServer(Script(key="s3cret")) as server, pytest.raises(SettingsError) as caught:
        run(check_targets({TP1: (server.url,), TP2: ("http://127.0.0.1:9",)}, settings, ignore_eos=False))

    assert [problem.path for problem in caught.value.problems] == ["target 1", "target 2"]
