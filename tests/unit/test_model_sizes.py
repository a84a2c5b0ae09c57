"""The sizes of models that no table knows: where they are read, what they say, and what is refused."""

import pytest

from optimal_tp.errors import SettingsError
from optimal_tp.facts.hardware import INSTANCE_TYPES
from optimal_tp.facts.sizes import INDEX, sizes_from_config
from optimal_tp.plan.feasibility import on_cores
from optimal_tp.plan.model_sizes import size_lines, with_sizes
from optimal_tp.settings.stack_file import ClusterSettings, parse_cluster
from tests.fakes_configs import LLAMA, Place

HUB = "https://huggingface.co/meta-llama/Llama-3.2-1B/resolve/abc"
MODEL = {"name": "meta-llama/Llama-3.2-1B", "revision": "abc"}
FILE = "Pulumi.dev.yaml"
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 128}


def asked(read: Place, model: object = MODEL, **serving: object) -> ClusterSettings:
    """Return the settings of ``model`` with the sizes that ``read`` gives."""
    return with_sizes(parse_cluster({"workloads": {"model": model}, "serving": serving}, file=FILE), read, file=FILE)


def line(read: Place, model: object = MODEL, **serving: object) -> str:
    """Return what the preview says of it."""
    (found,) = size_lines(asked(read, model, **serving), 2)
    return found


def refusal(read: Place, **serving: object) -> str:
    """Return why it is refused."""
    with pytest.raises(SettingsError) as caught:
        asked(read, **serving)
    return str(caught.value)


def test_a_known_name_is_not_asked_for() -> None:
    """Nothing is read for it, and the preview says so."""
    place = Place()

    assert line(place, {"name": "Qwen/Qwen3-0.6B"}) == (
        "Qwen3-0.6B: 0.60 billion parameters by arithmetic, head and embedding tied; the KV cache takes 112 KiB a "
        "token (2 x 28 layers x 8 heads of 128 for 16 query heads x 2 bytes); its files have 1.19 GB (2 bytes a "
        "weight, assumed); sizes from the table of known models (Qwen/Qwen3-0.6B)"
    )
    assert place.asked == []


def test_any_other_name_is_read_from_the_hub() -> None:
    """Config and index come from the revision that will be served."""
    place = Place(**{f"{HUB}/config.json": LLAMA, f"{HUB}/{INDEX}": {"metadata": {"total_size": 2_471_628_800}}})

    assert line(place) == (
        "Llama-3.2-1B: 1.24 billion parameters by arithmetic, head and embedding tied, 1.24 billion by "
        "model.safetensors.index.json; the KV cache takes 32 KiB a token (2 x 16 layers x 8 heads of 64 for 32 query "
        f"heads x 2 bytes); its files have 2.47 GB (by model.safetensors.index.json); sizes from {HUB}/config.json"
    )
    assert place.asked == [f"{HUB}/config.json", f"{HUB}/{INDEX}"]


@pytest.mark.parametrize(
    ("serving", "address"),
    [
        ({"model_source": "s3://mine/llama/"}, "s3://mine/llama/config.json"),
        (
            {"model_source": "https://mirror.example/hf"},
            "https://mirror.example/hf/meta-llama/Llama-3.2-1B/resolve/abc/config.json",
        ),
        ({"config_file": "models/llama/config.json"}, "models/llama/config.json"),
        ({"config_file": "models/llama"}, "models/llama/config.json"),
    ],
    ids=["bucket", "mirror", "file", "folder"],
)
def test_the_config_is_read_where_the_settings_say(serving: dict[str, object], address: str) -> None:
    """From the source of the weights, or from a copy on this machine."""
    assert line(Place(**{address: LLAMA}), **serving).endswith(f"; sizes from {address}")


def test_a_file_goes_before_a_known_name() -> None:
    """Who fine-tuned a model with another vocabulary says so."""
    settings = asked(Place(**{"c.json": LLAMA}), {"name": "Qwen/Qwen3-0.6B"}, config_file="c.json")

    assert settings.sizes_of(settings.models[0]).shape.vocab == 128_256


def test_each_model_of_a_sweep_has_a_folder() -> None:
    """As in a bucket, it is called by the model's slug."""
    models = [{"model": {"name": f"me/Own-{size}", "revision": "1"}} for size in ("1B", "2B")]
    serving = {"config_file": "configs", "model_source": "s3://mine"}
    settings = parse_cluster({"workloads": {"models": models}, "serving": serving}, file=FILE)
    read = Place(
        **{f"configs/own-{size}/config.json": {**LLAMA, "num_hidden_layers": n} for size, n in (("1b", 16), ("2b", 32))}
    )
    found = with_sizes(settings, read, file=FILE)

    assert [found.sizes_of(of).shape.layers for of in found.models] == [16, 32]


