"""The sizes of each model of a stack file, read from its config.json where its name is not known."""

import collections.abc
import dataclasses
import json
import pathlib
import typing

from optimal_tp.errors import Problem, SettingsError
from optimal_tp.facts.sizes import INDEX, Sizes, sizes_from_config
from optimal_tp.settings.stack_file import ClusterSettings
from optimal_tp.settings.workload import WorkloadSettings

Read = collections.abc.Callable[[str], bytes]
"""Returns the content of a path, ``s3://…`` or ``https://…``. Raises FileNotFoundError, PermissionError, OSError."""
CONFIG: typing.Final = "config.json"
TOKEN_COMMAND: typing.Final = "pulumi config set --secret optimal-tp:hub_token"  # noqa: S105 - the command, no token
# Read 2026-11-27: its pages vllm-neuron/docs (quantization, recipe of gpt-oss), and the vLLM guide of NxD Inference,
# which quantizes at load and wants no --quantization.
_LOADED: typing.Final = (
    "AWS's images on NxD Inference load only those, and the image of vLLM's Neuron plugin adds only fp8 and modelopt, "
    "which optimal-tp does not set up (AWS Neuron documentation of SDK 2.32)"
)


def local_file(address: str) -> bytes:
    """Return the content of the file ``address``. Raises OSError, also for what is not on this machine."""
    if "://" in address:
        raise OSError("only files on this machine can be read here")
    return pathlib.Path(address).read_bytes()


def with_sizes(settings: ClusterSettings, read: Read, *, file: str) -> ClusterSettings:
    """Return ``settings`` with the sizes of every model.

    Raises SettingsError with every model whose config cannot be read, or not be counted, whose weights are packed, or
    that takes fewer tokens than it is to serve.
    """
    found: dict[str, Sizes] = {}
    problems: list[Problem] = []
    for index, of in enumerate(settings.models):
        key = f"{settings.path(index)}.model.name"
        try:
            sizes = _known(settings, of) or _read(settings, of, read, key)
        except SettingsError as error:
            own = (key, "serving.config_file")
            problems += [dataclasses.replace(each, file=file if each.path in own else "") for each in error.problems]
            continue
        found[of.model.name] = sizes
        packing = sizes.packing
        if packing is not None:
            rule = f"must have weights in BF16 or FP16: {_LOADED}; {packing}"
            remedy = "use the original model instead of the quantized one"
            problems.append(Problem(path=key, value=of.model.name, rule=rule, remedy=remedy, file=file))
        problems += _too_long(settings, index, sizes, file)
    if problems:
        raise SettingsError(problems)
    return dataclasses.replace(settings, sizes=found)


def _too_long(settings: ClusterSettings, index: int, sizes: Sizes, file: str) -> list[Problem]:
    """Return why vLLM would refuse to serve sequences that long; a shape of another name does not say."""
    asked = settings.models[index].model.max_model_len_tokens
    if settings.serving.shape_as is not None or sizes.positions is None or asked <= sizes.positions:
        return []
    rule = (
        f"must be at most the model's max_position_embeddings, {sizes.positions} ({sizes.source}): vLLM refuses to "
        "start with more"
    )
    remedy = "lower it or serve a model with a longer context"
    path = f"{settings.path(index)}.model.max_model_len_tokens"
    return [Problem(path=path, value=asked, rule=rule, remedy=remedy, file=file)]


def _known(settings: ClusterSettings, of: WorkloadSettings) -> Sizes | None:
    return None if settings.serving.config_file is not None else settings.known_sizes(of)


def size_lines(settings: ClusterSettings, dtype_bytes: int) -> tuple[str, ...]:
    """Return, for the preview, each model's figures and where they come from."""
    return tuple(settings.sizes_of(of).line(of.model.title, dtype_bytes) for of in settings.models)


def _read(settings: ClusterSettings, of: WorkloadSettings, read: Read, key: str) -> Sizes:
    own = settings.serving.config_file
    if own is not None:
        key, value = "serving.config_file", own
        place = str(pathlib.Path(own, settings.slug(of)) if settings.slug(of) else own)
        address = place if place.endswith(".json") else f"{place}/{CONFIG}"
        remedy = f"set it to a model's {CONFIG} or to the folder that holds it"
        if settings.slug(of):
            remedy = "set it to a folder with a folder per model, called by its slug"
    else:
        value = of.model.name
        address = f"{_folder(settings, of)}/{CONFIG}"
        remedy = f"set serving.config_file to a copy of its {CONFIG}"
    try:
        config = _object(read(address), address)
    except PermissionError as error:
        mine = remedy if own is not None else f"accept its licence there and run `{TOKEN_COMMAND}`, or {remedy}"
        raise _unread(key, value, address, error, mine) from None
    except (OSError, ValueError) as error:
        raise _unread(key, value, address, error, remedy) from None
    beside = f"{address.rpartition('/')[0] or '.'}/{INDEX}"
    try:
        index = _object(read(beside), beside)
    except FileNotFoundError:
        index = None
    except (OSError, ValueError) as error:
        raise _unread(key, value, beside, error, remedy) from None
    return sizes_from_config(config, index, where=address)


def _folder(settings: ClusterSettings, of: WorkloadSettings) -> str:
    source = settings.source(of).rstrip("/")
    return source if source.startswith("s3://") else f"{source}/{of.model.name}/resolve/{of.model.revision}"


def _object(content: bytes, address: str) -> dict[str, typing.Any]:
    found = json.loads(content)
    if not isinstance(found, dict):
        raise ValueError(f"{address} must hold a JSON object")  # noqa: TRY004 - a value that was read, no type of ours
    return found


def _unread(key: str, value: str, address: str, error: Exception, remedy: str) -> SettingsError:
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    rule = (
        f"must be a model whose sizes are known or whose {CONFIG} can be read before anything is spent: {address} "
        f"was not read ({reason})"
    )
    return SettingsError([Problem(path=key, value=value, rule=rule, remedy=remedy)])
