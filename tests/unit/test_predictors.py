"""Readers of predictions: each form with its units and traps, and everything that is wrong with a file at once."""

import pathlib
import re
import typing

import numpy as np
import pytest

from optimal_tp.errors import SettingsError
from optimal_tp.results.predictors import dynamo, neutral
from optimal_tp.results.predictors.prediction_files import read_stated
from optimal_tp.settings.workload import Load
from optimal_tp.verdict.predictors.stated import Stated, StatedRow

FILES = pathlib.Path(__file__).parents[1] / "predictions"
LOAD = Load(prompt_tokens=30, output_tokens=50)


def read(*names: str) -> Stated:
    """Return what the example files of these names state."""
    return read_stated([re.sub(r"[^=]+$", lambda name: str(FILES / name[0]), name) for name in names], LOAD)


def refused(path: pathlib.Path, text: str) -> list[str]:
    """Return the sentences about a file with this text."""
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        read_stated([str(path)], LOAD)
    return str(caught.value).replace(f"{path.parent}/", "").splitlines()


def test_the_neutral_form_is_read_from_csv() -> None:
    """Rates are those of ``cores``; every column has its place."""
    found = read("planner.csv")

    assert (found.predictor, found.version, found.file) == ("A planner", "1.4", "planner.csv")
    assert [row.per_core("output_tokens_per_second") for row in found.rows] == [345, 98, 245]
    assert found.rows[1] == StatedRow(
        place="planner.csv:3",
        degree=2,
        in_flight=1,
        ttft_ms=25.5,
        tpot_ms=4.68,
        output_tokens_per_second=196,
        cores=2,
        input_tokens=30,
        output_tokens=50,
        model="Qwen/Qwen3-0.6B",
    )


def test_the_neutral_form_is_read_from_json() -> None:
    """What stands beside the rows is each row's, and the place of a row is its line."""
    found = read("planner.json")

    assert [row.place for row in found.rows] == ["planner.json:6", "planner.json:7"]
    assert [row.model for row in found.rows] == ["Qwen/Qwen3-0.6B"] * 2
    assert [row.cores for row in found.rows] == [1, 2]


def test_rates_without_cores_are_those_of_one_server(tmp_path: pathlib.Path) -> None:
    """A planner's table usually has the rates of one replica."""
    (tmp_path / "a.csv").write_text("degree,output_tokens_per_second\n4,400\n")
    (row,) = read_stated([str(tmp_path / "a.csv")], LOAD).rows

    assert row.per_core("output_tokens_per_second") == 100


def test_the_neutral_form_comes_back_as_it_was_written(tmp_path: pathlib.Path) -> None:
    """What ``predict`` writes, ``report`` reads."""
    found = read("planner.csv")
    (tmp_path / "again.json").write_text(neutral.encode(found))
    again = read_stated([str(tmp_path / "again.json")], LOAD)

    assert [row.degree for row in again.rows] == [1, 2, 4]
    assert [row.tpot_ms for row in again.rows] == [row.tpot_ms for row in found.rows]
    assert (again.predictor, again.version) == ("A planner", "1.4")


def test_aiconfigurator_is_per_gpu_and_without_the_first_token() -> None:
    """A tpot that includes the first token, which nothing marks, is found by the tokens per user and mended."""
    found = read("aiconfigurator.csv")

    assert [(row.degree, row.in_flight, row.cores) for row in found.rows] == [(1, 1, 1), (1, 8, 1), (2, 4, 1)]
    assert [row.per_core("output_tokens_per_second") for row in found.rows] == [172.5, 790, 433]
    assert [row.tpot_ms for row in found.rows] == [5.32, 9.1, pytest.approx(4.092, abs=0.001)]
    assert found.notes == (
        "1 row is left out: split in other ways than by tensor parallelism",
        "tpot of 1 row included the first token (--inclusive-tpot), which was subtracted",
        "predicted for h200_sxm vllm 0.12.0",
    )


def test_a_tpot_that_contradicts_the_tokens_per_user_is_left_out(tmp_path: pathlib.Path) -> None:
    """A figure of unknown meaning is none."""
    (tmp_path / "a.csv").write_text("tp,tokens/s/gpu,tokens/s/user,tpot,ttft,osl\n1,100,10,50,20,50\n")
    found = read_stated([str(tmp_path / "a.csv")], LOAD)

    assert (found.rows[0].tpot_ms, found.notes) == (
        None,
        ("tpot of 1 row contradicts tokens/s/user; it is left out",),
    )


def test_a_disaggregated_deployment_is_refused(tmp_path: pathlib.Path) -> None:
    """Servers for prefill alone are no candidate of a run."""
    text = "(p)tp,(d)tp,tokens/s/gpu\n1,2,100\n"

    assert refused(tmp_path / "a.csv", text) == [
        (
            "a.csv:2 (d)tp: must be of servers that do prefill and decode (the files in its folder agg) (got '2'); "
            "name pareto.csv of agg"
        )
    ]


def test_vidur_counts_seconds_and_the_whole_cluster() -> None:
    """Seconds become milliseconds, a rate is that of all replicas, and a rate at which queues grow is none."""
    found = read("vidur.csv")

    assert [(row.degree, row.cores, row.requests_per_second) for row in found.rows] == [(1, 2, 4), (2, 2, 3)]
    assert [(row.ttft_ms, row.tpot_ms) for row in found.rows] == [(29, 5.3), (25, 4.7)]
    assert found.notes == (
        "1 row has pipeline stages: left out",
        "1 row has queues that grow (scheduling delay above 5 s): left out",
    )


