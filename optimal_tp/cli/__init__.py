"""The commands of optimal-tp: one module each, imported only when its command runs."""

import dataclasses
import typing

Group = typing.Literal["Measure", "Read results", "Prepare", "On AWS", "Shell", "Internal"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """One command: its line of help, its place in the list, and the module that runs it."""

    line: str
    group: Group
    module: str = ""
    """Below ``optimal_tp.cli``; empty: the command's own name. It has ``configure(parser)`` and
    ``main(arguments) -> exit status``."""

    @property
    def is_internal(self) -> bool:
        """Return whether only programs use it; lists of commands leave it out."""
        return self.group == "Internal"


COMMANDS: typing.Final = {
    "local": Command(line="run the whole experiment on this machine", group="Measure"),
    "run": Command(line="run the experiment against servers of your own", group="Measure"),
    "sweep": Command(line="run the experiment for several models, one after the other", group="Measure"),
    "load": Command(line="put one load on one server; write JSON and a summary", group="Measure"),
    "report": Command(line="show the verdict of a stored run or sweep and write its report", group="Read results"),
    "compare": Command(line="compare two stored runs", group="Read results"),
    "runs": Command(line="list stored runs with date, model, outcome and winner", group="Read results"),
    "plan": Command(line="plan the fleet that carries a rate within a latency limit", group="Read results"),
    "predict": Command(line="predict an upper bound for each degree by the roofline", group="Prepare"),
    "init": Command(line="write a stack file for AWS from seven answers", group="Prepare", module="setup.init"),
    "settings": Command(
        line="check a stack file, explain a key, print the schema", group="Prepare", module="setup.settings"
    ),
    "doctor": Command(
        line="check what this machine has for local runs and for AWS", group="Prepare", module="setup.doctor"
    ),
    "preflight": Command(line="check your AWS account before a stack is made", group="On AWS"),
    "watch": Command(line="follow a run in the cluster", group="On AWS"),
    "fetch": Command(line="copy stored runs from the bucket to this machine", group="On AWS", module="stack.fetch"),
    "receipt": Command(
        line="print what the Neuron nodes cost, by the newest receipt", group="On AWS", module="stack.receipt"
    ),
    "stop": Command(line="stop the servers of a stack now", group="On AWS", module="stack.stop"),
    "why-pending": Command(
        line="say what the pending pods of a stack wait for", group="On AWS", module="stack.why_pending"
    ),
    "leftovers": Command(line="list what a destroyed stack left behind, its cost, and remove it", group="On AWS"),
    "completion": Command(line="print the completion script of a shell", group="Shell", module="setup.completion"),
    "share": Command(line="run one pod's share of a run that several pods make together", group="Internal"),
    "reference": Command(line="print generated documents and schemas", group="Internal"),
}
"""By name, in the order in which help shows them."""


def module_of(name: str) -> str:
    """Return the module of the command ``name``."""
    return f"{__name__}.{COMMANDS[name].module or name}"
