"""Traces of others: found by the names of their columns, read in order, and told by file, line, value and rule."""

import pathlib

import pytest

from optimal_tp.plan.lengths import Shape
from optimal_tp.plan.traces import Trace, Unit, portable, read_trace
from tests.fakes_samples import whole

COUNT = "must be a whole number of tokens, at least 0"
AZURE_2023 = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:17:03.9799600,4808,10
2023-11-16 18:17:05.4799600,3180,8
"""
AZURE_2024 = """TIMESTAMP,ContextTokens,GeneratedTokens
2024-05-12 00:00:00.5+00:00,2162,5
2024-05-12 00:00:02+00:00,2399,6
"""
AZURE_IMAGES = """TIMESTAMP,NumImages,ContextTokens,GeneratedTokens
2024-10-23 20:00:00,1,1100,40
2024-10-23 20:00:01.5,0,200,30
"""
BURST_1 = """Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
5,ChatGPT,472,18,490,Conversation log
6.5,ChatGPT,1087,230,1317,Conversation log
"""
BURST_2 = """Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type
19440110.0,7,3.5,GPT-4,100,20,120,API log
19440111.5,,0.5,GPT-4,30,40,70,API log
"""
MOONCAKE = """{"timestamp": 27482, "input_length": 6955, "output_length": 52, "hash_ids": [46, 47]}
{"timestamp": 28982, "input_length": 6472, "output_length": 26, "hash_ids": [46, 48]}
"""
AIPERF = """{"session_id": "a", "timestamp": 0, "input_length": 300, "output_length": 40}
{"session_id": "b", "timestamp": 1500.0, "input_length": 200, "output_length": 50}
"""
OWN = """{"seconds": 0, "prompt_tokens": 3, "output_tokens": 4}
{"seconds": 1.5, "prompt_tokens": 5, "output_tokens": 6}
"""
OWN_CSV = "seconds,prompt_tokens,output_tokens\n0,3,4\n1.5,5,6\n"


def read(text: str, folder: pathlib.Path, *, most: int | None = None, unit: Unit | None = None) -> Trace:
    """Return the trace in ``text``."""
    path = folder / "trace"
    path.write_bytes(text.encode())
    return read_trace(path, most_requests=most, unit=unit)


@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        (AZURE_2023, (Shape(4808, 10), Shape(3180, 8))),
        (AZURE_2024, (Shape(2162, 5), Shape(2399, 6))),
        (AZURE_IMAGES, (Shape(1100, 40), Shape(200, 30))),
        (BURST_1, (Shape(472, 18), Shape(1087, 230))),
        (BURST_2, (Shape(100, 20), Shape(30, 40))),
        (MOONCAKE, (Shape(6955, 52), Shape(6472, 26))),
        (AIPERF, (Shape(300, 40), Shape(200, 50))),
        (OWN, (Shape(3, 4), Shape(5, 6))),
        (OWN_CSV, (Shape(3, 4), Shape(5, 6))),
    ],
    ids=["Azure 2023", "Azure 2024", "images", "BurstGPT 1", "BurstGPT 2", "Mooncake", "AIPerf", "own", "CSV"],
)
@pytest.mark.parametrize(("mark", "end"), [("", "\n"), ("\ufeff", "\r\n")], ids=["plain", "from Windows"])
def test_every_form_is_read(tmp_path: pathlib.Path, text: str, shapes: tuple[Shape, ...], mark: str, end: str) -> None:
    """Its tokens, and 1.5 s between its two requests, with a byte order mark and other line ends too."""
    trace = read(mark + text.replace("\n", end), tmp_path, unit="milliseconds")

    assert trace.shapes == shapes
    assert trace.times == pytest.approx((0, 1.5), abs=1e-6)
    assert (trace.read, trace.is_cut) == (2, False)


def test_milliseconds_are_never_guessed(tmp_path: pathlib.Path) -> None:
    """Mooncake writes them and others write seconds under the same name: the file does not say, so the user must."""
    assert not read(MOONCAKE, tmp_path).has_unit
    assert read(MOONCAKE, tmp_path, unit="milliseconds").has_unit
    assert read(BURST_1, tmp_path).has_unit


def test_requests_come_by_time(tmp_path: pathlib.Path) -> None:
    """A file in disorder is sorted; the first request is at 0."""
    trace = read("seconds,prompt_tokens,output_tokens\n9,5,6\n4,3,4\n", tmp_path)

    assert (trace.shapes, trace.times) == ((Shape(3, 4), Shape(5, 6)), (0, 5))


def test_a_table_of_lengths_has_no_times(tmp_path: pathlib.Path) -> None:
    """Lengths alone are enough where arrivals are random; they keep the file's order."""
    trace = read("prompt_tokens,output_tokens\n9,5\n4,3\n", tmp_path)

    assert (trace.shapes, trace.times) == ((Shape(9, 5), Shape(4, 3)), None)


