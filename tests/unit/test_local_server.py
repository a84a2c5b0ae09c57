"""How a local server is started, and how much of its cores others took."""

import dataclasses
import pathlib
import sys
import time
import types
import typing

import psutil
import pytest

from optimal_tp.errors import CapacityError, ServerFailed
from optimal_tp.facts.candidates import Candidate
from optimal_tp.local.endpoints import local_endpoints
from optimal_tp.local.profile import LocalSettings
from optimal_tp.local.program import _check_python, _with_own_name
from optimal_tp.local.server import ENTRY, LocalServer, ServerPlan, command, environment
from optimal_tp.local.startup import MachineArena, _late, _Reading, foreign_share, log_path
from optimal_tp.local.weights import TOKENIZER
from optimal_tp.settings.workload import Model, WorkloadSettings
from tests.fakes_candidates import TP1, TP2


def _plan(
    *, degree: int = 2, random_weights: bool = True, model: pathlib.Path = pathlib.Path("/models/own")
) -> ServerPlan:
    return ServerPlan(
        candidate=Candidate(degree),
        cores=tuple(range(degree)),
        port=8101,
        model_directory=model,
        random_weights=random_weights,
        model=Model(max_num_seqs=4, max_model_len_tokens=128),
        local=LocalSettings(kv_cache_gib=3),
        log=pathlib.Path("/tmp/log"),  # noqa: S108 - never opened
        python=pathlib.Path("/env/bin/python"),
        entry=ENTRY,
    )


def _option(name: str, words: list[str]) -> str:
    return words[words.index(name) + 1]


def test_the_command_carries_degree_batch_and_length() -> None:
    """What the settings say is what vLLM is told; it listens on loopback only."""
    words = command(_plan())

    assert words[:3] == ["/env/bin/python", "-m", ENTRY]
    assert [
        _option(name, words)
        for name in ("--tensor-parallel-size", "--max-num-seqs", "--max-model-len", "--host", "--port", "--dtype")
    ] == ["2", "4", "128", "127.0.0.1", "8101", "bfloat16"]


def test_a_shell_has_no_say_in_our_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key would lock our own client out, a proxy would stand between, and a switch would change what is measured."""
    for name in [
        "VLLM_API_KEY",
        "VLLM_LOGGING_LEVEL",
        "http_proxy",
        "HTTPS_PROXY",
        "OPENAI_API_KEY",
        "HF_TOKEN",
        "AWS_PROFILE",
    ]:
        monkeypatch.setenv(name, "of the shell")
    monkeypatch.setenv("LD_PRELOAD", "/of/the/user.so")
    found = environment(_plan())

    assert "of the shell" not in found.values()
    assert found["LD_PRELOAD"] == "/of/the/user.so"
    assert found["HF_HUB_OFFLINE"] == "1"


def test_a_model_of_ones_own_has_its_own_name() -> None:
    """The report says what was served: the folder's name, not the profile's model."""
    profile = WorkloadSettings()

    assert _with_own_name(profile, pathlib.Path("/models/SmolLM2-135M")).model.name == "SmolLM2-135M"
    assert _with_own_name(profile, None).model.name == profile.model.name


def test_the_served_names_are_the_models_and_the_degrees() -> None:
    """Requests carry the first, the identity check reads the second."""
    words = command(_plan(degree=4))
    names = words[words.index("--served-model-name") + 1 :][:2]

    assert names == ["Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B-tp4"]


def test_a_tokenizer_that_lies_apart_is_named(tmp_path: pathlib.Path) -> None:
    """Only of a made model: a folder of that name in the user's own is none of ours."""
    (tmp_path / TOKENIZER).mkdir()
    made, own = (_plan(random_weights=made, model=tmp_path) for made in (True, False))

    assert _option("--tokenizer", command(made)) == str(tmp_path / TOKENIZER)
    assert "--tokenizer" not in command(own)
    assert "--tokenizer" not in command(_plan())


@pytest.mark.parametrize("random_weights", [True, False])
def test_only_made_models_get_random_weights(*, random_weights: bool) -> None:
    """A user's model is loaded as it is."""
    assert ("dummy" in command(_plan(random_weights=random_weights))) == random_weights


def test_a_machine_without_vllm_is_told(tmp_path: pathlib.Path) -> None:
    """The command that installs it is named."""
    python = tmp_path / "python"

    with pytest.raises(CapacityError) as refused:
        _check_python(python)
    assert str(refused.value) == f"{python} must exist to run vLLM; run `make local` to install it or set VLLM=PYTHON"


def test_a_server_that_loads_too_long_is_told() -> None:
    """With its log, the log's end and the setting."""
    loading = types.SimpleNamespace(plan=_plan(), last_words=lambda: "Loading weights")

    assert str(_late(typing.cast("LocalServer", loading), 60)) == (
        "the server of TP2 was not ready after local.ready_timeout_seconds (60 s); its log /tmp/log ends: Loading "
        "weights; raise the timeout in the profile if the server was still loading"
    )


