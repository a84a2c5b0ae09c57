"""The servers' commands, for each pair of image and AMI."""

import getpass
import json
import os
import pwd

import pytest

from optimal_tp.facts.candidates import Candidate
from optimal_tp.facts.versions import PAIRS, ImageAndAmi
from optimal_tp.servers.neuron_pod import user_variables
from optimal_tp.servers.vllm import (
    PROOF_TOKENS,
    artifacts_folder,
    bucket_line,
    cache_of,
    environment,
    expected_files,
    model_folder,
    proof_prompts,
    serve_command,
)
from optimal_tp.settings.spend import Buckets, Serving
from optimal_tp.settings.workload import Model

MODEL = Model()
FORK = PAIRS["neuronx-0.9.1"]
PLUGIN = PAIRS["neuronx-0.16.0"]
TODAY = PAIRS["vllm-neuron-0.29"]
NEURON = {"save_sharded_checkpoint": True, "sequence_parallel_enabled": True}
"""Of both pairs with NxD Inference, so that they compile the same graph."""


def value_after(command: tuple[str, ...], flag: str) -> str:
    """Return the argument after ``flag``."""
    return command[command.index(flag) + 1]


def test_the_fork_takes_its_configuration_as_an_override() -> None:
    """With vLLM 0.9.1 on Neuron: the AWS sample's flags, --override-neuron-config, and the framework by name."""
    command = serve_command(MODEL, FORK, Candidate(2))

    assert command[:3] == (
        "vllm",
        "serve",
        "/var/mdl/models/Qwen-Qwen3-0.6B-c1899de289a04d12100db370d81485cdf75e47ca",
    )
    assert value_after(command, "--tensor-parallel-size") == "2"
    assert value_after(command, "--max-num-seqs") == "1"
    assert value_after(command, "--max-model-len") == "128"
    assert json.loads(value_after(command, "--override-neuron-config")) == NEURON
    assert "--additional-config" not in command
    assert environment(MODEL, FORK, Candidate(2))["VLLM_NEURON_FRAMEWORK"] == "neuronx-distributed-inference"


def test_the_plugin_takes_its_configuration_below_a_key_with_underscores() -> None:
    """With vLLM 0.16.0 and its plugin: hyphens in the key would be lost, blocks equal sequences, no prefix cache."""
    command = serve_command(Model(max_num_seqs=4), PLUGIN, Candidate(4))

    assert json.loads(value_after(command, "--additional-config")) == {"override_neuron_config": NEURON}
    assert value_after(command, "--num-gpu-blocks-override") == "4"
    assert "--no-enable-prefix-caching" in command
    assert "--override-neuron-config" not in command
    assert "VLLM_NEURON_FRAMEWORK" not in environment(MODEL, PLUGIN, Candidate(4))


def test_todays_plugin_is_told_its_buckets_and_its_memory() -> None:
    """The last bucket is the most tokens of a batch, and no flag of the older images is left."""
    command = serve_command(Model(max_num_seqs=6, max_model_len_tokens=600), TODAY, Candidate(2))

    assert value_after(command, "--max-num-batched-tokens") == value_after(command, "--max-model-len") == "600"
    assert value_after(command, "--gpu-memory-utilization") == "0.9"
    assert json.loads(value_after(command, "--additional-config")) == {
        "neuron_config": {"num_batched_tokens_buckets": [128, 256, 512, 600], "num_seqs_buckets": [1, 2, 4, 6]}
    }
    assert "--no-enable-prefix-caching" in command
    assert not {"--num-gpu-blocks-override", "--override-neuron-config", "--block-size"} & set(command)


def test_todays_plugin_loads_its_compilers_cache() -> None:
    """No folder of artifacts, a cache on the pod's own disk, traces kept, and no core chosen by the environment."""
    variables = environment(MODEL, TODAY, Candidate(2))

    assert variables["VLLM_CACHE_ROOT"] == cache_of(TODAY).path == "/tmp/vllm-cache"  # noqa: S108 - an emptyDir
    assert variables["VLLM_NEURON_BACKEND"] == "neuron_native"
    assert variables["NEURON_SKIP_EFA_AFFINITY"] == "1"
    assert not {"NEURON_COMPILED_ARTIFACTS", "NEURON_RT_VISIBLE_CORES", "VLLM_NEURON_FRAMEWORK"} & set(variables)
    assert expected_files(TODAY, 2) == ("**/.compilation_complete",)