def test_what_the_arithmetic_does_not_explain_is_counted_on_every_core() -> None:
    """A vision tower stands in the index alone; its two bytes a parameter are no room for a KV cache."""
    index = {"metadata": {"total_size": 2 * (1_235_814_400 + 400_000_000)}}
    read = Place(**{"m/config.json": LLAMA, f"m/{INDEX}": index})
    kind = INSTANCE_TYPES["trn2.3xlarge"]
    settings, plain = asked(read, config_file="m"), asked(Place(**{"m/config.json": LLAMA}), config_file="m")
    more = [
        on_cores(settings, settings.models[0], kind, degree, 1).weights_gib_per_core
        - on_cores(plain, plain.models[0], kind, degree, 1).weights_gib_per_core
        for degree in (1, 4)
    ]

    assert more == pytest.approx([800_000_000 / 2**30] * 2)
    assert (
        "1.64 billion by model.safetensors.index.json (the 0.40 billion beyond are counted whole on every core)"
        in (size_lines(settings, 2)[0])
    )


def test_a_tied_head_that_is_stored_once_more_is_not_counted_again() -> None:
    """Qwen3-0.6B's checkpoint has it twice; the server's own copy is counted already."""
    index = {"metadata": {"total_parameters": 1_235_814_400 + 128_256 * 2048}}
    settings = asked(Place(**{"m/config.json": LLAMA, f"m/{INDEX}": index}), config_file="m")

    assert settings.sizes_of(settings.models[0]).uncounted == 0


def test_windows_and_experts_are_said() -> None:
    """What makes the figures an upper bound, or larger than one expects."""
    config = {**LLAMA, "model_type": "mixtral", "num_local_experts": 8, "sliding_window": 4096}
    said = line(Place(**{"m/config.json": config}), config_file="m")

    assert ", 8 experts among them, all of which are resident" in said
    assert ", at full length although 16 layers look back no more than 4,096 tokens; its files have" in said


def test_an_unknown_family_is_confirmed_by_the_index() -> None:
    """Its layers are Llama's if the index has as many parameters; otherwise nobody knows its memory."""
    config = {**LLAMA, "model_type": "new_decoder"}
    address = "m/config.json"
    rule = (
        f"{address}: model_type: must be a known family, or one whose index of weights confirms that it "
        "counts as llama: with such layers it has 1.24 billion parameters, and {has} (got 'new_decoder'); put "
        "model.safetensors.index.json beside config.json, or set serving.shape_as to a known model with the same sizes"
    )

    def index(total: int) -> Place:
        return Place(**{address: config, f"m/{INDEX}": {"metadata": {"total_size": total}}})

    assert "1.24 billion" in line(index(2_471_628_800), config_file="m")
    assert refusal(index(4_000_000_000), config_file="m") == rule.format(has="its index has 2.00 billion")
    assert refusal(Place(**{address: config}), config_file="m") == rule.format(
        has="no model.safetensors.index.json lies beside it"
    )


@pytest.mark.parametrize(
    ("error", "reason", "before"),
    [
        (FileNotFoundError("HTTP 404 Not Found"), "HTTP 404 Not Found", ""),
        (OSError("timed out"), "timed out", ""),
        (
            PermissionError("HTTP 401 without a token: gated, private, or no such model"),
            "HTTP 401 without a token: gated, private, or no such model",
            "accept its licence there and run `pulumi config set --secret optimal-tp:hub_token`, or ",
        ),
    ],
    ids=["absent", "no answer", "gated"],
)
def test_a_config_that_cannot_be_read_is_one_sentence(error: Exception, reason: str, before: str) -> None:
    """What was asked, why there is none, and the file that helps."""
    assert refusal(Place(**{f"{HUB}/config.json": error})) == (
        "Pulumi.dev.yaml workloads.model.name: must be a model whose sizes are known or whose config.json can be read "
        f"before anything is spent: {HUB}/config.json was not read ({reason}) (got 'meta-llama/Llama-3.2-1B'); {before}"
        "set serving.config_file to a copy of its config.json"
    )


def test_a_file_that_is_not_there_is_one_sentence() -> None:
    """The key, the path, the reason and what it must be."""
    error = FileNotFoundError(2, "No such file or directory")

    assert refusal(Place(**{"none/config.json": error}), config_file="none") == (
        "Pulumi.dev.yaml serving.config_file: must be a model whose sizes are known or whose config.json can be read "
        "before anything is spent: none/config.json was not read (No such file or directory) (got 'none'); set it to a "
        "model's config.json or to the folder that holds it"
    )


