"""A continuous-batching engine in virtual time: servers of one candidate under one open turn, with planted truths."""

import functools
import typing

import numba
import numpy as np
import numpy.typing as npt


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


class Asked(typing.NamedTuple):
    """One open turn."""

    rate: float
    """Requests per second, of all servers."""
    opening: int
    """Requests at 0 with a random part of their length left."""
    warm_in: float
    """Requests that arrive before this, in seconds, do not count."""
    counted: int


class Told(typing.NamedTuple):
    """What came of a turn."""

    hits: tuple[int, ...]
    """Counted requests that hold every limit, for each set of limits."""
    early: tuple[int, ...]
    """Of the first half of them."""
    seconds: float
    latency: float
    """Mean total latency of the counted requests that ended, seconds."""


PROMPT = 32
"""Tokens of a prompt, for the memory."""

Table = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
ARRIVED, LEFT, LENGTH, FIRST, ENDED, DECIDED = range(6)
"""Columns of the table of requests: moments in seconds, -1 for not yet; tokens left and in all; 1 once decided."""
HEAD, TAIL, COUNT, FRESH, HELD = range(5)
"""Columns of the table of servers: ends of its queue, sequences, those of them without a token, tokens in memory."""
OPEN, MISSED, HIT = range(3)


def open_turn(engine: Engine, limits: tuple[Limits, ...], asked: Asked, scale: float, seed: int) -> Told:
    """Return what came of a turn; each request goes to the server with the fewest in flight.

    ``scale`` lengthens every step and every limit. The turn ends when the fate of its last counted request is known;
    with several sets of limits when it has ended, as who misses one set may hold another.
    """
    room = 4 * (asked.opening + asked.counted + int(4 * asked.rate * asked.warm_in) + 64)
    draw = np.random.default_rng(seed)
    gaps = draw.exponential(1 / asked.rate, room)
    gaps[: asked.opening] = 0.0
    requests = np.full((room, 6), -1.0)
    requests[:, ARRIVED] = np.cumsum(gaps)
    requests[:, LENGTH] = requests[:, LEFT] = draw.integers(engine.shortest, engine.longest + 1, room)
    opening = requests[: asked.opening]
    opening[:, LEFT] = draw.integers(1, opening[:, LENGTH].astype(int) + 1)
    first = max(asked.opening, int(np.searchsorted(requests[:, ARRIVED], asked.warm_in)))
    queue, running = np.zeros((engine.servers, room), np.int64), np.zeros((engine.servers, engine.slots), np.int64)
    times = (scale * engine.step, scale * engine.per_sequence, scale * engine.per_prefill)
    each = [(one.total * scale, one.ttft * scale, one.tpot * scale) for one in limits]
    until_decided = each[0] if len(each) == 1 else (np.inf, np.inf, np.inf)
    sizes = (int(engine.prefill_first), engine.memory, first, first + asked.counted)
    seconds = float(
        _turn(requests, np.zeros((engine.servers, 5), np.int64), queue, running, times, until_decided, sizes)
    )
    own = requests[first : first + asked.counted]
    hit = [_hits(own, seconds, one) for one in each]
    ended = own[own[:, ENDED] >= 0]
    latency = float((ended[:, ENDED] - ended[:, ARRIVED]).mean()) if len(ended) else 0.0
    return Told(
        hits=tuple(int(one.sum()) for one in hit),
        early=tuple(int(one[: asked.counted // 2].sum()) for one in hit),
        seconds=seconds,
        latency=latency,
    )


@numba.njit(cache=True)
def _turn(  # noqa: PLR0913, PLR0917 - the state of a compiled loop
    requests: Table,
    servers: Places,
    queue: Places,
    running: Places,
    times: tuple[float, float, float],
    limits: tuple[float, float, float],
    sizes: tuple[int, int, int, int],
) -> float:
    """Fill in what becomes of ``requests``, until all that count are decided; return when that is.

    Arrivals ascend, so one place says up to which request all are too old for a limit: nobody is looked at twice.
    """
    prefill_first, memory, oldest, end = sizes
    until = np.full(len(servers), np.inf)
    turn, next_one, now = 0, 0, 0.0
    late = untold = oldest
    while oldest < end and next_one < len(requests):
        server = _first_to_end(until)
        if requests[next_one, ARRIVED] <= until[server]:
            now = requests[next_one, ARRIVED]
            server = _least_busy(servers, turn)
            queue[server, servers[server, TAIL]] = next_one
            servers[server, TAIL] += 1
            next_one += 1
            turn = (server + 1) % len(servers)
        else:
            now = until[server]
            until[server] = np.inf
            _end_step(requests, servers, running, server, now, prefill_first)
        known = min(next_one, end)
        while late < known and now - requests[late, ARRIVED] > limits[0]:
            requests[late, DECIDED] = 1.0
            late += 1
        while untold < known and now - requests[untold, ARRIVED] > limits[1]:
            if requests[untold, FIRST] < 0:
                requests[untold, DECIDED] = 1.0
            untold += 1
        while oldest < known and requests[oldest, DECIDED] > 0:
            oldest += 1
        if until[server] == np.inf:
            _admit(requests, servers, queue, running, server, memory)
            if servers[server, COUNT] > 0:
                fresh = servers[server, FRESH]
                sequences = fresh if prefill_first and fresh > 0 else servers[server, COUNT]
                until[server] = now + times[0] + times[1] * sequences + times[2] * fresh
    return now


@numba.njit(cache=True)
def _first_to_end(until: Table) -> int:
    """Return the server whose step ends first, of several the first."""
    found = 0
    for server in range(1, len(until)):
        if until[server] < until[found]:
            found = server
    return found


@numba.njit(cache=True)
def _least_busy(servers: Places, turn: int) -> int:
    """Return the server with the fewest requests in flight, of several the first from ``turn`` on."""
    goal, least = 0, 1 << 60
    for offset in range(len(servers)):
        other = (turn + offset) % len(servers)
        load = int(servers[other, COUNT] + servers[other, TAIL] - servers[other, HEAD])
        if load < least:
            goal, least = other, load
    return goal


@numba.njit(cache=True)
def _end_step(requests: Table, servers: Places, running: Places, server: int, now: float, prefill_first: int) -> None:
    """Give a token to whoever took part in the step that ends."""
    count = servers[server, COUNT]
    old = count - servers[server, FRESH] if prefill_first and servers[server, FRESH] > 0 else 0
    kept = 0
    for place in range(count):
        request = running[server, place]
        if place >= old:
            requests[request, LEFT] -= 1
            if requests[request, FIRST] < 0:
                requests[request, FIRST] = now
        if place >= old and requests[request, LEFT] == 0:
            requests[request, ENDED] = now
            requests[request, DECIDED] = 1.0
            servers[server, HELD] -= _blocks(requests[request, LENGTH])
        else:
            running[server, kept] = request
            kept += 1
    servers[server, COUNT] = kept
    servers[server, FRESH] = 0


@numba.njit(cache=True)
def _blocks(tokens: float) -> int:
    """Return the tokens of memory that a sequence holds, in whole blocks."""
    return (PROMPT + int(tokens) + 15) // 16 * 16


@numba.njit(cache=True)
def _admit(requests: Table, servers: Places, queue: Places, running: Places, server: int, memory: int) -> None:
    """Take whoever fits from the queue into the next step."""
    while servers[server, HEAD] < servers[server, TAIL] and servers[server, COUNT] < running.shape[1]:
        request = queue[server, servers[server, HEAD]]
        needed = _blocks(requests[request, LENGTH])
        if memory > 0 and servers[server, HELD] + needed > memory and servers[server, COUNT] > 0:
            break
        servers[server, HELD] += needed
        servers[server, HEAD] += 1
        running[server, servers[server, COUNT]] = request
        servers[server, COUNT] += 1
        servers[server, FRESH] += 1


@numba.njit(cache=True)
def _hits(requests: Table, now: float, limits: tuple[float, float, float]) -> npt.NDArray[np.bool_]:
    """Return which requests hold ``limits``, as far as is known by ``now``."""
    found = np.zeros(len(requests), np.bool_)
    for place in range(len(requests)):
        found[place] = _fate(requests[place], now, limits) == HIT
    return found


@numba.njit(cache=True)
def _fate(request: Table, now: float, limits: tuple[float, float, float]) -> int:
    """Return whether a request is HIT or MISSED by now, or OPEN."""
    age, first, ended = now - request[ARRIVED], request[FIRST], request[ENDED]
    if ended < 0:
        return MISSED if age > limits[0] or (first < 0 and age > limits[1]) else OPEN
    good = ended - request[ARRIVED] <= limits[0] and first - request[ARRIVED] <= limits[1]
    if good and request[LENGTH] > 1:
        good = (ended - first) / (request[LENGTH] - 1) <= limits[2]
    return HIT if good else MISSED


def seconds_alone(engine: Engine) -> float:
    """Return how long one request of mean length takes when it is alone."""
    return (engine.shortest + engine.longest) / 2 * (engine.step + engine.per_sequence) + engine.per_prefill


@functools.cache
def capacity(engine: Engine, limits: Limits, asked: float, *, requests: int = 250_000, seed: int = 1) -> float:
    """Return the highest Poisson rate at which ``asked`` of the requests hold ``limits``, to 0.2 %."""
    alone = seconds_alone(engine)
    low, high = 1e-3 / alone, engine.servers * engine.slots / alone * 2
    while high / low > 1.002:  # noqa: PLR2004 - as said
        rate = (low * high) ** 0.5
        turn = Asked(rate=rate, opening=int(rate * alone), warm_in=50 * alone, counted=requests)
        told = open_turn(engine, (limits,), turn, 1.0, seed)
        low, high = (rate, high) if told.hits[0] >= asked * requests else (low, rate)
    return float((low * high) ** 0.5)
