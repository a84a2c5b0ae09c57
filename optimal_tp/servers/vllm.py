"""How a vLLM server is started on Neuron: command, environment, names, and where its files lie on the shared volume."""

import dataclasses
import hashlib
import json
import math
import re
import typing

from optimal_tp.facts.bucketing import Kind, compiled
from optimal_tp.facts.candidates import Candidate
from optimal_tp.facts.engines import MEMORY_UTILISATION, Line
from optimal_tp.facts.versions import ImageAndAmi
from optimal_tp.settings.spend import Buckets
from optimal_tp.settings.workload import Model

PORT = 8000
VOLUME_PATH = "/var/mdl"
"""Where every pod mounts the shared volume, as in the AWS sample."""
ARTIFACTS_VARIABLE = "NEURON_COMPILED_ARTIFACTS"
"""Names the folder that NxDI loads compiled artifacts from, or compiles them into."""

# Sharded weights are kept with the artifacts, as in the AWS sample: the server then needs no host memory to shard them.
# It holds for compiling and serving alike: asked for at run time only, NxDI finds no weights and compiles again.
# AWS's fork splits the prompt's sequence over the cores unless it is told otherwise, the plugin does not (their
# loaders): said for both, so that the two pairs compile the same graph.
_NEURON_CONFIG = {"save_sharded_checkpoint": True, "sequence_parallel_enabled": True}
_NXDI_LISTS: typing.Final[typing.Mapping[Kind, str]] = {
    "prompt": "context_encoding_buckets",
    "context": "token_generation_buckets",
}
"""NxD Inference's keys of the lists (0.6, models/config.py; AWS Neuron documentation, nxd-inference feature guide)."""
UNSTATED: typing.Final = Buckets()
"""No list of buckets in the stack file: each image has its own."""
PROOF_TOKENS = 4
"""Tokens that a compile Job asks of each bucket."""
_LONGEST_START_SECONDS = 21_600
"""As long as any setting lets a start take (serving.start_patience_seconds): who waits is the probe or the Job. vLLM's
own patience for its engine is 600 s by default (vllm/envs.py of 0.32), less than a compilation may take."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cache:
    """Where a server's compiler keeps its graphs: on the pod's disk, or a restart of the container loses them."""

    variable: str
    """Environment variable that names the folder."""
    path: str
    finished: str
    """Name of a file that the folder of a graph has once that graph is compiled."""
    is_loaded: bool
    """True if servers load this folder; False where they load artifacts and the cache only spares work."""


# neuronx-cc's cache: AWS Neuron documentation, neuron-caching.rst; entries as on huggingface.co/aws-neuron/
# optimum-neuron-cache, where a graph that failed has no model.neff.
_NXDI_CACHE = Cache(
    variable="NEURON_COMPILE_CACHE_URL",
    path="/tmp/neuron-compile-cache",  # noqa: S108 - an emptyDir of the pod's own
    finished="model.neff",
    is_loaded=False,
)
# AWS Neuron documentation, vllm-neuron/docs/design/compilation/compilation_cache (2026-06-22): on a local disk, not on
# a network file system. NEURON_COMPILED_ARTIFACTS is read nowhere any more (vllm-project/vllm-neuron pull request 37).
_VLLM_CACHE = Cache(
    variable="VLLM_CACHE_ROOT",
    path="/tmp/vllm-cache",  # noqa: S108 - likewise
    finished=".compilation_complete",
    is_loaded=True,
)


def cache_of(pair: ImageAndAmi) -> Cache:
    """Return where the compiler of ``pair``'s image keeps its graphs."""
    return _VLLM_CACHE if pair.line == "vllm-neuron" else _NXDI_CACHE


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._]+", "-", text)


def model_folder(model: Model) -> str:
    """Return the path of the model's files below the volume."""
    return f"models/{_slug(model.name)}-{_slug(model.revision)}"


