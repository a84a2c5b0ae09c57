"""Exchanges that have ended, on their way to whoever keeps samples: off the hot path, a slice at a time."""

import asyncio
import collections
import typing

from optimal_tp.errors import StorageFailed
from optimal_tp.loadgen.exchange import Exchange, Origin, sample
from optimal_tp.measurement.samples import Sample

OnSample = typing.Callable[[Sample], None]
_EVERY_SECONDS = 0.005
# Samples built at a time: 0.2 ms of work, so that no send waits longer; of a pile this part, so that memory is bounded.
_SLICE, _SLICES = 16, 16


class HandOver:
    """Builds one sample of every exchange that it is given, and hands it over once."""

    def __init__(self, on_sample: OnSample, origin: typing.Callable[[], Origin]) -> None:
        """``origin`` is asked when the first exchange has ended."""
        self._on_sample = on_sample
        self._origin = origin
        self._ended: collections.deque[Exchange] = collections.deque()
        self.add = self._ended.append
        """Takes an exchange that has ended; on the hot path, without a frame of Python."""

    async def keep_up(self) -> None:
        """Hand over without end; between two slices the loop reads and sends. Raises what ``on_sample`` raises."""
        while True:
            await asyncio.sleep(_EVERY_SECONDS if not self._ended else 0)
            self._some(max(_SLICE, len(self._ended) // _SLICES))

    def rest(self, failure: StorageFailed | None) -> None:
        """Hand over all that is left, also after a ``failure`` of whoever keeps them, who goes on counting.

        Raises the last StorageFailed: it has counted all.
        """
        while self._ended:
            try:
                self._some(1)
            except StorageFailed as error:
                failure = error
        if failure is not None:
            raise failure

    def _some(self, most: int) -> None:
        for _ in range(min(most, len(self._ended))):
            self._on_sample(sample(self._ended.popleft(), self._origin()))
