"""How many cores a container's CPU quota grants this process and its servers, and how often it throttled them.

Sources: Linux's Documentation/admin-guide/cgroup-v2.rst (cpu.max, cpu.stat), scheduler/sched-bwc.rst (version 1), and
proc(5) for mountinfo, read 2026-11-27.
"""

import collections.abc
import contextlib
import pathlib
import typing

ROOT = pathlib.Path("/")


def granted_cores(root: pathlib.Path = ROOT) -> float | None:
    """Return the cores that the strictest quota of this process's control groups grants; None without a quota.

    Groups around its own count too. ``root`` is the folder with ``proc`` and ``sys``.
    """
    return min((cores for group in _groups(root) if (cores := group.cores()) is not None), default=None)


class Throttled(typing.NamedTuple):
    """How often and how long CPU quotas throttled processes, summed over the groups around them."""

    periods: int
    seconds: float

    def since(self, before: "Throttled") -> "Throttled":
        """Return the increase since ``before``."""
        return Throttled(self.periods - before.periods, self.seconds - before.seconds)


def throttled(root: pathlib.Path = ROOT) -> Throttled | None:
    """Return how often and how long quotas have throttled this process's groups in all; None without a count."""
    counts = [count for group in _groups(root) if (count := group.throttled()) is not None]
    return Throttled(sum(each.periods for each in counts), sum(each.seconds for each in counts)) if counts else None


class _Group(typing.NamedTuple):
    """The folder of one control group, of version 1 or 2."""

    folder: pathlib.Path
    version: int

    def cores(self) -> float | None:
        """Return the cores that the group's own quota grants; None without one."""
        if self.version == 1:
            quota, period = self._text("cpu.cfs_quota_us"), self._text("cpu.cfs_period_us")
        else:
            quota, _, period = self._text("cpu.max").partition(" ")
        with contextlib.suppress(ValueError, ZeroDivisionError):  # "max", and files that are not there
            return int(quota) / int(period) if int(quota) > 0 else None
        return None

    def throttled(self) -> Throttled | None:
        """Return how often and how long the group's own quota has throttled it; None without a count."""
        words = (line.partition(" ") for line in self._text("cpu.stat").splitlines())
        counts = {name: int(value) for name, _, value in words if value.isdigit()}
        if "nr_throttled" not in counts:
            return None
        # Version 1 counts nanoseconds, version 2 microseconds.
        seconds = counts.get("throttled_usec", 0) / 1e6 + counts.get("throttled_time", 0) / 1e9
        return Throttled(counts["nr_throttled"], seconds)

    def _text(self, name: str) -> str:
        return _read(self.folder / name).strip()


def _read(path: pathlib.Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def _groups(root: pathlib.Path) -> collections.abc.Iterator[_Group]:
    """Yield the control groups of this process that are visible here, each with the groups around it."""
    own = _own_paths(_read(root / "proc/self/cgroup"))
    for line in _read(root / "proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.partition(" ")
        fields = before.split()
        version = {"cgroup": 1, "cgroup2": 2}.get(kind)
        if version is None or len(fields) < 5 or (version == 1 and "cpu" not in options.split(" ")[-1].split(",")):  # noqa: PLR2004
            continue
        top = root / fields[4].lstrip("/")
        folder = top / _within(own.get(version, "/"), fields[3])
        if not folder.is_dir():  # a container may see only its own group, mounted in the place of the top
            folder = top
        for each in (folder, *folder.parents):
            yield _Group(each, version)
            if each == top:
                break


def _own_paths(text: str) -> dict[int, str]:
    """Return the path of this process's group by version; for version 1, the path in the CPU hierarchy."""
    found = {}
    for line in text.splitlines():
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        if number == "0" and not controllers:
            found[2] = path
        elif "cpu" in controllers.split(","):
            found[1] = path
    return found


def _within(path: str, top: str) -> str:
    """Return ``path`` as seen from a mount whose root is ``top``; "" where it lies outside."""
    inside = path == top or path.startswith(top.rstrip("/") + "/")
    return path[len(top.rstrip("/")) :].strip("/") if inside and ".." not in path.split("/") else ""
