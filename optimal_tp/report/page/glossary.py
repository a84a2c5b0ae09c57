"""The words of the page that a first reader may not know, as the documents' glossary explains them."""

import typing

WORDS: typing.Final[dict[str, str]] = {
    "degree": "the number of logical cores that share one copy of the model; TP4 is degree 4",
    "candidate": "a degree with a batch, for example TP2 or TP1-B4",
    "batch": "the number of requests that one server works on at a time: vLLM's max_num_seqs",
    "limit": "a percentile of a latency that must not be exceeded, for example 99 % within 400 ms",
    "goodput": "requests per second and core at the highest load that meets the limit",
    "turn": "one stretch of load on one candidate",
    "block": "one turn of every candidate that is still compared, in random order",
    "bracket": "the turns that find roughly how much a candidate can take",
    "at the compared point": "in the turns of the comparison, near the candidate's own capacity",
    "proven": "a rate that the proof showed to hold the limits",
}
"""Word and meaning, in the order in which they are needed."""
