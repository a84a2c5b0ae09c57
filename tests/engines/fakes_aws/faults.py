"""Faults to order: which operations go wrong, and how; one file beside the model, shared by all who do operations.

``refuse``: nothing was done, and the answer is an error. ``lose``: it was done, and the answer is an error. ``kill``:
it was done, and whoever asked is killed before the answer. An operation goes wrong the first time it is tried, and
never again.
"""

import collections.abc
import contextlib
import fcntl
import json
import os
import pathlib
import typing

How = typing.Literal["refuse", "lose", "kill"]
Key = str
"""An operation, whenever it is tried: ``aws create URN``, ``kubernetes POST /api/v1/namespaces one``."""
_SUFFIX = ".faults"
_CHARTS: typing.Final = {
    "karpenter-crd": ("karpenter-crd", "/customresourcedefinitions"),
    "neuron": ("my-scheduler", "neuron-device-plugin", "release.v1.neuron."),
    "karpenter": ("/kube-system/",),
}
"""Pieces of the requests of each chart; the first that fits. A chart is many requests, and its rollback as many: more
than one fault in a run would be a fault of the rollback."""


def order(model: pathlib.Path, how: How, places: range) -> None:
    """Let the operations at ``places`` go wrong, counted from now as they are first tried."""
    with _file(model) as data:
        data.clear()
        data.update(how=how, places=[places.start, places.stop, places.step], tried=[], struck=[], spent=[])


def rearm(model: pathlib.Path) -> None:
    """Tell that another run of the engine begins."""
    with _file(model) as data:
        data["spent"] = []


def strike(model: pathlib.Path, key: Key) -> How | None:
    """Return what is to go wrong with this try of ``key``; None as a rule."""
    with _file(model) as data:
        if "how" not in data or key in data["struck"]:
            return None
        scopes = _scopes(data["how"], key)
        # What waits for its turn in the next run is not tried yet.
        if any(each in data["spent"] for each in scopes):
            return None
        if key not in data["tried"]:
            data["tried"].append(key)
        if data["tried"].index(key) not in range(*data["places"]):
            return None
        data["spent"] += scopes
        data["struck"].append(key)
        return typing.cast("How", data["how"])


def _scopes(how: How, key: Key) -> list[str]:
    """Return the scopes in which there is one fault only in a run: all of it for a kill, and a chart's requests."""
    chart = next((name for name, parts in _CHARTS.items() if any(part in key for part in parts)), None)
    return [*(["kill"] if how == "kill" else []), *([] if chart is None else [chart])]


def struck(model: pathlib.Path) -> list[Key]:
    """Return the operations that went wrong by order, in their order."""
    with _file(model) as data:
        return list(data.get("struck", ()))


@contextlib.contextmanager
def _file(model: pathlib.Path) -> collections.abc.Iterator[dict[str, typing.Any]]:
    path = model.with_suffix(_SUFFIX)
    with path.with_suffix(f"{_SUFFIX}-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        data = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        before = json.dumps(data)
        yield data
        after = json.dumps(data)
        if after != before:
            draft = path.with_suffix(f"{_SUFFIX}-draft")
            draft.write_text(after, encoding="utf-8")
            os.replace(draft, path)  # noqa: PTH105 - a killed process leaves the old file or the new one
