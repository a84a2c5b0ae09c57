"""Servers that fail: every failure is a labelled sample, and none is lost or hidden."""

import dataclasses
import pathlib
import ssl
import subprocess
import sys
import threading

import pytest

from optimal_tp.loadgen.command.access import Access
from optimal_tp.loadgen.transport import TcpTransport
from optimal_tp.measurement.samples import Status
from optimal_tp.plan.schedule import Closed, Constant
from optimal_tp.results.source import read
from tests.fakes_samples import drive_once
from tests.fakes_server import Fault, Script, ScriptedServer
from tests.measurement.test_session import QUICK, _conduct, _session, _settings

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("fault", "status", "http_status", "detail"),
    [
        ("close_at_once", "closed_early", None, "the server closed the connection before the response was complete"),
        ("close_early", "closed_early", 200, "the server closed the connection before the response was complete"),
        ("no_answer", "timeout", None, "no complete response within 0.2 s"),
        ("slow_head", "timeout", None, "no complete response within 0.2 s"),
        ("http_429", "http_error", 429, 'HTTP status 429, retry after 1 s: {"error":{"message":"slow down"}}'),
        ("http_500", "http_error", 500, 'HTTP status 500: {"error":{"message":"boom"}}'),
        ("endless", "bad_response", 200, "the stream did not end after 80 chunks"),
        ("big_head", "bad_response", None, "the response's head takes more than 65536 bytes"),
        ("no_done", "closed_early", 200, "the stream ended without data: [DONE]"),
        ("garbage", "bad_response", 200, "an event of the stream is not a JSON object: b'{broken'"),
        ("stream_error", "bad_response", 200, 'the stream reported an error: {"message": "engine died"}'),
    ],
)
def test_a_fault_is_a_labelled_sample(fault: Fault, status: Status, http_status: int | None, detail: str) -> None:
    """Every second request fails; the others succeed, and the label says what happened."""
    with ScriptedServer(Script(fault=fault, fault_every=2)) as server:
        done, samples = drive_once(
            server.url, arrivals=Constant(rate_per_second=200), requests=4, request_timeout_seconds=0.2
        )

    assert done.intended == len(samples) == 4
    assert [sample.status for sample in samples].count("ok") == 2
    bad = [sample for sample in samples if sample.status != "ok"]
    assert {(sample.status, sample.http_status, sample.detail) for sample in bad} == {(status, http_status, detail)}
    assert all(sample.total_latency_ms is None and sample.output_tokens is None for sample in bad)


def test_a_server_that_is_not_there_is_refused() -> None:
    """Requests that were never sent have no send time; their pauses keep a closed loop from filling the disk."""
    with ScriptedServer() as server:
        url = server.url
    done, samples = drive_once(url, seconds=0.3)

    assert {sample.status for sample in samples} == {"refused"}
    assert {sample.sent_seconds for sample in samples} == {None}
    assert (done.intended, done.sent) == (len(samples), 0)
    assert len(samples) < 6


def test_no_place_within_the_time_out_is_a_time_out() -> None:
    """An arrival that waits too long for a free place fails as one, never sent."""
    with ScriptedServer(Script(fault="no_answer")) as server:
        _, samples = drive_once(
            server.url,
            arrivals=Constant(rate_per_second=100),
            requests=3,
            max_in_flight=1,
            request_timeout_seconds=0.1,
        )

    assert [sample.status for sample in samples] == ["timeout"] * 3
    assert samples[1].detail == "no complete response within 0.1 s"
    assert samples[2].detail == "not sent within 0.1 s: every place was taken"
    assert samples[2].sent_seconds is None


def test_a_server_that_dies_and_comes_back_loses_no_sample() -> None:
    """Killed in the middle and restarted on the same port: failures are labelled, then requests succeed again."""
    first = ScriptedServer(Script(ttft_seconds=0.005), process=True)
    with first:
        restarted = ScriptedServer(Script(ttft_seconds=0.005, port=first.port), process=True)

        def restart() -> None:
            first.end()
            restarted.__enter__()

        timer = threading.Timer(0.2, restart)
        timer.start()
        try:
            done, samples = drive_once(first.url, arrivals=Closed(concurrency=4), seconds=1.2)
        finally:
            timer.join()
            restarted.end()

    statuses = [sample.status for sample in samples]
    assert done.intended == len(samples)
    assert [sample.request for sample in samples] == list(range(len(samples)))
    assert set(statuses) <= {"ok", "closed_early", "refused"}
    assert statuses.count("closed_early") == 4
    assert statuses[0] == statuses[-1] == "ok"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Return a PEM file with a key and a certificate for 127.0.0.1."""
    folder = tmp_path_factory.mktemp("tls")
    path = folder / "server.pem"
    command = [
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "1"),
        *("-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")),
    ]
    subprocess.run(command, check=True, capture_output=True)
    path.write_text((folder / "key.pem").read_text() + (folder / "certificate.pem").read_text())
    return path


def test_the_command_trusts_the_certificate_that_it_is_told_to(
    certificate: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """A server with a certificate of its own: refused with the remedy; with ``--ca-file`` its streams are read."""
    with ScriptedServer(Script(certificate=str(certificate))) as server:
        words = [sys.executable, "-m", "optimal_tp", "load", server.url, "--stream", "--requests", "3"]
        words += ["--limit-ms", "60000", "--output", str(tmp_path / "r.json")]
        refused = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=False, timeout=30)
        words += ["--ca-file", str(certificate)]
        trusted = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=False, timeout=30)

    assert refused.returncode == 2
    assert "certificate verify failed" in refused.stderr
    assert refused.stderr.endswith("; name its certificate with --ca-file\n")
    assert (trusted.returncode, trusted.stderr) == (0, "")
    assert trusted.stdout.startswith("requests   3 ok, 0 failed in ")


def test_tls_is_spoken_and_checked(certificate: pathlib.Path) -> None:
    """With the certificate trusted, requests succeed; with the system's trust alone, they are refused and say why."""
    trusting = TcpTransport(ssl.create_default_context(cafile=certificate))
    with ScriptedServer(Script(certificate=str(certificate))) as server:
        _, good = drive_once(server.url, requests=3, seams={"transport": trusting})
        _, bad = drive_once(server.url, requests=1)

    assert [(sample.status, sample.output_tokens) for sample in good] == [("ok", 4)] * 3
    assert bad[0].status == "refused"
    assert "certificate verify failed" in (bad[0].detail or "")


def test_a_run_uses_key_and_certificate_and_keeps_neither(
    certificate: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every request carries the key, the certificate is trusted, and nothing that is kept has the key."""
    script = Script(
        model="planted",
        ttft_seconds=0.001,
        gap_seconds=0.0005,
        slots=1,
        key="s3cret",
        certificate=str(certificate),
    )
    monkeypatch.setattr("tests.measurement.test_session._script", lambda _: script)
    brief = {**QUICK, "maximum_blocks": 4, "minimum_blocks": 4, "fixed_looks": 1}
    way_in = Access(headers=(("Authorization", "Bearer s3cret"),), ca_file=certificate)
    with _session(tmp_path, {1: 0.0005, 2: 0.0004}, _settings(decision=brief)) as session:
        _conduct(dataclasses.replace(session, access=way_in))
    statuses = {sample.status for sample in read(str(tmp_path)).samples}
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())

    assert "ok" in statuses
    assert not {"http_error", "refused"} & statuses
    assert b"s3cret" not in kept
