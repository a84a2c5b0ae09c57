"""Which real engines this machine has, and what a test says that needs one which is not here."""

import collections.abc
import dataclasses
import os
import pathlib
import shutil
import typing

import pytest


@dataclasses.dataclass(frozen=True, kw_only=True)
class Engine:
    """Programs that are had together. ``remedy`` says how."""

    name: str
    programs: tuple[str, ...]
    remedy: str
    beside: str = "."
    """Folder that lies beside its first program, without which that one does not count."""

    def missing(self) -> list[str]:
        """Return those of its programs that this machine does not have."""
        lacking = [program for program in self.programs if where(program) is None]
        first = where(self.programs[0])
        if first is not None and not (pathlib.Path(first).parent / self.beside).is_dir():
            lacking.insert(0, f"{self.programs[0]} with a folder {self.beside} beside it")
        return lacking


CONTROL_PLANE: typing.Final = Engine(
    name="Kubernetes control plane",
    programs=("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"),
    remedy="run make engines, or name a folder with them in KUBEBUILDER_ASSETS",
)
PULUMI: typing.Final = Engine(
    name="Pulumi engine",
    programs=("pulumi", "pulumi-language-python", "pulumi-resource-kubernetes"),
    remedy="put Pulumi's command line and its Kubernetes plugin on PATH",
)
EKS_PLUGIN: typing.Final = Engine(
    name="Pulumi's eks component",
    programs=("pulumi-resource-eks",),
    remedy="put the plugin on PATH; without it the component is simulated in the program tests alone",
)
KARPENTER: typing.Final = Engine(
    name="Karpenter",
    programs=("karpenter", "kwok"),
    remedy="run make engines",
    beside="crds",
)
ALL: typing.Final = (CONTROL_PLANE, KARPENTER, PULUMI, EKS_PLUGIN)


def where(program: str) -> str | None:
    """Return where ``program`` is: in a folder of $ENGINES or $KUBEBUILDER_ASSETS, or on PATH; None if nowhere."""
    folders = [os.environ.get(name, "") for name in ("ENGINES", "KUBEBUILDER_ASSETS", "PATH")]
    return shutil.which(program, path=os.pathsep.join(folder for folder in folders if folder))


def needs(*engines: Engine) -> pytest.MarkDecorator:
    """Return the mark of tests that are skipped unless all ``engines`` are here; the reason names the others."""
    lacking = [engine.name for engine in engines if engine.missing()]
    return pytest.mark.skipif(bool(lacking), reason=f"not on this machine: {', '.join(lacking)}")


def told(missing: collections.abc.Mapping[Engine, list[str]], reasons: collections.abc.Sequence[str]) -> list[str]:
    """Return one line for each engine that lacks programs and for whose want tests were skipped for ``reasons``."""
    lines = []
    for engine, programs in missing.items():
        tests = sum(engine.name in reason for reason in reasons)
        if programs and tests:
            lines.append(f"missing engine: {engine.name}: no {', '.join(programs)}; {engine.remedy} ({tests} skipped)")
    return lines