@pytest.mark.parametrize(
    ("log", "line"),
    [
        (
            b"(EngineCore pid=7) INFO 11-27 23:06:03 [core.py:133] Loading weights took 3.2 s\n",
            "Loading weights took 3.2 s",
        ),
        ("(APIServer pid=2) INFO 11-27 23:05:38 [api.py:3] Using it\n[x]\n  ▄▄ ▄█\n\n".encode(), "Using it"),
        (b"", "starting"),
    ],
    ids=["prefix", "banner", "empty"],
)
def test_the_last_line_of_a_log_is_told_without_its_head(tmp_path: pathlib.Path, log: bytes, line: str) -> None:
    """While a server loads, its own last word says what it does."""
    path = tmp_path / "log"
    path.write_bytes(log)
    server = LocalServer.__new__(LocalServer)
    server.plan = dataclasses.replace(_plan(), log=path)

    assert server.last_line() == line


def test_a_server_that_does_not_start_is_told(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever keeps it ended before it said a word."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    log = tmp_path / "tp1.log"

    with pytest.raises(ServerFailed) as failed:
        LocalServer(dataclasses.replace(_plan(degree=1), log=log))
    assert str(failed.value) == f"the server of TP1 could not be started; its log {log} ends: (empty)"


def test_local_endpoints_that_do_not_start_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What they need was not installed."""
    monkeypatch.setattr(sys, "executable", "/bin/false")

    with pytest.raises(ServerFailed) as failed, local_endpoints():
        pass
    assert str(failed.value) == (
        "the local CloudWatch and S3 endpoints did not start: they printed nothing; run `make local` to install them"
    )


def test_the_environment_binds_one_worker_a_core() -> None:
    """Cores of the workers, memory of the cache, no telemetry, no model hub."""
    names = ("VLLM_CPU_OMP_THREADS_BIND", "VLLM_CPU_KVCACHE_SPACE", "VLLM_NO_USAGE_STATS", "HF_HUB_OFFLINE")
    values = environment(_plan(degree=4))

    assert [values[name] for name in names] == ["0|1|2|3", "3", "1", "1"]


BEFORE = _Reading(at=10.0, busy=100.0, server=50.0, own=1.0)


@pytest.mark.parametrize(
    ("after", "cores", "share"),
    [
        pytest.param(_Reading(at=12.0, busy=104.0, server=53.9, own=1.1), 2, 0.0, id="all of it is ours"),
        pytest.param(_Reading(at=12.0, busy=104.0, server=53.0, own=1.0), 2, 0.25, id="a quarter is not"),
        pytest.param(_Reading(at=12.0, busy=101.0, server=52.0, own=1.0), 2, 0.0, id="never below nothing"),
        pytest.param(_Reading(at=10.0, busy=100.0, server=50.0, own=1.0), 2, None, id="no time at all"),
    ],
)
def test_what_others_took(after: _Reading, cores: int, share: float | None) -> None:
    """Busy time of the cores, less the server's and the client's, over all the time there was."""
    assert foreign_share(BEFORE, after, cores=cores) == (None if share is None else pytest.approx(share, abs=1e-9))


class Placed:
    """A server with cores and a clock of its own; nothing runs."""

    def __init__(self, cores: tuple[int, ...], clock: list[float]) -> None:
        self.plan = types.SimpleNamespace(cores=cores)
        self._clock = clock

    def cpu_seconds(self) -> float:
        """Return what is set."""
        return self._clock[0]


def test_a_neighbour_is_seen_whoever_has_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs on TP2's second core while TP1 has its turn on the first: all degrees' cores are watched."""
    busy, used, now = [0.0, 0.0], [0.0], [100.0]
    blank = dict.fromkeys(("nice", "system", "irq", "softirq", "steal"), 0.0)

    def cpu_times(*, percpu: bool) -> list[types.SimpleNamespace]:
        assert percpu
        return [types.SimpleNamespace(user=each, **blank) for each in busy]

    monkeypatch.setattr(psutil, "cpu_times", cpu_times)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    servers = {TP1: (Placed((0,), used),), TP2: (Placed((0, 1), [0.0]),)}
    arena = MachineArena(typing.cast("dict[Candidate, tuple[LocalServer, ...]]", servers))
    arena.start_watch(TP1)
    busy[:], used[0], now[0] = [9.0, 8.0], 9.0, 110.0

    assert arena.foreign_cpu_share() == pytest.approx(0.4, abs=0.01)


def test_servers_of_one_candidate_are_told_apart(tmp_path: pathlib.Path) -> None:
    """In sentences and in the names of their logs; an only one needs no number."""
    only, first, second = (dataclasses.replace(_plan(degree=1), replica=replica) for replica in (None, 0, 1))
    logs = [log_path(tmp_path, Candidate(1, 4), each.replica).name for each in (only, first, second)]

    assert [each.title for each in (only, first, second)] == ["TP1", "TP1 (number 1)", "TP1 (number 2)"]
    assert logs == ["server-tp1-b4.log", "server-tp1-b4.log", "server-tp1-b4-1.log"]
