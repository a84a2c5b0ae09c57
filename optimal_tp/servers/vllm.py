"""How a vLLM server is started on Neuron: command, environment, names, and where its files lie on the shared volume."""

import json
import math
import re
import typing

from optimal_tp.facts.candidates import Candidate
from optimal_tp.facts.versions import Pair
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
_SMALLEST_BUCKET_TOKENS = 128
PROOF_TOKENS = 4
"""Tokens that a compile Job asks of each bucket."""


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._]+", "-", text)


def model_folder(model: Model) -> str:
    """Return the path of the model's files below the volume."""
    return f"models/{_slug(model.name)}-{_slug(model.revision)}"


def artifacts_folder(model: Model, pair: Pair, candidate: Candidate) -> str:
    """Return the path of one candidate's artifacts below the volume.

    NxDI takes degree, batch and length silently from what lies in the folder, whatever the flags say (its loader,
    0.6), so the name carries all that they depend on; the image's tag carries the SDK.
    """
    sizes = f"tp{candidate.degree}-bs{model.batch_of(candidate)}-sl{model.max_model_len_tokens}-sp"
    return f"compiled/{_slug(model.name)}-{_slug(model.revision)}-{sizes}-{_slug(pair.image_tag)}"


def proof_prompts(model: Model) -> tuple[int, ...]:
    """Return the tokens of one prompt for each graph that is compiled, rising: it and its answer fill the bucket.

    NxDI compiles a graph for each power of two from 128 below the longest request, and one for that (neuronx-
    distributed-inference 0.6, modules/autobucketing.py, generate_buckets); a graph that was never run proves nothing.
    """
    longest = model.max_model_len_tokens
    powers = range(int(math.log2(_SMALLEST_BUCKET_TOKENS)), round(math.log2(longest)))
    return tuple(max(1, bucket - PROOF_TOKENS) for bucket in (*(2**power for power in powers), longest))


def expected_files(degree: int) -> tuple[str, ...]:
    """Return the files without which a folder of artifacts is not complete (NxDI 0.6, application_base.py)."""
    shards = tuple(f"weights/tp{rank}_sharded_checkpoint.safetensors" for rank in range(degree))
    return ("neuron_config.json", "model.pt", *shards)


def serve_command(model: Model, pair: Pair, candidate: Candidate) -> tuple[str, ...]:
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
        return (*command, "--override-neuron-config", json.dumps(_NEURON_CONFIG))
    # The plugin reads the key with underscores only. It wants as many blocks as sequences where prefixes are not
    # cached, and caching them gives wrong output with one sequence (vllm-neuron 0.2 README; V1 guide, known issue 2).
    return (
        *command,
        "--additional-config",
        json.dumps({"override_neuron_config": _NEURON_CONFIG}),
        "--num-gpu-blocks-override",
        batch,
        "--no-enable-prefix-caching",
    )


def environment(model: Model, pair: Pair, candidate: Candidate) -> dict[str, str]:
    """Return a server's environment variables. The device plugin adds NEURON_RT_VISIBLE_CORES: never set it here."""
    variables = {
        ARTIFACTS_VARIABLE: f"{VOLUME_PATH}/{artifacts_folder(model, pair, candidate)}",
        "HF_HUB_OFFLINE": "1",
        "HOME": "/tmp",  # noqa: S108 - an emptyDir of the pod's own
        # Else below /var/tmp of the container's own file system, which a restart of the container loses.
        "NEURON_COMPILE_CACHE_URL": "/tmp/neuron-compile-cache",  # noqa: S108 - likewise
        "VLLM_NO_USAGE_STATS": "1",
    }
    framework: typing.Final = {"VLLM_NEURON_FRAMEWORK": "neuronx-distributed-inference"}
    return {**variables, **framework} if pair.line == "fork-v0" else variables
