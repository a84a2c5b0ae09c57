"""What a profile may say about this machine's servers, beside the ``workloads`` section that every place shares."""

import pathlib
import typing

import pydantic

from infra.parser import Section, broken, parse, read_yaml
from workloads.fit import SHAPES
from workloads.settings import WorkloadSettings

PROFILES = pathlib.Path(__file__).parent / "profiles"


class LocalSettings(Section):
    """The servers on this machine. One CPU core stands for one NeuronCore."""

    shape: str = "Qwen/Qwen3-0.6B"
    """A model whose sizes random weights are given; unused when a model directory is named."""
    dtype: typing.Literal["bfloat16", "float16", "float32"] = "bfloat16"
    gib_per_core: float = pydantic.Field(default=6, gt=0)
    """Memory that one core's share of weights and KV cache may take, GiB."""
    kv_cache_gib: int = pydantic.Field(default=1, ge=1)
    """Memory that each worker sets aside for its KV cache (VLLM_CPU_KVCACHE_SPACE), GiB."""
    server_overhead_gib: float = pydantic.Field(default=4, ge=0)
    """Host memory of one server beside weights and cache, GiB (seen: 2.9 to 4.3 with vllm-cpu 0.32.0)."""
    ready_timeout_seconds: float = pydantic.Field(default=420, gt=0, le=3600)
    """From start until /health answers, for all servers together."""
    first_port: int | None = pydantic.Field(default=None, ge=1024, le=65000)
    """Port of the smallest degree's server, the others follow; absent: any free ones."""
    stop_timeout_seconds: float = pydantic.Field(default=10, gt=0, le=120)
    """From SIGTERM until SIGKILL."""
    foreign_cpu_limit: float = pydantic.Field(default=0.15, gt=0, le=1)
    """A turn in which other processes took more than this share of the measured cores is not valid."""

    @pydantic.field_validator("shape")
    @classmethod
    def _known_shape(cls, shape: str) -> str:
        if shape not in SHAPES:
            raise broken(f"it is one of {', '.join(SHAPES)}")
        return shape


class Profile(Section):
    """A whole profile: the experiment and the machine that runs it."""

    workloads: WorkloadSettings = WorkloadSettings()
    local: LocalSettings = LocalSettings()


def read_profile(name: str) -> tuple[Profile, str]:
    """Return the profile called ``name``, or in the file ``name`` if it ends in .yaml, and the file's name.

    Raises SettingsError with every bad key, or for a profile that is not there or is no YAML.
    """
    path = pathlib.Path(name) if name.endswith((".yaml", ".yml")) else PROFILES / f"{name}.yaml"
    known = ", ".join(sorted(file.stem for file in PROFILES.glob("*.yaml")))
    data = read_yaml(path, key="PROFILE", value=name, remedy=f"choose {known}, or name a YAML file")
    return parse(Profile, data, where="", file=str(path)), str(path)