def test_what_is_left_out_is_counted(tmp_path: pathlib.Path) -> None:
    """Requests that had failed, longer ones than the model holds, and what was not read."""
    rows = ["0,10,5", "1,10,0", "2,90,11", "3,90,10", "4,1,1"]
    trace = read("seconds,prompt_tokens,output_tokens\n" + "\n".join(rows) + "\n", tmp_path, most=4).within(100)

    assert trace.shapes == (Shape(10, 5), Shape(90, 10))
    assert trace.times == (0, 3)
    assert (trace.read, trace.too_long, trace.without_tokens, trace.is_cut) == (4, 1, 1, True)
    assert (trace.longest_output, trace.mean_output) == (10, 7.5)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (AZURE_2023.replace("3180", "many"), f"line 3: ContextTokens {COUNT} (got 'many')"),
        (AZURE_2023.replace("3180", "-3"), f"line 3: ContextTokens {COUNT} (got '-3')"),
        (
            AZURE_2023.replace("2023-11-16 18:17:05", "yesterday"),
            (
                "line 3: TIMESTAMP must be a date and a time, for example 2023-11-16 18:17:03.9799600 "
                "(got 'yesterday.4799600')"
            ),
        ),
        (AZURE_2023.replace(",8\n", "\n"), "line 3 must have 3 columns, as the header (got 2)"),
        (BURST_1.replace("6.5", "x"), "line 3: Timestamp must be a number (got 'x')"),
        (OWN.replace("1.5", "NaN"), "line 2: seconds must be a number (got nan)"),
        (OWN.replace("6}", "6.5}"), f"line 2: output_tokens {COUNT} (got 6.5)"),
        (OWN.replace("6}", "true}"), f"line 2: output_tokens {COUNT} (got True)"),
        (
            OWN.replace("6}", "6"),
            'line 2 must be one JSON object (got \'{"seconds": 1.5, "prompt_tokens": 5, "output_tokens": 6\')',
        ),
        (
            MOONCAKE.replace('"input_length": 6472', '"text_input": "why"'),
            "line 2 must have input_length, as every request of a Mooncake or AIPerf trace",
        ),
        ("prompt_tokens,output_tokens\n0,3\n", "must have a request with prompt and output; 1 request was read"),
        (
            "a,b\n1,2\n",
            (
                "line 1 must have one of these pairs of columns or keys: "
                "ContextTokens and GeneratedTokens, Request tokens and Response tokens, "
                "input_length and output_length, prompt_tokens and output_tokens (got a, b)"
            ),
        ),
    ],
)
def test_a_bad_file_is_told_by_line_value_and_rule(tmp_path: pathlib.Path, text: str, sentence: str) -> None:
    """One sentence names the file, the line, what stands there and what should."""
    with pytest.raises(ValueError, match=whole(f"{tmp_path / 'trace'} {sentence}")):
        read(text, tmp_path)


def test_a_trace_without_a_request_that_fits_is_refused(tmp_path: pathlib.Path) -> None:
    """Nothing could be sent."""
    sentence = f"{tmp_path / 'trace'} has no request within 10 tokens, prompt and output together; 2 were read"
    with pytest.raises(ValueError, match=whole(sentence)):
        read(AZURE_2023, tmp_path).within(10)


def test_a_binary_file_is_told(tmp_path: pathlib.Path) -> None:
    """Such as one that is compressed."""
    (tmp_path / "trace").write_bytes(b"\x1f\x8b\x08")
    with pytest.raises(ValueError, match=r"trace must be text in UTF-8 \(invalid start byte at byte 1\)$"):
        read_trace(tmp_path / "trace")


@pytest.mark.parametrize("text", [AZURE_2023, BURST_2, "prompt_tokens,output_tokens\n9,5\n4,0\n3,1\n"])
def test_a_trace_travels_without_a_change(tmp_path: pathlib.Path, text: str) -> None:
    """What a pod reads is what the file has: sizes, times, and whether there are more requests."""
    (tmp_path / "there").write_text(portable(_written(tmp_path, text), most_requests=1))
    here, there = (read_trace(tmp_path / name, most_requests=1) for name in ("trace", "there"))

    assert (there.shapes, there.read, there.is_cut) == (here.shapes, 1, True)
    (tmp_path / "there").write_text(portable(tmp_path / "trace", most_requests=9))
    here, there = (read_trace(tmp_path / name) for name in ("trace", "there"))

    assert (there.shapes, there.without_tokens, there.is_cut) == (here.shapes, here.without_tokens, False)
    assert (there.times is None) == (here.times is None)
    assert there.times is None or there.times == pytest.approx(here.times, abs=0.001)


def _written(folder: pathlib.Path, text: str) -> pathlib.Path:
    path = folder / "trace"
    path.write_text(text)
    return path
