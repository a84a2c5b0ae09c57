"""The load command's options: every bad one is named at once."""

import argparse
import pathlib
import re

import pytest

from optimal_tp.errors import SettingsError
from optimal_tp.loadgen.command import options, recorded
from optimal_tp.plan import schedule
from tests.fakes_samples import whole

HEADER_RULE = "must be a name, a colon and a value on one line"
MODES = "must be given exactly with --mode constant or poisson"
URL_RULE = "must be http://host:port or https://host:port, then the path before /v1 if there is one"


def parsed(*words: str) -> argparse.Namespace:
    """Return arguments for one server and an output."""
    parser = argparse.ArgumentParser()
    options.configure(parser)
    return parser.parse_args(["--output", "o/r.json", "http://h:1", *words])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--concurrency", "4", "--think-seconds", "1"], schedule.Closed(concurrency=4, think_seconds=1)),
        (["--mode", "constant", "--rate", "5"], schedule.Constant(rate_per_second=5)),
        (["--mode", "constant", "--rate", "5/s"], schedule.Constant(rate_per_second=5)),
        (["--mode", "constant", "--rate", "300/min"], schedule.Constant(rate_per_second=5)),
        (["--mode", "constant", "--rate", "1.8e4/h"], schedule.Constant(rate_per_second=5)),
        (["--mode", "poisson", "--rate", "5", "--seed", "3"], schedule.Poisson(rate_per_second=5, seed=3)),
        (["--mode", "rising", "--rates", "1,2.5"], schedule.Rising(rates_per_second=(1, 2.5), step_seconds=10)),
        (["http://h:2", "--mode", "seed"], schedule.Rotation(servers=2)),
    ],
)
def test_modes_become_schedules(words: list[str], expected: schedule.Arrivals) -> None:
    """Each mode takes its own options."""
    assert options.checked(parsed(*words, "--seconds", "1")).arrivals == expected


def test_a_trace_is_read(tmp_path: pathlib.Path) -> None:
    """Its own end bounds it: no seconds are needed."""
    path = tmp_path / "trace.jsonl"
    path.write_text('{"seconds": 0, "prompt_tokens": 3, "output_tokens": 4}\n')
    arrivals = options.checked(parsed("--mode", "trace", "--trace", str(path))).arrivals

    assert arrivals == schedule.Replay(recorded=(0.0,))


def test_samples_lie_beside_the_output() -> None:
    """Unless another file is named."""
    assert options.checked(parsed("--seconds", "1")).samples == pathlib.Path("o/r.samples.jsonl")
    assert options.checked(parsed("--seconds", "1", "--samples", "x")).samples == pathlib.Path("x")


def test_a_load_that_names_neither_file_nor_end_has_both() -> None:
    """A folder of its own for each load, and 30 seconds; what is named stays."""
    parser = argparse.ArgumentParser()
    options.configure(parser)
    plain, again = (options.checked(parser.parse_args(["http://h:1"])) for _ in range(2))

    assert re.fullmatch(r"out/load-\d{8}T\d{6}Z-[0-9a-f]{4}/load\.json", plain.output.as_posix())
    assert plain.samples == plain.output.parent / "load.samples.jsonl"
    assert plain.output.parent != again.output.parent
    assert (plain.seconds, plain.requests) == (30, None)
    assert options.checked(parsed("--requests", "3")).seconds is None


def test_headers_are_taken_apart() -> None:
    """A value may have colons in it."""
    asked = options.checked(parsed("--seconds", "1", "--header", "Authorization: Bearer a:b"))

    assert asked.access.headers == (("Authorization", "Bearer a:b"),)