@pytest.mark.parametrize("pair", [PLUGIN, TODAY], ids=["0.16", "0.29"])
def test_the_engine_waits_as_long_as_any_start_may_take(pair: ImageAndAmi) -> None:
    """The engine of vLLM gives up after ten minutes by itself, in the middle of a compilation."""
    longest = max(each.le for each in Serving.model_fields["start_patience_seconds"].metadata if hasattr(each, "le"))

    assert environment(MODEL, pair, Candidate(1))["VLLM_ENGINE_READY_TIMEOUT_S"] == str(longest)


@pytest.mark.parametrize(
    ("longest", "prompts"), [(100, (96,)), (128, (124,)), (600, (124, 252, 508, 596)), (1000, (124, 252, 508, 996))]
)
def test_todays_plugin_is_asked_one_prompt_for_each_bucket(longest: int, prompts: tuple[int, ...]) -> None:
    """Its buckets are said, so no exponent is rounded as NxD Inference does."""
    assert proof_prompts(Model(max_model_len_tokens=longest), TODAY) == prompts


def test_a_server_answers_to_a_name_with_its_degree() -> None:
    """Who asks a server for its models learns the degree, beside the name that requests carry."""
    assert MODEL.served_names(Candidate(4)) == ("Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B-tp4")
    command = serve_command(MODEL, FORK, Candidate(4))
    start = command.index("--served-model-name") + 1

    assert command[start : start + 2] == MODEL.served_names(Candidate(4))


def test_the_artifacts_folder_tells_all_that_artifacts_depend_on() -> None:
    """Each of model, revision, degree, batch, length and image has a folder of its own."""
    folders = {
        artifacts_folder(MODEL, FORK, Candidate(1)),
        artifacts_folder(MODEL, FORK, Candidate(2)),
        artifacts_folder(MODEL, PLUGIN, Candidate(1)),
        artifacts_folder(Model(name="Qwen/Qwen3-8B"), FORK, Candidate(1)),
        artifacts_folder(Model(revision="other"), FORK, Candidate(1)),
        artifacts_folder(Model(max_num_seqs=2), FORK, Candidate(1)),
        artifacts_folder(Model(max_model_len_tokens=256), FORK, Candidate(1)),
    }

    assert len(folders) == 7
    assert artifacts_folder(MODEL, FORK, Candidate(1)) == (
        "compiled/Qwen-Qwen3-0.6B-c1899de289a04d12100db370d81485cdf75e47ca-tp1-bs1-sl128-sp-"
        "0.9.1-neuronx-py311-sdk2.26.1-ubuntu22.04"
    )


def test_the_server_loads_from_its_artifacts_folder() -> None:
    """The environment names the folder below the place where the volume is mounted."""
    variables = environment(MODEL, FORK, Candidate(2))

    assert variables["NEURON_COMPILED_ARTIFACTS"] == f"/var/mdl/{artifacts_folder(MODEL, FORK, Candidate(2))}"
    assert "NEURON_RT_VISIBLE_CORES" not in variables


def test_every_core_has_its_shard_of_the_weights() -> None:
    """Compiled with sharded weights, a folder is whole with one file per core."""
    assert expected_files(FORK, 2) == (
        "neuron_config.json",
        "model.pt",
        "weights/tp0_sharded_checkpoint.safetensors",
        "weights/tp1_sharded_checkpoint.safetensors",
    )


def test_a_name_with_a_slash_is_one_folder() -> None:
    """Owner and model do not become two levels."""
    assert model_folder(MODEL).count("/") == 1


def test_a_candidate_has_its_own_batch_name_and_artifacts() -> None:
    """What is compiled depends on the batch, so each has a folder of its own."""
    model, small, large = Model(max_num_seqs=(4, 16)), Candidate(1, 4), Candidate(1, 16)

    assert value_after(serve_command(model, FORK, large), "--max-num-seqs") == "16"
    assert model.served_names(small) == ("Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B-tp1-b4")
    assert artifacts_folder(model, FORK, small) != artifacts_folder(model, FORK, large)
    assert artifacts_folder(model, FORK, small) == artifacts_folder(Model(max_num_seqs=4), FORK, Candidate(1))


@pytest.mark.parametrize(
    ("longest", "buckets"),
    [
        (100, (100,)),
        (128, (128,)),
        (256, (128, 256)),
        (1024, (128, 256, 512, 1024)),
        # NxDI rounds the exponent: to the power below 600, but to 1024 for 1000.
        (600, (128, 256, 600)),
        (1000, (128, 256, 512, 1000)),
    ],
)
def test_every_bucket_that_is_compiled_is_filled_once(longest: int, buckets: tuple[int, ...]) -> None:
    """A prompt and its answer have the tokens of one bucket each, so that no graph is served that never ran."""
    prompts = proof_prompts(Model(max_model_len_tokens=longest), FORK)

    assert tuple(prompt + PROOF_TOKENS for prompt in prompts) == buckets


