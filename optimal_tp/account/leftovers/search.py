"""All kinds of resources that a stack, Karpenter, EKS and its drivers make, in the order AWS allows their deletion."""

import typing

from optimal_tp.account.leftovers.identity import IDENTITY
from optimal_tp.account.leftovers.kinds import Kind, Leftover
from optimal_tp.account.leftovers.machines import BALANCING, MACHINES
from optimal_tp.account.leftovers.network import NETWORK
from optimal_tp.account.leftovers.scope import KindSearch, Scope
from optimal_tp.account.leftovers.services import SERVICES
from optimal_tp.account.leftovers.storage import FILES, STORES
from optimal_tp.account.questions import IDENTITY as WHO
from optimal_tp.account.questions import Ask, Question

# Load balancers, nodes and cluster use interfaces, those use subnets and groups, and all of them use roles. The key is
# last, because data that it encrypted cannot be read without it.
KINDS: typing.Final[tuple[Kind, ...]] = (*BALANCING, *MACHINES, *FILES, *NETWORK, *STORES, *IDENTITY, *SERVICES)
LEFTOVERS: typing.Final[tuple[Question, ...]] = (
    WHO,
    *dict.fromkeys(question for kind in KINDS for question in kind.asks),
)
"""The questions of ``leftovers``."""
REMOVALS: typing.Final[tuple[str, ...]] = tuple(sorted({action for kind in KINDS for action in kind.rights}))
"""The further IAM actions that ``--remove`` needs."""


def look_for(kind: Kind, scope: Scope, ask: Ask) -> tuple[list[Leftover], list[str]]:
    """Return the leftovers of ``kind``, including those being deleted, and a sentence for each unknown."""
    look = KindSearch(ask)
    found = kind.look(scope, look)
    return found, [f"{kind.plural}: {reason}" for reason in look.unknown]


def search(scope: Scope, ask: Ask) -> tuple[list[Leftover], list[str]]:
    """Return the stack's leftovers, and a sentence for each kind whose search was not complete."""
    found: list[Leftover] = []
    unknown: list[str] = []
    for kind in KINDS:
        things, doubts = look_for(kind, scope, ask)
        found += [each for each in things if not each.is_going]
        unknown += doubts
    return found, unknown