def artifacts_folder(model: Model, pair: ImageAndAmi, candidate: Candidate, buckets: Buckets = UNSTATED) -> str:
    """Return the path of one candidate's artifacts below the volume.

    NxDI takes degree, batch, length and buckets silently from what lies in the folder, whatever the flags say (its
    loader, 0.6), so the name carries all that they depend on; the image's tag carries the SDK.
    """
    sequence_parallel = "" if pair.line == "vllm-neuron" else "-sp"
    sizes = f"tp{candidate.degree}-bs{model.batch_of(candidate)}-sl{model.max_model_len_tokens}{sequence_parallel}"
    if buckets.stated:
        sizes += f"-bk{hashlib.sha256(json.dumps(buckets.stated).encode()).hexdigest()[:8]}"
    return f"compiled/{_slug(model.name)}-{_slug(model.revision)}-{sizes}-{_slug(pair.image_tag)}"


def _compiled(model: Model, pair: ImageAndAmi, buckets: Buckets) -> dict[Kind, tuple[int, ...]]:
    """Return the buckets of each kind."""
    longest = model.max_model_len_tokens
    return {kind: compiled(buckets.stated.get(kind), pair.line, kind, longest) for kind in _NXDI_LISTS}


def bucket_line(model: Model, pair: ImageAndAmi, buckets: Buckets) -> str:
    """Return for the preview which graphs a server has."""
    prompts, contexts = (", ".join(map(str, each)) for each in _compiled(model, pair, buckets).values())
    return (
        f"{model.title}: compiled graphs for prompts of {prompts} tokens, and for contexts (prompt and answer) of "
        f"{contexts} tokens (serving.buckets)"
    )


def proof_prompts(model: Model, pair: ImageAndAmi, buckets: Buckets = UNSTATED) -> tuple[int, ...]:
    """Return the tokens of one prompt for each length that is compiled, rising: it and its answer fill the bucket.

    A graph that was never run proves nothing.
    """
    lengths = {each for own in _compiled(model, pair, buckets).values() for each in own}
    return tuple(max(1, length - PROOF_TOKENS) for length in sorted(lengths))


def expected_files(pair: ImageAndAmi, degree: int) -> tuple[str, ...]:
    """Return the files, as patterns, without which a folder of artifacts is not complete.

    Of NxDI 0.6: its application_base.py.
    """
    if pair.line == "vllm-neuron":
        return (f"**/{_VLLM_CACHE.finished}",)
    shards = tuple(f"weights/tp{rank}_sharded_checkpoint.safetensors" for rank in range(degree))
    return ("neuron_config.json", "model.pt", *shards)


def serve_command(
    model: Model, pair: ImageAndAmi, candidate: Candidate, buckets: Buckets = UNSTATED
) -> tuple[str, ...]:
    """Return the arguments that start one server; a compile Job runs the very same.

    ``vllm`` is the first process of its container, so that SIGTERM arrives. A local path, not a hub's name: with tied
    embeddings the latter fails in NxDI (AWS's vLLM guides, known issue 3).
    """
    batch = str(model.batch_of(candidate))
    command = (
        "vllm",
        "serve",
        f"{VOLUME_PATH}/{model_folder(model)}",
        "--served-model-name",
        *model.served_names(candidate),
        "--port",
        str(PORT),
        "--tensor-parallel-size",
        str(candidate.degree),
        "--max-num-seqs",
        batch,
        "--max-model-len",
        str(model.max_model_len_tokens),
    )
    if pair.line == "fork-v0":
        return (*command, "--override-neuron-config", json.dumps(_nxdi_config(model, pair, buckets)))
    if pair.line == "vllm-neuron":
        return (*command, *_plugin_flags(model, pair, batch, buckets))
    # The plugin reads the key with underscores only. It wants as many blocks as sequences where prefixes are not
    # cached, and caching them gives wrong output with one sequence (vllm-neuron 0.2 README; V1 guide, known issue 2).
    return (
        *command,
        "--additional-config",
        json.dumps({"override_neuron_config": _nxdi_config(model, pair, buckets)}),
        "--num-gpu-blocks-override",
        batch,
        "--no-enable-prefix-caching",
    )