OWN = Buckets(prompt_tokens=(256,), context_tokens=(384, 512))
LONG = Model(max_model_len_tokens=1024)


@pytest.mark.parametrize(
    ("pair", "flag", "key"),
    [
        (FORK, "--override-neuron-config", None),
        (PLUGIN, "--additional-config", "override_neuron_config"),
    ],
    ids=["0.9.1", "0.16"],
)
def test_stated_buckets_are_said_to_nxd_inference(pair: ImageAndAmi, flag: str, key: str | None) -> None:
    """With the longest of all behind them: without it, longer requests would run in the first graph."""
    said = json.loads(value_after(serve_command(LONG, pair, Candidate(2), OWN), flag))

    assert (said if key is None else said[key]) == {
        **NEURON,
        "enable_bucketing": True,
        "context_encoding_buckets": [256, 1024],
        "token_generation_buckets": [384, 512, 1024],
    }


def test_stated_buckets_are_said_to_todays_plugin() -> None:
    """The longest context has a graph in any case, so the plugin refuses it in the list."""
    command = serve_command(LONG, TODAY, Candidate(2), OWN)

    assert json.loads(value_after(command, "--additional-config"))["neuron_config"] == {
        "num_batched_tokens_buckets": [256, 1024],
        "num_seqs_buckets": [1],
        "decode_context_length_buckets": [384, 512],
    }


@pytest.mark.parametrize("pair", [FORK, PLUGIN, TODAY], ids=["0.9.1", "0.16", "0.29"])
def test_an_empty_list_leaves_the_longest_alone(pair: ImageAndAmi) -> None:
    """One graph for all prompts and one for all contexts: the fastest to compile."""
    none = Buckets(prompt_tokens=(), context_tokens=())
    said = " ".join(serve_command(LONG, pair, Candidate(1), none))

    assert proof_prompts(LONG, pair, none) == (1024 - PROOF_TOKENS,)
    assert "[1024]" in said
    assert "decode_context_length_buckets" not in said


def test_one_list_leaves_the_other_to_the_image() -> None:
    """NxD Inference is told only what is stated."""
    command = serve_command(LONG, FORK, Candidate(1), Buckets(prompt_tokens=(256,)))

    assert "token_generation_buckets" not in value_after(command, "--override-neuron-config")


@pytest.mark.parametrize(
    ("pair", "lengths"),
    [(FORK, (256, 384, 512, 1024)), (TODAY, (256, 384, 512, 1024))],
    ids=["0.9.1", "0.29"],
)
def test_every_stated_bucket_is_filled_once(pair: ImageAndAmi, lengths: tuple[int, ...]) -> None:
    """Those of prompts and those of contexts: no graph is served that never ran."""
    assert tuple(prompt + PROOF_TOKENS for prompt in proof_prompts(LONG, pair, OWN)) == lengths


def test_stated_buckets_are_another_folder() -> None:
    """NxD Inference would load graphs of other lengths without a word."""
    lists = [Buckets(), OWN, Buckets(prompt_tokens=(256,)), Buckets(context_tokens=(256,)), Buckets(prompt_tokens=())]
    folders = {artifacts_folder(LONG, FORK, Candidate(1), each) for each in lists}

    assert len(folders) == 5
    assert artifacts_folder(LONG, FORK, Candidate(1)) in folders
    assert environment(LONG, FORK, Candidate(1), OWN)["NEURON_COMPILED_ARTIFACTS"] == (
        f"/var/mdl/{artifacts_folder(LONG, FORK, Candidate(1), OWN)}"
    )


def test_the_preview_tells_the_graphs() -> None:
    """Stated or not, each kind with its lengths."""
    assert bucket_line(LONG, TODAY, Buckets(prompt_tokens=(256,))) == (
        "Qwen3-0.6B: compiled graphs for prompts of 256, 1024 tokens, and for contexts (prompt and answer) of 1024 "
        "tokens (serving.buckets)"
    )


def test_the_shortest_length_has_a_prompt_all_the_same() -> None:
    """A prompt of no token would be refused."""
    assert proof_prompts(Model(max_model_len_tokens=2), FORK) == (1,)


def test_a_user_without_a_name_in_the_image_is_told_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python, and Torch through it, finds no name for such an id unless the environment says one."""

    def nobody(_: int) -> pwd.struct_passwd:
        raise KeyError("uid not found")

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.setattr(os, "environ", user_variables(Serving(run_as_user=1000)))

    assert getpass.getuser() == "vllm"


def test_the_images_own_user_is_told_nothing() -> None:
    """Root has a name there."""
    assert user_variables(Serving()) == {}
