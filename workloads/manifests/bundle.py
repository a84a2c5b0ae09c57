"""Our own code in the cluster: the bundle's ConfigMaps."""

import collections.abc
import pathlib

import pulumi
from pulumi_kubernetes.core.v1 import ConfigMap

from workloads.manifests.folded_bundle import Part, closure, parts, read_sources
from workloads.manifests.python_pods import REQUIREMENTS

ROOT = pathlib.Path(__file__).parents[2]
"""The repository: what travels is what stands here."""


def bundle(prefix: str, programs: collections.abc.Iterable[str], *, installs: bool = True) -> tuple[Part, ...]:
    """Return the parts that ``programs`` (module names) need; if one ``installs``, with its requirements."""
    files = closure(read_sources(ROOT), programs)
    requirements = {REQUIREMENTS: (ROOT / REQUIREMENTS).read_text(encoding="utf-8")} if installs else {}
    return parts(prefix, {**files, **requirements})


def config_maps(
    name: str, made: collections.abc.Sequence[Part], namespace: pulumi.Input[str], opts: pulumi.ResourceOptions
) -> list[ConfigMap]:
    """Make one ConfigMap per part, ``<name>-<number>``; immutable, so that another content is another object."""
    return [
        ConfigMap(
            f"{name}-{number}",
            metadata={"name": part.name, "namespace": namespace},
            data=part.data,
            immutable=True,
            opts=opts,
        )
        for number, part in enumerate(made)
    ]
