"""What AWS and Kubernetes would compute for the experiment's own resources, and one run of the program for tests."""

import collections.abc
import copy
import functools
import typing

from optimal_tp.cluster.order import Order
from tests.fakes_pulumi import Recording, recorded, run_main
from tests.fakes_stack_files import EXISTING, stack_config


def changed(file: str, /, **changes: object) -> dict[str, typing.Any]:
    """Return ``file``'s config with keys set: ``infra__neuron__maximum_nodes=1`` goes three levels down."""
    config = copy.deepcopy(stack_config(file))
    for path, value in changes.items():
        section, *keys = path.split("__")
        if not keys:
            config[f"optimal-tp:{section}"] = value
            continue
        place = config.setdefault(f"optimal-tp:{section}", {})
        for key in keys[:-1]:
            place = place.setdefault(key, {})
        place[keys[-1]] = value
    return config


def side_by_side(**changes: typing.Any) -> dict[str, object]:
    """Return ``changes`` of the dev stack's file with one server of each degree at once, on two nodes, beneath them.

    For tests that are about neither layout nor turns.
    """
    serving = {"layout": "one-each", **changes.pop("serving", {})} if "serving" in changes else None
    beneath = {"serving__layout": "one-each"} if serving is None else {"serving": serving}
    return {
        "workloads__decision__budget_seconds": 1800,
        "infra__neuron__maximum_nodes": 2,
        **beneath,
        **changes,
    }


def program(file: str | None = None, /, **changes: object) -> Recording:
    """Run the real ``__main__.py`` with ``file`` but for ``changes``; without one, with the dev stack side by side."""
    if file is None:
        file, changes = "Pulumi.dev.yaml", side_by_side(**changes)
    return run_main(changed(file, **changes), stack=file.split(".")[1])


def on_existing(**changes: object) -> Recording:
    """Run the program on a cluster that is there already."""
    config = changed("Pulumi.dev.yaml", **side_by_side(**{"infra__existing": EXISTING, **changes}))
    for key in ("cluster_name", "network", "control_plane", "system_nodes", "addons", "prices"):
        config["optimal-tp:infra"].pop(key, None)
    return run_main(config, stack="dev")


def order(recording: Recording) -> Order:
    """Return what the load generator's pods are asked for, as they read it."""
    return Order.model_validate_json(recording.one("ConfigMap loadgen-settings").inputs["data"]["order.json"])


FAMILY: typing.Final = (
    {"model": {"name": "Qwen/Qwen3-0.6B"}},
    {
        "model": {"name": "Qwen/Qwen3-8B", "revision": "b968826d9c46dd6066d109eabc6255188de91218"},
        "degrees": [2, 4],
        "limits": {"ttft_ms": {"percentile": 90, "at_most_ms": 200}},
    },
)
"""Two models of one family, as ``workloads.models`` has them."""

PROGRAMS: typing.Final[typing.Mapping[str, collections.abc.Callable[[], Recording]]] = {
    "one-each": functools.cache(program),
    "rounds": lambda: recorded("Pulumi.dev.yaml"),
    "equal-cores": functools.cache(lambda: program(serving={"layout": "equal-cores"}, infra__neuron__maximum_nodes=3)),
    "turns": functools.cache(lambda: program(infra__neuron__maximum_nodes=1)),
    "sweep": functools.cache(lambda: program(workloads__models=FAMILY, spend__budget_usd=40)),
    "pods": functools.cache(
        lambda: program(
            loadtest={"pods": 2}, workloads__load={"request_timeout_seconds": 1, "rates_per_second_per_core": [16]}
        )
    ),
    "plugin-on-large-node": lambda: recorded("Pulumi.prod.yaml"),
    "whole-chips": functools.cache(
        lambda: program(infra__neuron__pair="vllm-neuron-0.29", infra__neuron__maximum_nodes=3)
    ),
    "own-model-and-image": functools.cache(
        lambda: on_existing(
            workloads__model={"name": "mine", "revision": "v3"},
            serving={"model_source": "s3://models/mine", "shape_as": "Qwen/Qwen3-0.6B", "run_as_user": 1000},
            loadtest={"image": "example.org/loadgen:1.0.0", "results": {"bucket": "mine", "on_destroy": "delete"}},
        )
    ),
}
"""Runs of the real program by name; each is made once and shared, so nobody changes it."""