@pytest.mark.parametrize(
    ("config", "index", "size", "said"),
    [
        ({}, None, 2 * 1_235_814_400, "2 bytes a weight, by its config.json"),
        ({"torch_dtype": "float32"}, None, 4 * 1_235_814_400, "4 bytes a weight, by its config.json"),
        ({"torch_dtype": "auto"}, None, 2 * 1_235_814_400, "2 bytes a weight, assumed"),
        ({"torch_dtype": "float32"}, {"total_size": 4_943_259_648}, 4_943_259_648, f"by {INDEX}"),
        ({}, {"total_parameters": 1_498_482_688}, 2 * 1_498_482_688, "2 bytes a weight, by its config.json"),
        # 973 million weights in layers at 4.15625 bits, 263 million outside them at 2 bytes.
        (
            {"quantization_config": AWQ},
            None,
            1_031_016_448,
            "4.156 bits a weight of the layers, by its quantization_config",
        ),
        ({"quantization_config": AWQ}, {"total_size": 1_030_000_000}, 1_030_000_000, f"by {INDEX}"),
    ],
    ids=["dtype", "float32", "auto", "index", "index of parameters", "packed", "packed with index"],
)
def test_files_are_as_large_as_the_index_says(
    config: dict[str, object], index: dict[str, object] | None, size: int, said: str
) -> None:
    """What the fetch Job carries through the NAT gateway; without an index it is counted, and the line says how."""
    metadata = None if index is None else {"metadata": index}

    assert sizes_from_config({**LLAMA, **config}, metadata, where="config.json").download(2) == (size, said)


LOADED = (
    "must have weights in BF16 or FP16: AWS's images on NxD Inference load only those, and the image of vLLM's Neuron "
    "plugin adds only fp8 and modelopt, which optimal-tp does not set up (AWS Neuron documentation of SDK 2.32)"
)


def test_packed_weights_are_refused() -> None:
    """AWS's images do not load them, which a compile Job would say an hour later."""
    assert refusal(Place(**{f"{HUB}/config.json": {**LLAMA, "quantization_config": AWQ}})) == (
        f"Pulumi.dev.yaml workloads.model.name: {LOADED}; quantization_config in {HUB}/config.json says awq (got "
        "'meta-llama/Llama-3.2-1B'); use the original model instead of the quantized one"
    )


def test_an_index_with_too_few_bytes_is_of_packed_weights() -> None:
    """ModelOpt keeps its scheme in a file of its own; 1.21 bytes are no BF16."""
    index = {"metadata": {"total_size": 1_500_000_000}}

    assert refusal(Place(**{f"{HUB}/config.json": LLAMA, f"{HUB}/{INDEX}": index})) == (
        f"Pulumi.dev.yaml workloads.model.name: {LOADED}; the {INDEX} beside {HUB}/config.json has 1.50 GB for 1.24 "
        "billion parameters, 1.21 bytes each (got 'meta-llama/Llama-3.2-1B'); use the original model instead of the "
        "quantized one"
    )


def test_an_index_that_is_spoilt_is_not_passed_over() -> None:
    """Without it the model could be larger than it seems."""
    said = refusal(Place(**{"m/config.json": LLAMA, f"m/{INDEX}": b"<html>"}), config_file="m")

    assert "m/model.safetensors.index.json was not read (Expecting value: line 1 column 1 (char 0)) (got 'm')" in said


@pytest.mark.parametrize(
    ("positions", "scaling", "most"),
    [
        (2048, None, 2048),
        (2048, {"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 256}, 2048),
        (2048, {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 1024}, 4096),
        (2048, {"type": "linear", "factor": 2}, 4096),
    ],
)
def test_more_tokens_than_the_model_takes_are_refused(
    positions: int, scaling: dict[str, object] | None, most: int
) -> None:
    """A compile Job would say so an hour later; what stretches positions counts as vLLM counts it."""
    config = {**LLAMA, "max_position_embeddings": positions, "rope_scaling": scaling}
    place = Place(**{f"{HUB}/config.json": config})

    asked(place, {**MODEL, "max_model_len_tokens": most})
    with pytest.raises(SettingsError) as caught:
        asked(place, {**MODEL, "max_model_len_tokens": most + 1})
    assert str(caught.value) == (
        "Pulumi.dev.yaml workloads.model.max_model_len_tokens: must be at most the model's max_position_embeddings, "
        f"{most} ({HUB}/config.json): vLLM refuses to start with more (got {most + 1}); lower it or serve a model with "
        f"a longer context"
    )


def test_a_model_that_is_known_by_name_is_held_to_its_tokens_too() -> None:
    """Unless its sizes are another's: the one that is served may take more."""
    with pytest.raises(
        SettingsError, match=r"must be at most the model's max_position_embeddings, 40960 .* \(got 40961\)"
    ):
        asked(Place(), {"name": "Qwen/Qwen3-4B", "max_model_len_tokens": 40961})
    asked(Place(), {"name": "mine/long", "max_model_len_tokens": 40961}, shape_as="Qwen/Qwen3-4B")


def test_layers_that_turn_positions_each_in_its_way_are_passed_over() -> None:
    """Nobody knows here what vLLM makes of them."""
    ways = {"full_attention": {"rope_type": "linear", "factor": 8.0}, "sliding_attention": {"rope_type": "default"}}
    config = {**LLAMA, "max_position_embeddings": 2048, "rope_parameters": ways}
    asked(Place(**{f"{HUB}/config.json": config}), {**MODEL, "max_model_len_tokens": 4096})