def _nxdi_config(model: Model, pair: ImageAndAmi, buckets: Buckets) -> dict[str, object]:
    """Return what NxD Inference is told besides.

    The lists go with ``enable_bucketing`` (its feature guide). What is longer than the last bucket would run in the
    first one, without a word (modules/autobucketing.py), so the last is as long as any request.
    """
    every = _compiled(model, pair, buckets)
    lists = {_NXDI_LISTS[kind]: every[kind] for kind in buckets.stated}
    return {**_NEURON_CONFIG, **({"enable_bucketing": True} if lists else {}), **lists}


def _plugin_flags(model: Model, pair: ImageAndAmi, batch: str, buckets: Buckets) -> tuple[str, ...]:
    """Return what today's plugin is told besides, as AWS's pages of SDK 2.33 have it (vllm-neuron/docs).

    The last bucket of prompts must be the most tokens that are batched, and a prompt is computed whole, without which
    prefixes need no cache; a cache of prefixes with such prompts is refused at the start. The list of contexts must not
    be empty and not have the longest, which has a graph in any case.
    """
    most = int(batch)
    sequences = [2**power for power in range(math.ceil(math.log2(most)))]
    config = {
        "num_batched_tokens_buckets": _compiled(model, pair, buckets)["prompt"],
        "num_seqs_buckets": [*sequences, most],
    }
    if buckets.context_tokens:
        config["decode_context_length_buckets"] = buckets.context_tokens
    return (
        "--max-num-batched-tokens",
        str(model.max_model_len_tokens),
        "--gpu-memory-utilization",
        str(MEMORY_UTILISATION),
        "--no-enable-prefix-caching",
        "--additional-config",
        json.dumps({"neuron_config": config}),
    )


def environment(model: Model, pair: ImageAndAmi, candidate: Candidate, buckets: Buckets = UNSTATED) -> dict[str, str]:
    """Return a server's environment variables. The device plugin adds NEURON_RT_VISIBLE_CORES: never set it here."""
    cache = cache_of(pair)
    variables = {
        "HF_HUB_OFFLINE": "1",
        "HOME": "/tmp",  # noqa: S108 - an emptyDir of the pod's own
        cache.variable: cache.path,
        "VLLM_NO_USAGE_STATS": "1",
    }
    if not cache.is_loaded:
        variables[ARTIFACTS_VARIABLE] = f"{VOLUME_PATH}/{artifacts_folder(model, pair, candidate, buckets)}"
    return {**variables, **_OF_LINE[pair.line]}


_PATIENT: typing.Final = {"VLLM_ENGINE_READY_TIMEOUT_S": str(_LONGEST_START_SECONDS)}
_OF_LINE: typing.Final[typing.Mapping[Line, typing.Mapping[str, str]]] = {
    "fork-v0": {"VLLM_NEURON_FRAMEWORK": "neuronx-distributed-inference"},
    "plugin-v1": _PATIENT,
    # vllm-neuron/docs of SDK 2.33 (configuration reference, precompile cache, compilation route). Until 0.21 the names
    # began with VLLM_NEURON instead of NEURON_LIBTORCH, and pages of today still have both.
    "vllm-neuron": {
        **_PATIENT,
        "NEURON_LIBTORCH_COMPILATION_TIMEOUT": str(_LONGEST_START_SECONDS),
        "VLLM_NEURON_COMPILATION_TIMEOUT": str(_LONGEST_START_SECONDS),
        "VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS": str(_LONGEST_START_SECONDS),
        # Graphs compiled side by side were seen to end with status 70 (aws-samples/sample-genai-on-eks-starter-kit).
        "NEURON_LIBTORCH_PARALLEL_COMPILE_WORKERS": "1",
        "VLLM_NEURON_PARALLEL_COMPILE_WORKERS": "1",
        "VLLM_NEURON_PARALLEL_TRACE_WORKERS": "1",
        # Without it the same route is taken, and traces are not kept.
        "VLLM_NEURON_BACKEND": "neuron_native",
        # The worker looks for an EFA interface, which these pods do not ask for, and ends without one.
        "NEURON_SKIP_EFA_AFFINITY": "1",
    },
}
