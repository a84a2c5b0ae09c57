"""What the bench of families serves, and how it words what came of it."""

import pathlib

import pytest

from bench.families import LOADS, Outcome, Trial, family_rows, outcome, trace_rows, traces
from bench.families_published import CONFIGS, cut
from optimal_tp.facts.families import shape_from_config
from optimal_tp.facts.shapes import parameters
from optimal_tp.plan.traces import FORMS, read_trace

PUBLISHED = {
    # The safetensors metadata of each on huggingface.co, read 2026-09 and 2026-10; of Qwen3-0.6B, which stores its tied
    # head as well, the technical report's 0.6 billion to the last one.
    "Llama-3.2-1B": 1_235_814_400,
    "Mistral-7B-v0.3": 7_248_023_552,
    "Gemma-2-2B": 2_614_341_888,
    "Gemma-3-1B": 999_885_952,
    "Phi-3-mini-4k": 3_821_079_552,
    "Granite-3.3-2B": 2_533_539_840,
    "Qwen2.5-0.5B": 494_032_768,
    "Qwen3-0.6B": 596_049_920,
}


@pytest.mark.parametrize("name", CONFIGS)
def test_configs_are_the_published_ones(name: str) -> None:
    """A config.json of mistaken sizes would try another model than it says."""
    assert parameters(shape_from_config(CONFIGS[name], where="config.json")) == PUBLISHED[name]


def test_widths_stay_and_depth_is_cut() -> None:
    """The layers are the family's own, only fewer."""
    small = cut(CONFIGS["Llama-3.2-1B"])

    assert (small["num_hidden_layers"], small["vocab_size"]) == (2, 32_768)
    assert {key for key in small if small[key] != CONFIGS["Llama-3.2-1B"][key]} == {"num_hidden_layers", "vocab_size"}


def test_every_form_of_trace_is_replayed_to_both_calls(tmp_path: pathlib.Path) -> None:
    """30 requests in 15 seconds, of which 28 fit a server of 256 tokens."""
    words = traces(tmp_path)
    found = {read_trace(path).form: read_trace(path, unit="milliseconds") for path in tmp_path.iterdir()}

    assert len(words) == 2 * len(FORMS)
    assert set(found) == {form.name for form in FORMS}
    for trace in found.values():
        fitting = trace.within(256)
        assert (trace.read, fitting.too_long, fitting.without_tokens, len(fitting.shapes)) == (30, 1, 1, 28)


GOOD = Outcome(intended=10, ok=10, prompt_tokens=240, output_tokens=80, counted=(240, 80))


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (GOOD, "10 of 10; 240 + 80 tokens, as the server counts"),
        (
            Outcome(intended=28, ok=28, prompt_tokens=9, output_tokens=8, counted=(9, 8), left_out=2),
            "28 of 28, 2 left out; 9 + 8 tokens, as the server counts",
        ),
        (
            Outcome(intended=10, ok=10, prompt_tokens=240, output_tokens=80, counted=(250, 80)),
            "10 of 10; 240 + 80 tokens, but the server counts (250, 80)",
        ),
        (Outcome(intended=10, ok=10), "10 of 10; None + None tokens, but the server counts None"),
        (Outcome(intended=10, ok=9, failure="HTTP 400: no template"), "9 of 10: HTTP 400: no template"),
        (Outcome(failure="no server"), "0 of 0: no server"),
    ],
    ids=["good", "left out", "others", "uncounted", "failed", "no load"],
)
def test_a_cell_says_whether_tokens_were_counted_right(found: Outcome, words: str) -> None:
    """Right is what the server's own counters say as well."""
    assert found.words == words


def test_a_load_is_read_from_its_json() -> None:
    """The counters are those of the one server; a trace says what it left out."""
    record = {
        "requests": {"intended": 28, "ok": 28},
        "tokens": {"prompt": 9, "output": 8},
        "servers": [{"counted": {"prompt_tokens": 9, "generation_tokens": 8}}],
        "first_failure": None,
        "load": {"trace": {"too_long": 1, "without_tokens": 1}},
    }

    assert outcome(record) == Outcome(intended=28, ok=28, prompt_tokens=9, output_tokens=8, counted=(9, 8), left_out=2)
    assert outcome({**record, "servers": [], "load": {"trace": None}}).counted is None


def test_tables_have_a_row_for_each_trial() -> None:
    """Also for a server that did not start, with its last words."""
    trials = [
        Trial(model="Qwen3-0.6B", ready_seconds=31.4, loads=dict.fromkeys(LOADS, GOOD)),
        Trial(model="Phi-3-mini-4k", failure="ended with status 1"),
    ]

    assert family_rows(trials)[2:] == [
        f"| Qwen3-0.6B | `qwen3` | after 31 s | {GOOD.words} | {GOOD.words} |",
        "| Phi-3-mini-4k | `phi3` | no: ended with status 1 | - | - |",
    ]
    assert trace_rows({"azure to chat": GOOD})[-1] == f"| azure to chat | {GOOD.words} |"
