"""Which server runs on which node, with which cores, CPUs and memory, and whether the servers must take turns."""

import dataclasses
import typing

from optimal_tp.errors import CapacityError, quantity
from optimal_tp.facts.candidates import Candidate
from optimal_tp.facts.hardware import LOGICAL_CORES_PER_CHIP, InstanceType, chips_of, cores_held
from optimal_tp.settings.spend import Layout, Placement, Shortage

SERVERS = "qwen-vllm"
"""Servers are named as in the AWS sample: qwen-vllm-tp1, qwen-vllm-tp2, qwen-vllm-tp4."""

# Kept free on every Neuron node for DaemonSets: aws-node, kube-proxy, the EFS driver, the Neuron device plugin and the
# pod identity agent ask for about 0.3 CPUs and 0.4 GiB together. It must stay below the CPUs of one core, or Karpenter,
# which counts twice the cores, would believe in one server more than the node holds.
DAEMONS_CPU_MILLICORES = 1000
DAEMONS_MEMORY_MIB = 2048


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlannedServer:
    """One vLLM server: a pod that holds ``degree`` logical cores."""

    name: str
    candidate: Candidate
    replica: int
    """Which of its candidate's servers, from 0."""
    round_number: int
    """The round in which it runs, from 0; every server has 0 when all run at once."""
    node: int
    """Planned node within its round, from 0. Servers with the same number share a node."""
    group: str
    """The planned node by its first, largest server, ``qwen-vllm-tp4-0``: it stays when smaller ones come and go."""
    cpu_millicores: int
    memory_mib: int
    chips: int | None = None
    """Whole chips that it takes, where its image takes no less; None where it takes cores."""

    @property
    def degree(self) -> int:
        """Return the logical cores that it computes on."""
        return self.candidate.degree

    @property
    def cores(self) -> int:
        """Return the logical cores that it keeps from others."""
        return self.degree if self.chips is None else self.chips * LOGICAL_CORES_PER_CHIP

    def line(self) -> str:
        """Return what it takes of a node, for people."""
        cores = (
            quantity(self.degree, "core", "cores")
            if self.chips is None
            else f"{self.degree} of the cores of {_chips(self.chips)}"
        )
        return f"{self.name} ({cores}, {self.cpu_millicores / 1000:g} CPUs, {self.memory_mib / 1024:g} GiB)"


def _chips(count: int) -> str:
    return "a whole chip" if count == 1 else f"{count} whole chips"


