"""Every kind of thing that a stack, Karpenter, EKS and its drivers make, in the order in which AWS lets them go."""

import typing

from optimal_tp.account.leftovers.identity import IDENTITY
from optimal_tp.account.leftovers.kinds import Kind, Leftover
from optimal_tp.account.leftovers.machines import BALANCING, MACHINES
from optimal_tp.account.leftovers.network import NETWORK
from optimal_tp.account.leftovers.scope import Look, Scope
from optimal_tp.account.leftovers.services import SERVICES
from optimal_tp.account.leftovers.storage import FILES, STORES
from optimal_tp.account.questions import IDENTITY as WHO
from optimal_tp.account.questions import Ask, Question

# Load balancers, nodes and cluster hold interfaces, those hold subnets and groups, roles are used by all of them; the
# key is last, for what it encrypted cannot be read without it.
KINDS: typing.Final[tuple[Kind, ...]] = (*BALANCING, *MACHINES, *FILES, *NETWORK, *STORES, *IDENTITY, *SERVICES)
LEFTOVERS: typing.Final[tuple[Question, ...]] = (
    WHO,
    *dict.fromkeys(question for kind in KINDS for question in kind.asks),
)
"""What ``leftovers`` asks."""
REMOVALS: typing.Final[tuple[str, ...]] = tuple(sorted({action for kind in KINDS for action in kind.rights}))
"""The IAM actions that ``--remove`` needs besides."""


def look_for(kind: Kind, scope: Scope, ask: Ask) -> tuple[list[Leftover], list[str]]:
    """Return what is left of ``kind``, what is going included, and a sentence for each thing that nobody could tell."""
    look = Look(ask)
    found = kind.look(scope, look)
    return found, [f"{kind.plural}: {reason}" for reason in look.unknown]


def search(scope: Scope, ask: Ask) -> tuple[list[Leftover], list[str]]:
    """Return what is left of the stack, and a sentence for each kind that nobody could tell about in full."""
    found: list[Leftover] = []
    unknown: list[str] = []
    for kind in KINDS:
        things, doubts = look_for(kind, scope, ask)
        found += [each for each in things if not each.is_going]
        unknown += doubts
    return found, unknown
