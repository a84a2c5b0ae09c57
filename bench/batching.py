"""A continuous-batching engine in virtual time: servers of one candidate under one open turn, with planted truths."""

import typing

import numba
import numpy as np


class Engine(typing.NamedTuple):
    """Servers of one candidate.

    Times are seconds; a step of a server takes ``step + per_sequence * sequences + per_prefill * prefills``.
    """

    servers: int
    slots: int
    step: float
    per_sequence: float
    per_prefill: float
    prefill_first: bool = False
    """Whether prefills have a step of their own, in which nothing else advances."""
    memory: int = 0
    """Tokens of all sequences that a server holds, in whole blocks of 16; 0 is no bound."""
    shortest: int = 8
    longest: int = 24
    """Output tokens of a request: whole numbers, evenly."""


class Limits(typing.NamedTuple):
    """In seconds; infinity is no limit."""

    total: float = np.inf
    ttft: float = np.inf
    tpot: float = np.inf


PROMPT = 32
"""Tokens of a prompt, for the memory."""


@numba.njit(cache=True)
def open_turn(  # noqa: C901, PLR0912, PLR0913, PLR0915, PLR0917 - one loop, compiled as a whole
    rate: float,
    counted: int,
    warm_in: float,
    opening: int,
    engine: tuple[int, int, float, float, float, bool, int, int, int],
    limits: tuple[float, float, float],
    scale: float,
    seed: int,
) -> tuple[int, float, float, int]:
    """Return how many of the ``counted`` hold every limit, its length, the ended's mean latency, and the early hits.

    ``opening`` requests at 0 with a random part of their length left, then Poisson arrivals at ``rate``; those after
    ``warm_in`` count. Each goes to the server with the fewest in flight. ``scale`` lengthens every step and limit.
    """
    servers, slots, step, per_sequence, per_prefill, prefill_first, memory, shortest, longest = engine
    total, ttft, tpot = limits[0] * scale, limits[1] * scale, limits[2] * scale
    np.random.seed(seed)
    room = 4 * (opening + counted + int(4 * rate * warm_in) + 64)
    arrived = np.zeros(room)
    left = np.zeros(room, np.int64)
    length = np.zeros(room, np.int64)
    first = np.full(room, -1.0)
    ended = np.full(room, -1.0)
    queue = np.zeros((servers, room), np.int64)
    head = np.zeros(servers, np.int64)
    tail = np.zeros(servers, np.int64)
    running = np.zeros((servers, slots), np.int64)
    count = np.zeros(servers, np.int64)
    fresh = np.zeros(servers, np.int64)
    held = np.zeros(servers, np.int64)
    until = np.full(servers, np.inf)
    turn = 0
    requests = 0
    arrival = 0.0
    opened = 0
    first_counted = -1
    last_counted = -1
    undecided = counted
    hits = 0
    early = 0
    waited, answered = 0.0, 0
    decided = np.zeros(room, np.bool_)
    oldest = 0
    now = 0.0
    while True:
        server = 0
        soonest = until[0]
        for other in range(1, servers):
            if until[other] < soonest:
                server, soonest = other, until[other]
        if opened < opening:
            arrival = 0.0
        if requests < room and arrival <= soonest:
            now = arrival
            length[requests] = np.random.randint(shortest, longest + 1)
            left[requests] = length[requests]
            if opened < opening:
                left[requests] = np.random.randint(1, length[requests] + 1)
                opened += 1
            elif now >= warm_in and first_counted < 0:
                first_counted = requests
                last_counted = requests + counted - 1
                oldest = first_counted
            arrived[requests] = now
            goal = 0
            least = np.int64(1 << 60)
            for offset in range(servers):
                other = (turn + offset) % servers
                load = count[other] + tail[other] - head[other]
                if load < least:
                    goal, least = other, load
            turn = (goal + 1) % servers
            queue[goal, tail[goal]] = requests
            tail[goal] += 1
            requests += 1
            arrival = 0.0 if opened < opening else now + np.random.exponential(1 / rate)
            server = goal
            if until[server] < np.inf:
                continue
        else:
            now = soonest
            until[server] = np.inf
            # The step ends: who ran has a token more.
            only_fresh = prefill_first and fresh[server] > 0
            kept = 0
            for place in range(count[server]):
                request = running[server, place]
                moved = (not only_fresh) or place >= count[server] - fresh[server]
                if moved:
                    left[request] -= 1
                    if first[request] < 0:
                        first[request] = now
                if moved and left[request] == 0:
                    ended[request] = now
                    held[server] -= (PROMPT + length[request] + 15) // 16 * 16
                else:
                    running[server, kept] = request
                    kept += 1
            count[server] = kept
            fresh[server] = 0
        # What is known of the counted requests by now.
        if first_counted >= 0:
            while oldest <= last_counted and oldest < requests and decided[oldest]:
                oldest += 1
            for request in range(oldest, min(requests, last_counted + 1)):
                if decided[request]:
                    continue
                age = now - arrived[request]
                if ended[request] >= 0:
                    waited += ended[request] - arrived[request]
                    answered += 1
                    good = ended[request] - arrived[request] <= total and first[request] - arrived[request] <= ttft
                    if good and length[request] > 1:
                        good = (ended[request] - first[request]) / (length[request] - 1) <= tpot
                    hits += good
                    early += good and request < first_counted + counted // 2
                elif age <= total and (first[request] >= 0 or age <= ttft):
                    continue
                decided[request] = True
                undecided -= 1
            if undecided == 0 or requests >= room:
                return hits, now, waited / max(1, answered), early
        # The next step begins with whoever fits.
        while head[server] < tail[server] and count[server] < slots:
            request = queue[server, head[server]]
            needed = (PROMPT + length[request] + 15) // 16 * 16
            if memory > 0 and held[server] + needed > memory and count[server] > 0:
                break
            held[server] += needed
            head[server] += 1
            running[server, count[server]] = request
            count[server] += 1
            fresh[server] += 1
        if count[server] > 0:
            sequences = fresh[server] if prefill_first and fresh[server] > 0 else count[server]
            until[server] = now + scale * (step + per_sequence * sequences + per_prefill * fresh[server])


def seconds_alone(engine: Engine) -> float:
    """Return how long one request of mean length takes when it is alone."""
    return (engine.shortest + engine.longest) / 2 * (engine.step + engine.per_sequence) + engine.per_prefill


def capacity(engine: Engine, limits: Limits, asked: float, *, requests: int = 250_000, seed: int = 1) -> float:
    """Return the highest Poisson rate at which ``asked`` of the requests hold ``limits``, to 0.2 %."""
    low, high = 1e-3 / seconds_alone(engine), engine.servers * engine.slots / seconds_alone(engine) * 2
    while high / low > 1.002:  # noqa: PLR2004 - as said
        rate = (low * high) ** 0.5
        warm_in = 50 * seconds_alone(engine)
        hits, _, _, _ = open_turn(rate, requests, warm_in, int(rate * seconds_alone(engine)), engine, limits, 1.0, seed)
        low, high = (rate, high) if hits >= asked * requests else (low, rate)
    return float((low * high) ** 0.5)