Servers = tuple[PlannedServer, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """All servers of one experiment and the nodes that they need."""

    instance_type: InstanceType
    layout: Layout
    placement: Placement
    servers: Servers
    """By candidate, then replica."""
    rounds: tuple[tuple[Candidate, ...], ...]
    """Candidates that run at the same time, one tuple per round; one tuple with all of them when all run at once."""
    nodes: int
    """Nodes that run at the same time, at most."""
    nodes_for_all: int
    """Nodes that all servers at once would need."""

    @property
    def runs_in_rounds(self) -> bool:
        """True if some candidates run only while others are stopped."""
        return len(self.rounds) > 1

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """Every candidate that has servers, rising."""
        return tuple(sorted(each for together in self.rounds for each in together))

    def of(self, candidate: Candidate) -> Servers:
        """Return the servers of ``candidate``, by replica."""
        return tuple(server for server in self.servers if server.candidate == candidate)

    def lines(self) -> list[str]:
        """Return the plan for people, one line per round and node."""
        kind = self.instance_type
        head = (
            f"{quantity(len(self.servers), 'server', 'servers')} ({self.layout}, {self.placement}) on {self.nodes} x "
            f"{kind.name} with {kind.logical_cores} logical cores each"
        )
        if self.runs_in_rounds:
            head += f"; all at once would need {self.nodes_for_all}, so they run in rounds"
        return [head, *(line for round_number in range(len(self.rounds)) for line in self._round_lines(round_number))]

    def _round_lines(self, round_number: int) -> list[str]:
        which = f"round {round_number + 1}, " if self.runs_in_rounds else ""
        running = [server for server in self.servers if server.round_number == round_number]
        lines = []
        for node in sorted({server.node for server in running}):
            here = [server for server in running if server.node == node]
            words = ", ".join(server.line() for server in here)
            idle = self.instance_type.logical_cores - sum(server.degree for server in here)
            kept = sum(server.cores - server.degree for server in here)
            whose = f", {kept} of them on chips reserved for them" if kept else ""
            lines.append(f"{which}node {node}: {words}; {quantity(idle, 'core', 'cores')} idle{whose}")
        return lines


def cpu_millicores_per_core(kind: InstanceType) -> int:
    """Return the CPU that a pod asks for with each logical core, in steps of 10 millicores."""
    return (kind.allocatable_cpu_millicores - DAEMONS_CPU_MILLICORES) // kind.logical_cores // 10 * 10


def memory_mib_per_core(kind: InstanceType) -> int:
    """Return the host memory that a pod asks for with each logical core, in whole GiB."""
    return (kind.allocatable_memory_mib - DAEMONS_MEMORY_MIB) // kind.logical_cores // 1024 * 1024


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wish:
    """What is to be placed. ``candidates`` rise; each degree divides ``equal_cores`` in the layout of that name."""

    candidates: tuple[Candidate, ...]
    layout: Layout
    placement: Placement
    equal_cores: int
    """Cores of each candidate's servers together, in the layout ``equal-cores``."""
    family: str = SERVERS
    """What the names of its servers begin with."""
    prior: typing.Mapping[Candidate, float] = dataclasses.field(default_factory=dict)
    """What each candidate may carry per core, by physics: where servers take turns, the most promising begin."""
    whole_chips: bool = False
    """True if a server takes whole chips, whatever its degree."""

    def held(self, degree: int) -> int:
        """Return the logical cores that one server of ``degree`` keeps from others."""
        return cores_held(degree, whole_chips=self.whole_chips)

    def replicas(self, degree: int) -> int:
        """Return how many servers ``degree`` gets."""
        return self.equal_cores // self.held(degree) if self.layout == "equal-cores" else 1

    def seats(self, candidates: typing.Sequence[Candidate]) -> "list[Seat]":
        """Return what the servers of ``candidates`` take."""
        return [
            Seat(candidate, replica, self.family, self.held(candidate.degree))
            for candidate in candidates
            for replica in range(self.replicas(candidate.degree))
        ]

    def name(self, seat: "Seat") -> str:
        """Return the name of the server that takes ``seat``."""
        return f"{self.family}-{seat.candidate.slug}" + (f"-{seat.replica}" if self.replicas(seat.degree) > 1 else "")


class Seat(typing.NamedTuple):
    """What one server takes of a node."""

    candidate: Candidate
    replica: int
    family: str
    cores: int
    """Logical cores that it keeps from others."""

    @property
    def degree(self) -> int:
        """Return its logical cores."""
        return self.candidate.degree


def plan(
    wish: Wish, kind: InstanceType, *, nodes_available: int, limited_by: str, shortage: Shortage = "take-turns"
) -> Plan:
    """Return where every server of ``wish`` runs.

    ``nodes_available``: nodes of ``kind`` that limits and reservation allow at the same time; ``limited_by`` says in
    words what allows no more. Raises CapacityError when one server is larger than a node, when one candidate alone
    needs more nodes than there are, or when all together do and ``shortage`` is ``refuse``.
    """
    too_large = [each.degree for each in wish.candidates if each.degree > kind.logical_cores]
    if too_large:
        raise CapacityError(
            f"workloads.degrees: must be at most {kind.logical_cores}, the logical cores of one {kind.name} "
            f"(got {too_large[0]}); remove the degree or choose a larger infra.neuron.instance_type"
        )
    for_all = _nodes_needed(wish, wish.candidates, kind)
    rounds: tuple[tuple[Candidate, ...], ...] = (wish.candidates,)
    if for_all > nodes_available:
        hungriest = max(wish.candidates, key=lambda candidate: _nodes_needed(wish, (candidate,), kind))
        least = _nodes_needed(wish, (hungriest,), kind)
        if shortage == "refuse" or least > nodes_available:
            who = f"{hungriest.name} alone needs {least}" if least > nodes_available else f"the servers need {for_all}"
            turns = "" if least > nodes_available else ", or serving.when_nodes_are_few: take-turns"
            raise CapacityError(
                f"{who} {kind.name} in layout {wish.layout}, placement {wish.placement}, and {limited_by} allows "
                f"{nodes_available}; allow more nodes, drop degrees or choose another layout or placement{turns}"
            )
        rounds = _rounds(wish, kind, nodes_available)
    servers = [
        server
        for round_number, together in enumerate(rounds)
        for server in placed(wish, bins(wish.seats(together), wish.placement, kind), kind, round_number)
    ]
    return Plan(
        instance_type=kind,
        layout=wish.layout,
        placement=wish.placement,
        servers=tuple(sorted(servers, key=_place)),
        rounds=rounds,
        nodes=max(_nodes_needed(wish, together, kind) for together in rounds),
        nodes_for_all=for_all,
    )


def bins(seats: typing.Sequence[Seat], placement: Placement, kind: InstanceType) -> list[list[Seat]]:
    """Return the seats on each node: the largest first, each on the first node with room.

    For powers of two on a node that holds a power of two this leaves the fewest nodes.
    """
    nodes: list[list[Seat]] = []
    for seat in sorted(seats, key=lambda seat: (-seat.cores, -seat.degree)):
        room = [
            node
            for node in nodes
            if placement == "packed" and sum(other.cores for other in node) + seat.cores <= kind.logical_cores
        ]
        if room:
            room[0].append(seat)
        else:
            nodes.append([seat])
    return nodes


def _place(server: PlannedServer) -> tuple[Candidate, int]:
    """Return by what servers are sorted."""
    return server.candidate, server.replica


def _nodes_needed(wish: Wish, candidates: typing.Sequence[Candidate], kind: InstanceType) -> int:
    return len(bins(wish.seats(candidates), wish.placement, kind))


def _rounds(wish: Wish, kind: InstanceType, nodes_available: int) -> tuple[tuple[Candidate, ...], ...]:
    """Return the candidates of each turn, as few turns as first-fit finds.

    The turn with the highest prior begins; of equal ones that with the smallest degree.
    """
    turns: list[list[Candidate]] = []
    for candidate in sorted(wish.candidates, reverse=True):
        room = [turn for turn in turns if _nodes_needed(wish, [*turn, candidate], kind) <= nodes_available]
        if room:
            room[0].append(candidate)
        else:
            turns.append([candidate])
    ordered = sorted(tuple(sorted(turn)) for turn in turns)
    return tuple(sorted(ordered, key=lambda turn: -max(wish.prior.get(candidate, 0.0) for candidate in turn)))


def placed(wish: Wish, nodes: typing.Sequence[typing.Sequence[Seat]], kind: InstanceType, round_number: int) -> Servers:
    """Return the servers of ``wish`` among those that share ``nodes``, by candidate, then replica."""
    servers = [
        PlannedServer(
            name=wish.name(seat),
            candidate=seat.candidate,
            replica=seat.replica,
            round_number=round_number,
            node=node,
            group="{0.family}-{0.candidate.slug}-{0.replica}".format(seats[0]),
            cpu_millicores=seat.cores * cpu_millicores_per_core(kind),
            memory_mib=seat.cores * memory_mib_per_core(kind),
            chips=chips_of(seat.degree) if wish.whole_chips else None,
        )
        for node, seats in enumerate(nodes)
        for seat in seats
        if seat.family == wish.family
    ]
    return tuple(sorted(servers, key=_place))
