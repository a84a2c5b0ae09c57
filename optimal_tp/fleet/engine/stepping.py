"""The compiled inner loop of the engine's simulation: servers that work in steps, their queues, and a router.

In every step each sequence of a server gives one token. Waiting requests enter free slots between two steps, first
come, first served. A step takes ``base + per_sequence * sequences + per_prompt_token * prompt tokens that enter``, and
``batching`` more if it has several sequences.

Between two arrivals or departures all steps of a server are alike, so they are taken together: the cost is one pass
over the running sequences for each arrival and departure, whatever the number of tokens.
"""

import typing

import numpy as np

from optimal_tp.fleet.compilation import compiled
from optimal_tp.fleet.simulation.kernel import least_in_flight


class Work(typing.NamedTuple):
    """Requests in the order of their arrivals."""

    arrivals: np.ndarray
    """Seconds, ascending. In a closed loop only the first ``closed`` arrivals are used."""
    prompts: np.ndarray
    """Tokens."""
    outputs: np.ndarray
    """Tokens, at least one."""
    ranks: np.ndarray
    """In [0, 1): where the router begins its search."""
    closed: int
    """Requests kept in flight; 0 for an open stream. The next one is sent when one leaves."""
    gap: float
    """Seconds between an answer and the next request of a closed loop."""


class EngineSteps(typing.NamedTuple):
    """The costs of a server's step, in seconds, and its order of work."""

    base: float
    batching: float
    """What a step with more than one sequence takes beside."""
    per_sequence: float
    per_prompt_token: float
    prefill_first: bool
    """Whether entering prompts have a step of their own, in which the other sequences wait."""
    slots: int
    seen: int
    """Most sequences in a step that the run measured; steps with more are counted apart."""


class EngineServers(typing.NamedTuple):
    """The state of every server, one row each."""

    running: np.ndarray
    """Request in each slot, the newest last."""
    rest: np.ndarray
    """Tokens that each of these requests still has to give."""
    busy: np.ndarray
    """Slots taken."""
    fresh: np.ndarray
    """How many of the requests in slots entered with the current step."""
    alone: np.ndarray
    """Whether the current step only processes their prompts."""
    flight: np.ndarray
    """Requests waiting or running."""
    begins: np.ndarray
    each: np.ndarray
    """Seconds of each current step."""
    steps: np.ndarray
    """Number of steps taken together."""
    ends: np.ndarray
    """When the last of them ends; infinity for an idle server."""
    head: np.ndarray
    """First in the queue."""
    tail: np.ndarray


NO_ONE = -1


@compiled
def run(work: Work, engine: EngineSteps, servers: int) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Return each request's total latency and time to first token, all slot-seconds, and the unmeasured slot-seconds.

    Unmeasured slot-seconds are those in steps with more sequences than ``seen``. Latencies are in seconds from the
    arrival, in the order of the requests. A request goes to the server with the fewest requests, waiting or running.
    """
    count = len(work.arrivals)
    arrivals = work.arrivals.copy()
    totals, firsts = np.full(count, np.nan), np.full(count, np.nan)
    behind = np.full(count, NO_ONE)
    state = _idle(servers, engine.slots)
    sent = min(work.closed, count) if work.closed > 0 else count
    arrived, left, taken, unseen = 0, 0, 0.0, 0.0
    while left < count:
        server = int(np.argmin(state.ends))
        now = state.ends[server]
        if arrived < sent and arrivals[arrived] <= now:
            server = least_in_flight(state.flight, work.ranks[arrived])
            _arrive(state, behind, server, arrived)
            if state.ends[server] == np.inf:
                _begin(state, behind, work, engine, server, arrivals[arrived])
            elif state.busy[server] < engine.slots and state.steps[server] > 1:
                _cut(state, server, arrivals[arrived])
            arrived += 1
            continue
        spent = state.busy[server] * state.each[server] * state.steps[server]
        taken += spent
        if state.busy[server] > engine.seen:
            unseen += spent
        gone = _end(state, server, arrivals, totals, firsts)
        left += gone
        for _ in range(gone):
            if work.closed > 0 and sent < count:
                arrivals[sent] = now + work.gap
                sent += 1
        _begin(state, behind, work, engine, server, now)
    return totals, firsts, taken, unseen


@compiled
def _idle(servers: int, slots: int) -> EngineServers:
    return EngineServers(
        np.full((servers, slots), NO_ONE),
        np.zeros((servers, slots), np.int64),
        np.zeros(servers, np.int64),
        np.zeros(servers, np.int64),
        np.zeros(servers, np.bool_),
        np.zeros(servers, np.int64),
        np.zeros(servers),
        np.zeros(servers),
        np.zeros(servers, np.int64),
        np.full(servers, np.inf),
        np.full(servers, NO_ONE),
        np.full(servers, NO_ONE),
    )


@compiled
def _arrive(state: EngineServers, behind: np.ndarray, server: int, request: int) -> None:
    """Put a request at the end of a server's queue."""
    state.flight[server] += 1
    if state.head[server] == NO_ONE:
        state.head[server] = request
    else:
        behind[state.tail[server]] = request
    state.tail[server] = request


@compiled
def _cut(state: EngineServers, server: int, now: float) -> None:
    """Make a server look at its queue after its step at ``now``."""
    passed = int((now - state.begins[server]) / state.each[server]) + 1
    if passed < state.steps[server]:
        state.steps[server] = passed
        state.ends[server] = state.begins[server] + passed * state.each[server]


@compiled
def _begin(state: EngineServers, behind: np.ndarray, work: Work, engine: EngineSteps, server: int, now: float) -> None:
    """Admit waiting requests, and plan the steps until a request leaves if no other arrives."""
    fresh, prompts = 0, 0.0
    while state.head[server] != NO_ONE and state.busy[server] < engine.slots:
        request = state.head[server]
        state.head[server] = behind[request]
        slot = state.busy[server]
        state.running[server, slot] = request
        state.rest[server, slot] = work.outputs[request]
        state.busy[server] += 1
        fresh += 1
        prompts += work.prompts[request]
    busy = state.busy[server]
    if busy == 0:
        state.ends[server] = np.inf
        return
    alone = engine.prefill_first and fresh > 0
    sequences = fresh if alone else busy
    steps = 1
    if fresh == 0:
        steps = state.rest[server, 0]
        for slot in range(1, busy):
            steps = min(steps, state.rest[server, slot])
    each = engine.base + engine.per_sequence * sequences + engine.per_prompt_token * prompts
    if sequences > 1:
        each += engine.batching
    state.fresh[server], state.alone[server] = fresh, alone
    state.begins[server], state.each[server], state.steps[server] = now, each, steps
    state.ends[server] = now + steps * each


@compiled
def _end(state: EngineServers, server: int, arrivals: np.ndarray, totals: np.ndarray, firsts: np.ndarray) -> int:
    """Hand out the tokens of the steps that ended; return how many requests left."""
    now, busy = state.ends[server], state.busy[server]
    first_fresh = busy - state.fresh[server]
    kept = 0
    for slot in range(busy):
        request = state.running[server, slot]
        if slot >= first_fresh:
            firsts[request] = now - arrivals[request]
        if slot >= first_fresh or not state.alone[server]:
            state.rest[server, slot] -= state.steps[server]
        if state.rest[server, slot] <= 0:
            totals[request] = now - arrivals[request]
        else:
            state.running[server, kept] = request
            state.rest[server, kept] = state.rest[server, slot]
            kept += 1
    state.busy[server] = kept
    state.flight[server] -= busy - kept
    return int(busy - kept)
