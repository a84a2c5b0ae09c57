"""Candidates as records and run plans store them: a degree as its number, a degree with a batch as ``tp1-b4``."""

import typing

import pydantic

from optimal_tp.facts.candidates import Candidate, candidate
from optimal_tp.settings.parser import broken


def _read(value: object) -> Candidate:
    if isinstance(value, Candidate):
        return value
    try:
        return candidate(str(value))
    except ValueError:
        raise broken("must be a degree (2) or a degree and its batch (tp2-b16)") from None


def _plain(of: Candidate) -> int | str:
    return of.degree if of.max_num_seqs is None else of.slug


CandidateName = typing.Annotated[Candidate, pydantic.PlainValidator(_read), pydantic.PlainSerializer(_plain)]
"""A candidate, read from its number or its name; without a batch it is written as a number, as in older records."""

Named = typing.Annotated[
    str,
    pydantic.PlainValidator(lambda said: _read(said).name),
    pydantic.PlainSerializer(lambda name: _plain(candidate(name))),
]
"""The same, written as its name for people: "TP1", "TP1-B4"."""
