"""The compiled inner loop of the simulation: servers with slots, a first-come queue at each, and a router.

Each request draws one rank. While its server has k requests in service, it advances as fast as the request of that rank
among those measured with k in service: ``dt`` seconds complete ``dt / seconds(k, rank)`` of its work. At a constant
concurrency its service time is therefore the measured one. When the concurrency changes during its service, each
stretch advances at its own speed.
"""

import typing

import numpy as np

from optimal_tp.fleet.compilation import compiled

NO_ONE = -1


class Requests(typing.NamedTuple):
    """Requests in the order of their arrivals."""

    arrivals: np.ndarray
    """Seconds, ascending."""
    shapes: np.ndarray
    ranks: np.ndarray
    """In [0, 1)."""


class Values(typing.NamedTuple):
    """Service times, as in ``optimal_tp.fleet.simulation.times.ServiceTimeTable``."""

    starts: np.ndarray
    counts: np.ndarray
    seconds: np.ndarray
    first_shares: np.ndarray


class SlotServers(typing.NamedTuple):
    """The state of every server: one row per server, one column per slot."""

    served: np.ndarray
    """Request in each slot; the first ``busy`` of them are taken."""
    done: np.ndarray
    """Share of each request's work that is done."""
    busy: np.ndarray
    flight: np.ndarray
    """Requests waiting or in service."""
    last: np.ndarray
    """The time up to which ``done`` is current."""
    leaves: np.ndarray
    """When the next request leaves if no other arrives; infinity for an idle server."""
    leaver: np.ndarray
    """The slot of that request."""


@compiled
def serve(requests: Requests, values: Values, servers: int, slots: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return total latency and time to the first token of each request, and the server-seconds at each cell.

    A request goes to the server with the fewest requests, waiting or in service. Cost: one pass over the servers for
    each arrival and departure.
    """
    count = len(requests.arrivals)
    totals, firsts = np.full(count, np.nan), np.full(count, np.nan)
    time_at = np.zeros(len(values.counts))
    state = SlotServers(
        np.full((servers, slots), NO_ONE),
        np.zeros((servers, slots)),
        np.zeros(servers, np.int64),
        np.zeros(servers, np.int64),
        np.zeros(servers),
        np.full(servers, np.inf),
        np.zeros(servers, np.int64),
    )
    head, tail, behind = np.full(servers, NO_ONE), np.full(servers, NO_ONE), np.full(count, NO_ONE)
    arrived, left = 0, 0
    while left < count:
        server = int(np.argmin(state.leaves))
        departs = arrived == count or state.leaves[server] < requests.arrivals[arrived]
        now = state.leaves[server] if departs else requests.arrivals[arrived]
        if not departs:
            server = least_in_flight(state.flight, requests.ranks[arrived])
        _advance(state, requests, values, server, now, firsts, time_at)
        entering = NO_ONE
        if departs:
            request = _release(state, server)
            totals[request] = now - requests.arrivals[request]
            left += 1
            entering = head[server]
            if entering != NO_ONE:
                head[server] = behind[entering]
        else:
            state.flight[server] += 1
            if state.busy[server] < slots:
                entering = arrived
            elif head[server] == NO_ONE:
                head[server] = tail[server] = arrived
            else:
                behind[tail[server]] = arrived
                tail[server] = arrived
            arrived += 1
        if entering != NO_ONE:
            state.served[server, state.busy[server]] = entering
            state.done[server, state.busy[server]] = 0.0
            state.busy[server] += 1
        _look_ahead(state, requests, values, server, now)
    return totals, firsts, time_at


@compiled
def least_in_flight(flight: np.ndarray, rank: float) -> int:
    """Return the server with the fewest requests; the search starts at a place given by ``rank``, to prefer none."""
    servers = len(flight)
    start = int(rank * servers)
    found = start
    for step in range(1, servers):
        other = (start + step) % servers
        if flight[other] < flight[found]:
            found = other
    return found


@compiled
def _value(requests: Requests, values: Values, request: int, cell: int) -> int:
    return int(values.starts[cell] + int(requests.ranks[request] * values.counts[cell]))


@compiled
def _cell(state: SlotServers, requests: Requests, server: int, request: int) -> int:
    return int(requests.shapes[request] * (state.served.shape[1] + 1) + state.busy[server])


@compiled
def _advance(  # noqa: PLR0913, PLR0917 - compiled: no keyword-only arguments
    state: SlotServers,
    requests: Requests,
    values: Values,
    server: int,
    now: float,
    firsts: np.ndarray,
    time_at: np.ndarray,
) -> None:
    """Advance all requests in service at one server to ``now``, and note their first tokens."""
    for slot in range(state.busy[server]):
        request = state.served[server, slot]
        cell = _cell(state, requests, server, request)
        index = _value(requests, values, request, cell)
        gain = (now - state.last[server]) / values.seconds[index]
        # An answer's only token is its first and its last: rounding must not lose it.
        ends = now >= state.leaves[server] and slot == state.leaver[server]
        share = values.first_shares[index]
        if np.isnan(firsts[request]) and (state.done[server, slot] + gain >= share or (ends and share <= 1.0)):
            missing = max(0.0, share - state.done[server, slot])
            firsts[request] = state.last[server] + missing * values.seconds[index] - requests.arrivals[request]
        state.done[server, slot] += gain
        time_at[cell] += now - state.last[server]
    state.last[server] = now


@compiled
def _release(state: SlotServers, server: int) -> int:
    """Free the slot of the request that leaves, and return the request."""
    slot = state.leaver[server]
    request = state.served[server, slot]
    state.busy[server] -= 1
    state.flight[server] -= 1
    state.served[server, slot] = state.served[server, state.busy[server]]
    state.done[server, slot] = state.done[server, state.busy[server]]
    return int(request)


@compiled
def _look_ahead(state: SlotServers, requests: Requests, values: Values, server: int, now: float) -> None:
    """Note which request of a server leaves next, and when, if no other arrives."""
    state.leaves[server] = np.inf
    for slot in range(state.busy[server]):
        request = state.served[server, slot]
        cell = _cell(state, requests, server, request)
        rest = (1.0 - state.done[server, slot]) * values.seconds[_value(requests, values, request, cell)]
        if now + max(rest, 0.0) < state.leaves[server]:
            state.leaves[server] = now + max(rest, 0.0)
            state.leaver[server] = slot
