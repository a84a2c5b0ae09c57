"""Batches (requests that a server works on at a time): one number, a list, a map by degree, or auto."""

import itertools
import typing

import pydantic

from optimal_tp.settings.parser import broken

MOST = 16_384
"""Largest batch. With it, the whole name of a server stays within Kubernetes' 63 characters."""


def _power_of_two(degree: int) -> int:
    if degree < 1 or degree & (degree - 1):
        raise broken("must be a power of two from 1 to 64, for example 4")
    return degree


Degree = typing.Annotated[int, pydantic.AfterValidator(_power_of_two)]
"""A tensor-parallel degree: the logical cores of one server."""


def _rising(batches: tuple[int, ...]) -> tuple[int, ...]:
    if not batches or any(b <= a for a, b in itertools.pairwise(batches)):
        raise broken("must be a list of rising batches, each once, for example [1, 4, 16]")
    return batches


def _kind(value: object) -> str | None:
    """Return the form of ``value``; None if it has none of the known forms."""
    if isinstance(value, dict):
        return "<map>"
    if isinstance(value, (list, tuple)):
        return "<list>"
    if isinstance(value, str):
        return "<auto>" if value == "auto" else None
    return "<one>" if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _forms(rule: str) -> pydantic.Discriminator:
    """Return the discriminator between the forms of a field; ``rule`` names all of them."""
    return pydantic.Discriminator(_kind, custom_error_type="broken_rule", custom_error_message=rule)


_Batch = typing.Annotated[int, pydantic.Field(ge=1, le=MOST), pydantic.Tag("<one>")]
_Several = typing.Annotated[
    tuple[typing.Annotated[int, pydantic.Field(ge=1, le=MOST)], ...],
    pydantic.AfterValidator(_rising),
    pydantic.Tag("<list>"),
]
_OfDegree = typing.Annotated[_Batch | _Several, _forms("must be a whole number of at least 1 or a list of them")]
_ByDegree = typing.Annotated[dict[Degree, _OfDegree], pydantic.Tag("<map>")]
_Auto = typing.Annotated[typing.Literal["auto"], pydantic.Tag("<auto>")]
Batches = typing.Annotated[
    _Batch | _Several | _ByDegree | _Auto,
    _forms("must be a whole number of at least 1, a list of them, a map of either by degree, or auto"),
]
"""The batches of all degrees, in any form that a settings file allows."""


def batches_of(said: "Batches", degree: int) -> tuple[int, ...]:
    """Return the batches of ``degree``, rising; none where a map leaves it out.

    Raises ValueError for ``auto``, which memory must have decided before.
    """
    if said == "auto":
        raise ValueError("max_num_seqs is 'auto' still; plan.batches.decided puts numbers in its place")
    own = said.get(degree, ()) if isinstance(said, dict) else said
    return own if isinstance(own, tuple) else (own,)