@pytest.mark.parametrize(
    ("words", "sentences"),
    [
        (
            ["--requests", "0", "--max-tokens", "-1", "--limit-ms", "nan", "--grace-seconds", "-2"],
            [
                "--requests: must be a whole number of at least 1 (got 0)",
                "--max-tokens: must be a whole number of at least 1 (got -1)",
                "--limit-ms: must be a finite number above 0 (got nan)",
                "--grace-seconds: must be a finite number of at least 0 (got -2)",
            ],
        ),
        (
            ["--seconds", "1", "--mode", "poisson"],
            [f"--rate: {MODES} (not set); add it, or choose another --mode"],
        ),
        (
            ["--seconds", "1", "--rate", "3"],
            [f"--rate: {MODES} (got 3); leave it out, or choose such a --mode"],
        ),
        (
            ["--mode", "rising", "--rates", "1,x"],
            ["--rates: must be numbers above 0 with commas between them (got '1,x'); write it as 1,2,4"],
        ),
        (
            ["--seconds", "1", "--prompt", "file"],
            ["--prompt-file: must be given exactly with --prompt file (not set); name a file"],
        ),
        (
            ["--seconds", "1", "--mode", "constant", "--rate", "3", "--concurrency", "4", "--think-seconds", "0"],
            [
                f"--{option}: must go with --mode closed (got {value}); leave it out, or choose that --mode"
                for option, value in (("concurrency", 4), ("think-seconds", 0))
            ],
        ),
        (
            ["--seconds", "1", "--step-seconds", "5", "--prompt", "seed", "--prompt-tokens", "5"],
            [
                ("--step-seconds: must go with --mode rising (got 5); leave it out, or choose that --mode"),
                ("--prompt-tokens: must go with --prompt synthetic and without --trace (got 5); leave it out"),
            ],
        ),
        (
            ["--seconds", "1", "--samples", "o/../o/r.json", "--output", "o/../o/r.json"],
            [
                (
                    "--samples: must be another file than --output, which is written last (got 'o/../o/r.json'); "
                    "leave it out, or name another file"
                ),
            ],
        ),
        (
            ["--seconds", "1", "--output", "/"],
            ["--output: must name a file; this is a folder (got '/'); name a file in it"],
        ),
        (
            ["--seconds", "1", "--output", "..", "--samples", "/proc"],
            [
                "--output: must name a file; this is a folder (got '..'); name a file in it",
                "--samples: must name a file; this is a folder (got '/proc'); name a file in it",
            ],
        ),
        (
            ["--seconds", "1", "--mode", "poisson", "--rate", "0.001"],
            [
                (
                    "--seconds: must be long enough for the first request of the schedule (got 1); give more "
                    "seconds, or a higher rate"
                ),
            ],
        ),
        (
            ["--seconds", "1", "--header", "two words: x"],
            [
                f"--header: {HEADER_RULE} (got 'two words: ...'); write it as 'Name: value'",
            ],
        ),
        (
            ["h:1", "--seconds", "1", "--header", "oops"],
            [
                f"URL: {URL_RULE} (got 'h:1'); write it as http://127.0.0.1:8001",
                f"--header: {HEADER_RULE} (got 'a line without a colon'); write it as 'Name: value'",
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
        SettingsError,
        match=r"^--trace: must name a readable file \(No such file or directory\) \(got '/none'\); correct the file.*$",
    ):
        options.checked(parsed("--mode", "trace", "--trace", "/none"))
    sentence = "the prompt file must have one prompt per line; it has no line with text"

    with pytest.raises(
        SettingsError, match=whole(f"--prompt-file: {sentence} (got '{empty}'); correct the file, or name another")
    ):
        recorded.prompt_lines(empty)
    empty.write_bytes(b"caf\xe9\n")
    sentence = "must be UTF-8 text, but byte 3 is not (invalid continuation byte)"

    with pytest.raises(
        SettingsError, match=whole(f"--prompt-file: {sentence} (got '{empty}'); correct the file, or name another")
    ):
        recorded.prompt_lines(empty)


def test_a_preset_fills_what_is_not_given() -> None:
    """Lengths, and the strictest of its limits for the client's own punctuality; what is given stays."""
    filled = options.checked(parsed("--preset", "chat", "--seconds", "1"))
    given = options.checked(
        parsed("--preset", "chat", "--seconds", "1", "--max-tokens", "7", "--prompt-tokens", "9", "--limit-ms", "5")
    )
    endless = options.checked(parsed("--preset", "batch", "--seconds", "1"))

    assert (filled.prompt_tokens, filled.max_tokens, filled.limit_ms) == (1020, 129, 40)
    assert (given.prompt_tokens, given.max_tokens, given.limit_ms) == (9, 7, 5)
    assert (endless.prompt_tokens, endless.limit_ms) == (161, None)
