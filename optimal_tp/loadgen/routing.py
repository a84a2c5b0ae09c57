"""Choose the replica of the next open arrival, as a gateway in front of the replicas would."""

import itertools
import random
import typing

from optimal_tp.measurement.shares import Share

if typing.TYPE_CHECKING:
    # Every load imports this module, and the settings' library would take as long as the first request may.
    from optimal_tp.settings.workload import Routing


class Router(typing.Protocol):
    """Chooses replicas by index."""

    def choose(self) -> int:
        """Return the replica of the next request, which is on its way from now on."""

    def ended(self, replica: int) -> None:
        """Take note that a request at ``replica`` has ended, in whatever way."""


class _Unaware:
    """A router that ignores the requests in flight."""

    def __init__(self, replicas: typing.Iterator[int]) -> None:
        self.choose: typing.Callable[[], int] = replicas.__next__

    def ended(self, replica: int) -> None:
        """Do nothing."""


class LeastInFlight:
    """Chooses the replica with the fewest requests in flight; among equals the one chosen longest ago."""

    def __init__(self, replicas: int) -> None:
        """Nothing is in flight; the first request goes to replica 0."""
        self._in_flight = [0] * replicas
        self._longest_ago = list(range(replicas))

    def choose(self) -> int:
        """Return the replica of the next request, which is on its way from now on."""
        replica = min(self._longest_ago, key=self._in_flight.__getitem__)
        self._longest_ago.remove(replica)
        self._longest_ago.append(replica)
        self._in_flight[replica] += 1
        return replica

    def ended(self, replica: int) -> None:
        """Take note that a request at ``replica`` has ended, in whatever way."""
        self._in_flight[replica] -= 1


def router(routing: "Routing", replicas: int, *, seed: int, share: Share) -> Router:
    """Return a router among ``replicas`` for the requests that ``share`` sends of a stretch.

    It does not know the requests of other processes. With round-robin all processes together use the replicas in turn;
    with random routing each draws its own.
    """
    if routing == "least-in-flight":
        return LeastInFlight(replicas)
    if routing == "random":
        draw = random.Random(f"{seed} routing {share.index}").randrange
        return _Unaware(draw(replicas) for _ in itertools.count())
    return _Unaware(number % replicas for number in itertools.count(share.index, share.count))