def test_repeated_runs_of_a_sweep_are_averaged() -> None:
    """The best of several runs would be their noise; dashes and underscores are the same flag."""
    found = read("sweep.csv")

    assert [(row.degree, row.batch, row.output_tokens_per_second) for row in found.rows] == [(1, 1, 172), (2, 1, 196)]
    assert [row.ttft_ms for row in found.rows] == [pytest.approx(29.2), 25.5]
    assert [(row.input_tokens, row.output_tokens) for row in found.rows] == [(30, 50), (30, 50)]
    assert found.notes == ("requests failed in 1 row",)


def test_a_file_without_a_degree_is_named_with_it() -> None:
    """The server's flags are not in a result of vllm bench."""
    assert [row.degree for row in read("tp2=run-0.json").rows] == [2]

    with pytest.raises(SettingsError, match=r"name the file as tp2=run-0\.json$"):
        read("run-0.json")


def profile(folder: pathlib.Path, *, most: int = 1000) -> pathlib.Path:
    """Write a profile of Dynamo in which figures are linear in context and use; return its folder."""
    use, context = (axis.ravel() for axis in np.meshgrid([0.0, 0.5, 1.0], [10.0, 50.0, 200.0]))
    for name, arrays in (
        (dynamo.PREFILL, {"prefill_isl": [10.0, 50.0], "prefill_ttft": [10.0, 30.0]}),
        (
            dynamo.DECODE,
            {
                "x_kv_usage": use,
                "y_context_length": context,
                "z_itl": 5 + 10 * use + context / 100,
                "z_thpt_per_gpu": 100 * use + 1,
                "max_kv_tokens": [most],
            },
        ),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        held: dict[str, typing.Any] = {key: np.array(value) for key, value in arrays.items()}
        np.savez(folder / name, **held)
    return folder


def test_a_profile_of_dynamo_is_read_at_the_runs_lengths(tmp_path: pathlib.Path) -> None:
    """Context is the prompt and half of the output; in flight is the memory in use over it."""
    found = read_stated([f"TP4={profile(tmp_path)}"], LOAD)
    full = found.rows[-1]

    assert [full.degree, full.cores, full.in_flight] == pytest.approx([4, 1, 1000 / 55])
    assert [full.ttft_ms, full.tpot_ms] == pytest.approx([20, 15.55])
    assert full.output_tokens_per_second == pytest.approx(101)


def test_beyond_a_profile_nothing_is_said(tmp_path: pathlib.Path) -> None:
    """A longer request than any that was profiled is refused, with the range."""
    with pytest.raises(SettingsError, match=r"must have contexts around 2250 tokens; its own are 10 to 200 "):
        read_stated([f"4={profile(tmp_path)}"], Load(prompt_tokens=2000, output_tokens=500))


def test_a_profile_needs_its_degree(tmp_path: pathlib.Path) -> None:
    """The chosen degree stands in another file."""
    with pytest.raises(
        SettingsError, match="must be named with its degree, because a profile of Dynamo does not have it"
    ):
        read_stated([str(profile(tmp_path))], LOAD)


def test_every_bad_cell_is_told_at_once(tmp_path: pathlib.Path) -> None:
    """File, line, value and rule of each."""
    text = "degree,ttft_ms,tpot_mss,output_tokens_per_second\n0,fast,1,10\n2.5,,2,\n"

    assert refused(tmp_path / "bad.csv", text) == [
        f"bad.csv:2 tpot_mss: must be one of {', '.join(neutral.COLUMNS)} (got '1'); did you mean tpot_ms?",
        "bad.csv:2 degree: must be a number above 0 (got '0'); correct the file",
        "bad.csv:2 ttft_ms: must be a number above 0 (got 'fast'); correct the file",
        f"bad.csv:3 tpot_mss: must be one of {', '.join(neutral.COLUMNS)} (got '2'); did you mean tpot_ms?",
        "bad.csv:3 degree: must be a whole number from 1 (got '2.5'); correct the file",
        (
            "bad.csv:3 figures: must have at least one of ttft_ms, tpot_ms, output_tokens_per_second, "
            "requests_per_second (not set); correct the file"
        ),
    ]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "must be CSV with a line of column names, or JSON"),
        ('{"rows": [1]}', "must have objects as its rows"),
        ('{"rows": ', "must be JSON (Expecting value: line 1 column 10 (char 9))"),
        ("degree,ttft_ms\n1\n", "must have 2 cells in every line (line 2 has not)"),
        ("degree,ttft_ms\n1,2,3\n", "must have 2 cells in every line (line 2 has not)"),
    ],
    ids=["empty", "no objects", "cut", "short line", "long line"],
)
def test_a_broken_file_is_one_sentence(tmp_path: pathlib.Path, text: str, rule: str) -> None:
    """Its name, the rule and what to do."""
    assert refused(tmp_path / "a.csv", text) == [f"--predicted: {rule} (got 'a.csv'); correct the file"]


def test_an_unknown_form_is_told_with_its_columns(tmp_path: pathlib.Path) -> None:
    """The reader sees what was found in place of a known form."""
    (sentence,) = refused(tmp_path / "a.csv", "a,b\n1,2\n")

    assert sentence.startswith("--predicted: must be our neutral form, AIConfigurator, ")
    assert sentence.endswith("; it has a, b (got 'a.csv'); name another file")


def test_a_missing_file_is_told() -> None:
    """Not a trace."""
    with pytest.raises(SettingsError, match=r"must be a file that can be read \(No such file or directory\)"):
        read("nowhere.csv")


def test_files_of_two_predictors_are_not_mixed() -> None:
    """An order across predictors would be nobody's."""
    with pytest.raises(SettingsError, match=r"--predicted: must all be of one predictor \(got 'A planner, Vidur'\)"):
        read("planner.csv", "vidur.csv")
