"""One process's share of a load: every n-th item, so that all processes together produce each item exactly once."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """One of ``count`` shares of things numbered from 0: the things whose number modulo ``count`` is ``index``.

    Raises ValueError for an index that is not from 0 to ``count`` - 1.
    """

    index: int
    count: int

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise ValueError(f"share {self.index} of {self.count}; shares are numbered from 0 to their count less 1")

    def of(self, things: int) -> int:
        """Return how many of ``things`` are in this share."""
        return len(range(self.index, things, self.count))

    def among(self, slots: int) -> "Share | None":
        """Return this share among the shares that have at least one of ``slots``; None if it has none.

        With fewer slots than shares, the first shares have one slot each.
        """
        return Share(index=self.index, count=min(self.count, slots)) if self.index < slots else None


WHOLE = Share(index=0, count=1)
"""Everything: one process alone."""
