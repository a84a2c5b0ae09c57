"""Explain the choices of a setting where their names alone say too little."""

import typing

from optimal_tp.facts.engines import BETA, LINE_WORDS
from optimal_tp.facts.versions import PAIRS, ImageAndAmi, host_driver

PAIR_KEY: typing.Final = "infra.neuron.pair"


def notes_of(key: str) -> tuple[str, ...]:
    """Return the lines that explain the choices of the setting ``key``; none where its range is enough."""
    return tuple(line for name, pair in PAIRS.items() for line in _pair_lines(name, pair)) if key == PAIR_KEY else ()


def _pair_lines(name: str, pair: ImageAndAmi) -> list[str]:
    driver = host_driver(pair.ami_release) or "not known here"
    rows = (
        ("engine", LINE_WORDS[pair.line]),
        ("image", pair.image()),
        ("AMI", f"{pair.ami_release}, Neuron driver {driver}, Kubernetes {', '.join(pair.kubernetes)}"),
        ("beta", "yes, AWS calls it beta" if pair.line in BETA else "no"),
        ("support", pair.support),
        ("doubt", pair.doubt),
    )
    return [name, *(f"  {head + ':':<9}{words}" for head, words in rows if words)]
