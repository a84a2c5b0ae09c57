"""The load command's options: every bad one is named at once."""

import argparse
import pathlib

import pytest

from infra.errors import SettingsError
from tests.fakes_samples import whole
from workloads.loadgen import options, schedule

URL_RULE = "a server is http://host:port or https://host:port, with a path in front of /v1 where it has one"


def parsed(*words: str) -> argparse.Namespace:
    """Return arguments for one server and an output."""
    parser = argparse.ArgumentParser()
    options.configure(parser)
    return parser.parse_args(["--url", "http://h:1", "--output", "o/r.json", *words])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--concurrency", "4", "--think-seconds", "1"], schedule.Closed(concurrency=4, think_seconds=1)),
        (["--mode", "constant", "--rate", "5"], schedule.Constant(rate_per_second=5)),
        (["--mode", "poisson", "--rate", "5", "--seed", "3"], schedule.Poisson(rate_per_second=5, seed=3)),
        (["--mode", "rising", "--rates", "1,2.5"], schedule.Rising(rates_per_second=(1, 2.5), step_seconds=10)),
        (["--mode", "seed", "--url", "http://h:2"], schedule.Rotation(servers=2)),
    ],
)
def test_modes_become_schedules(words: list[str], expected: schedule.Arrivals) -> None:
    """Each mode takes its own options."""
    assert options.checked(parsed("--seconds", "1", *words)).arrivals == expected


def test_a_trace_is_read(tmp_path: pathlib.Path) -> None:
    """Its own end bounds it: no seconds are needed."""
    path = tmp_path / "trace.jsonl"
    path.write_text('{"seconds": 0, "prompt_tokens": 3, "output_tokens": 4}\n')
    arrivals = options.checked(parsed("--mode", "trace", "--trace", str(path))).arrivals

    assert arrivals == schedule.Replay(requests=(schedule.Recorded(seconds=0, prompt_tokens=3, output_tokens=4),))


def test_samples_lie_beside_the_output() -> None:
    """Unless another file is named."""
    assert options.checked(parsed("--seconds", "1")).samples == pathlib.Path("o/r.samples.jsonl")
    assert options.checked(parsed("--seconds", "1", "--samples", "x")).samples == pathlib.Path("x")


def test_headers_are_taken_apart() -> None:
    """A value may have colons in it."""
    asked = options.checked(parsed("--seconds", "1", "--header", "Authorization: Bearer a:b"))

    assert asked.headers == (("Authorization", "Bearer a:b"),)


@pytest.mark.parametrize(
    ("words", "sentences"),
    [
        ([], ["--seconds is None; --seconds or --requests bounds the load; give another one"]),
        (
            ["--requests", "0", "--max-tokens", "-1", "--limit-ms", "nan", "--grace-seconds", "-2"],
            [
                "--requests is 0; it is a whole number of at least 1; give another one",
                "--max-tokens is -1; it is a whole number of at least 1; give another one",
                "--limit-ms is nan; it is a finite number above 0; give another one",
                "--grace-seconds is -2.0; it is a finite number of at least 0; give another one",
            ],
        ),
        (
            ["--seconds", "1", "--mode", "poisson"],
            ["--rate is None; it is given exactly with --mode constant or poisson; give another one"],
        ),
        (
            ["--seconds", "1", "--rate", "3"],
            ["--rate is 3.0; it is given exactly with --mode constant or poisson; give another one"],
        ),
        (
            ["--mode", "rising", "--rates", "1,x"],
            ["--rates is '1,x'; it is numbers above 0 with commas between them; give another one"],
        ),
        (
            ["--seconds", "1", "--prompt", "file"],
            ["--prompt-file is None; it is given exactly with --prompt file; give another one"],
        ),
        (
            ["--seconds", "1", "--url", "h:1", "--header", "oops"],
            [
                f"--url is 'h:1'; {URL_RULE}; give another one",
                "--header is 'oops'; it is a name, a colon and a value, on one line; give another one",
            ],
        ),
    ],
)
def test_bad_options_are_all_named(words: list[str], sentences: list[str]) -> None:
    """One error lists each with its value, rule and remedy."""
    with pytest.raises(SettingsError, match=whole("\n".join(sentences))):
        options.checked(parsed(*words))


def test_files_that_cannot_be_read_are_named(tmp_path: pathlib.Path) -> None:
    """A missing trace and an empty file of prompts."""
    empty = tmp_path / "empty.txt"
    empty.write_text("\n")
    with pytest.raises(
        SettingsError, match=r"^--trace is '/none'; .*No such file or directory: '/none'; give another one$"
    ):
        options.checked(parsed("--mode", "trace", "--trace", "/none"))
    sentence = "the prompt file has no line with text; it has one prompt a line"

    with pytest.raises(SettingsError, match=whole(f"--prompt-file is '{empty}'; {sentence}; give another one")):
        options.prompt_lines(empty)
