"""Where the servers stand: who makes sure that nothing but the measured degree is at work."""

import typing


class Arena(typing.Protocol):
    """The servers' surroundings, as the experiment needs them."""

    async def admit(self, degree: int) -> None:
        """Let ``degree``'s servers work and keep the others from disturbing them."""

    def start_watch(self, degree: int) -> None:
        """Begin to watch who uses the cores of ``degree``."""

    def foreign_cpu_share(self) -> float | None:
        """Return the share of the watched cores, 0 to 1, that others took since ``start_watch``; None if unseen."""

    def failure(self) -> str | None:
        """Return what went wrong with a server that we started, in a sentence; None while all is well."""


class OpenArena:
    """Servers that somebody else runs: nothing to stop, nothing to see."""

    async def admit(self, degree: int) -> None:
        """Do nothing: each server has its own cores."""

    def start_watch(self, degree: int) -> None:
        """Do nothing."""

    def foreign_cpu_share(self) -> float | None:
        """Return None: other machines' processors cannot be seen from here."""
        return None

    def failure(self) -> str | None:
        """Return None: a server that fails shows in its samples."""
        return None
