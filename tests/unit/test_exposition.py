"""What a server says on /metrics is understood under the names of every release, and nothing else is."""

import pytest

from optimal_tp.loadgen.exposition import reading
from optimal_tp.measurement.counters.reading import Gauges, Totals

NEW = """\
# HELP python_gc_objects_collected_total Objects collected during gc
# TYPE python_gc_objects_collected_total counter
python_gc_objects_collected_total{generation="0"} 8123.0
# TYPE process_start_time_seconds gauge
process_start_time_seconds 1.76e+09
process_cpu_seconds_total 12.5
vllm:num_requests_running{engine="0",model_name="a \\"quoted\\" }name"} 2.0
vllm:num_requests_running{engine="1",model_name="m"} 1.0
vllm:num_requests_waiting{engine="0",model_name="m"} 3.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.75
vllm:prefix_cache_queries_total{engine="0",model_name="m"} 100.0
vllm:prefix_cache_queries_created{engine="0",model_name="m"} 1.764e+09
vllm:prefix_cache_hits_total{engine="0",model_name="m"} 10.0
vllm:num_preemptions_total{engine="0",model_name="m"} 0.0
vllm:prompt_tokens_total{engine="0",model_name="m"} 1.5e+06
vllm:prompt_tokens_total{engine="1",model_name="m"} 7.0
vllm:generation_tokens_total{engine="0",model_name="m"} 70.0
vllm:request_success_total{engine="0",finished_reason="stop",model_name="m"} 1.0
vllm:request_success_total{engine="0",finished_reason="length",model_name="m"} 4.0
vllm:request_success_total{engine="0",finished_reason="abort",model_name="m"} 9.0
vllm:request_success_total{engine="0",finished_reason="error",model_name="m"} 9.0
vllm:request_queue_time_seconds_sum{engine="0",model_name="m"} 1.25
vllm:request_queue_time_seconds_count{engine="0",model_name="m"} 5.0
vllm_neuron:compilation_time_seconds{model_name="m",bucket_name="prefill_s1024",rank_id="0"} 30.0
vllm_neuron:compilation_time_seconds{model_name="m",bucket_name="decode_b4",rank_id="0"} 12.0
vllm_neuron:compilation_time_seconds{model_name="m",bucket_name="decode_b4",rank_id="1"} 11.0
vllm_neuron:model_load_time_seconds{model_name="m",rank_id="0"} 8.0
vllm_neuron:model_load_time_seconds{model_name="m",rank_id="1"} 9.0
vllm_neuron:startup_time_seconds{model_name="m"} 61.5
vllm_neuron:num_seqs_padding_sum{model_name="m",rank_id="0"} 40.0
vllm_neuron:num_seqs_padding_sum{model_name="m",rank_id="1"} 40.0
vllm_neuron:num_batched_tokens_padding_sum{model_name="m"} 900.0
vllm_neuron:neff_execution_count_total{model_name="m"} 33.0
"""


def test_todays_names_are_summed_over_engines() -> None:
    """Counters are added up, of ranks that do the same work one counts, aborted requests do not; labels are parsed."""
    found = reading(NEW, 1.0)

    assert found is not None
    assert found.started_epoch_seconds == 1.76e9
    assert found.gauges == Gauges(running=3, waiting=3, kv_use=0.75)
    assert (found.start_up_seconds, found.compile_seconds, found.load_seconds) == (61.5, 42.0, 9.0)
    assert found.totals == Totals(
        prompt_tokens=1_500_007,
        generation_tokens=70,
        requests=5,
        preemptions=0,
        prefix_queries=100,
        prefix_hits=10,
        queue_seconds=1.25,
        queue_requests=5,
        process_cpu_seconds=12.5,
        neff_executions=33,
        padded_sequences=40,
        padded_tokens=900,
    )


def test_former_names_say_the_same() -> None:
    """KV use and the prefix cache were called gpu_ something until 2025."""
    old = "\n".join(
        f"vllm:{line}"
        for line in (
            'generation_tokens_total{model_name="m"} 7',
            'gpu_cache_usage_perc{model_name="m"} 0.5',
            'gpu_prefix_cache_queries_total{model_name="m"} 20',
            'gpu_prefix_cache_hits_total{model_name="m"} 4',
        )
    )

    found = reading(old, 1.0)

    assert found is not None
    assert found.totals == Totals(generation_tokens=7, prefix_queries=20, prefix_hits=4)
    assert found.gauges == Gauges(kv_use=0.5)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>Not here</html>",
        "sglang:prompt_tokens_total 4\n",
        "vllm:num_requests_running 4\nvllm:num_requests_waiting 1\n",
        'vllm:prompt_tokens_total{model_name="m} 4',
        "vllm:prompt_tokens_total NaN\n",
    ],
    ids=["nothing", "a page", "another make", "a router's gauges", "broken", "no number"],
)
def test_what_counts_no_tokens_is_not_read(text: str) -> None:
    """Absent counters are None, never 0."""
    assert reading(text, 1.0) is None


def test_broken_lines_of_others_do_not_matter() -> None:
    """Whatever stands beside the counters that are used is not parsed."""
    found = reading('what ever{ 1\nvllm:prompt_tokens_total{model_name="m"} 4\nvllm_x{y="} 3', 1.0)

    assert found is not None
    assert found.totals == Totals(prompt_tokens=4)
