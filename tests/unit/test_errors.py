"""The tree of errors: what is drawn is what there is, and each class says where, value, rule and remedy."""

import asyncio
import collections.abc
import pathlib
import re
import tempfile
import types
import typing

import pytest

from optimal_tp import errors
from optimal_tp.experiment.legs import SweepKeeper, planned
from optimal_tp.experiment.turns import Halt
from optimal_tp.facts.hardware import INSTANCE_TYPES
from optimal_tp.local.server import LocalServer
from optimal_tp.local.startup import _ready
from optimal_tp.plan.placement import Wish, plan
from optimal_tp.pods.kubernetes import own_namespace
from optimal_tp.results.spool import Spool
from optimal_tp.settings.workload import WorkloadSettings, parse_workloads
from optimal_tp.telemetry.console import Watcher
from tests.fakes_candidates import TP8

DRAWN = {
    name: int(status)
    for name, status in re.findall(r"^[├└]── (\w+) .* exit (\d+)$", errors.__doc__ or "", flags=re.MULTILINE)
}
NOWHERE = pathlib.Path("/nowhere")


def too_large() -> None:
    """Ask a node of four logical cores for a server of eight."""
    wish = Wish(candidates=(TP8,), layout="one-each", placement="packed", equal_cores=8)
    plan(wish, INSTANCE_TYPES["trn2.3xlarge"], nodes_available=1, limited_by="the quota")


def stopped() -> None:
    """Press Ctrl-C while a server loads."""
    local = types.SimpleNamespace(ready_timeout_seconds=60)
    told = types.SimpleNamespace(local=local, url="http://127.0.0.1:1", title="TP1")
    waiting = types.SimpleNamespace(failure=None, plan=told, last_line=lambda: "starting")
    server = typing.cast("LocalServer", waiting)
    watcher = typing.cast("Watcher", types.SimpleNamespace(stage=lambda *_, **__: None, advance=lambda *_, **__: None))

    async def halted() -> None:
        halt = Halt(event=asyncio.Event())
        halt.set("interrupted", "Ctrl-C")
        await _ready([server], halt=halt, watcher=watcher)

    asyncio.run(halted())


def another_sweep() -> None:
    """Go on with a sweep in a folder that holds one of other models."""
    with tempfile.TemporaryDirectory() as folder:
        keeper = SweepKeeper(pathlib.Path(folder, "two"), None)
        keeper.folder.mkdir()
        keeper.keep(planned("one", [WorkloadSettings()]))
        keeper.restored(planned("one", [WorkloadSettings(), WorkloadSettings()]))


SAID: dict[str, tuple[collections.abc.Callable[[], object], tuple[str, str, str, str]]] = {
    "SettingsError": (
        lambda: parse_workloads({"degrees": [1, 3]}, file="Pulumi.dev.yaml"),
        (
            "Pulumi.dev.yaml workloads.degrees[1]",
            "(got 3)",
            "must be a power of two from 1 to 64, for example 4",
            "(got 3)",
        ),
    ),
    "CapacityError": (
        too_large,
        (
            "workloads.degrees",
            "(got 8)",
            "must be at most 4, the logical cores of one trn2.3xlarge",
            "; remove the degree or choose a larger infra.neuron.instance_type",
        ),
    ),
    "ServerFailed": (
        lambda: own_namespace(NOWHERE),
        (
            "options that use Kubernetes",
            "No such file or directory: '/nowhere/namespace'",
            "must run in a pod with a service account",
            "; run the command in the cluster or remove these options",
        ),
    ),
    "StorageFailed": (
        lambda: Spool(pathlib.Path("/dev/null/samples.jsonl")),
        (
            "/dev/null/samples.jsonl",
            "File exists",
            "samples cannot be written",
            "; free space there or name another folder",
        ),
    ),
    "ResumeFailed": (
        another_sweep,
        ("sweep.json", "two", "of other models than these settings", "; a new sweep begins"),
    ),
    "Interrupted": (
        stopped,
        (
            "while the servers were loading",
            "interrupted",
            "nothing was measured",
            "nothing is left running",
        ),
    ),
}
"""By class: what raises it, and where, value, rule and remedy in its sentence."""


def test_the_tree_is_drawn_as_it_is() -> None:
    """Every class that the module has, with its exit status."""
    found = {
        each.__name__: each.exit_status
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, errors.OptimalTpError) and each is not errors.OptimalTpError
    }

    assert found == DRAWN


@pytest.mark.parametrize("name", DRAWN)
def test_every_error_says_where_value_rule_and_remedy(name: str) -> None:
    """One sentence, which ends with what to do, or with what is left to do."""
    provoke, (where, value, rule, remedy) = SAID[name]
    with pytest.raises(errors.OptimalTpError) as raised:
        provoke()
    sentence = str(raised.value)

    assert type(raised.value).__name__ == name
    assert [part for part in (where, value, rule) if part not in sentence] == []
    assert sentence.endswith(remedy)
    assert "\n" not in sentence


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "not set"),
        (NOWHERE, "got '/nowhere'"),
        ("a", "got 'a'"),
        ((1, True), "got [1, true]"),
        ({"a": None}, "got {a: null}"),
    ],
)
def test_no_python_shows_through(value: object, words: str) -> None:
    """A key that is missing has no None, and a path is what the reader wrote."""
    problem = errors.Problem(path="key", value=value, rule="the rule", remedy="the remedy")

    assert str(errors.SettingsError([problem, problem])) == "\n".join([f"key: the rule ({words}); the remedy"] * 2)
