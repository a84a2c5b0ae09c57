"""A container's CPU quota: cgroup versions 1 and 2, nested groups, and views from inside a container."""

import pathlib

import pytest

from optimal_tp.measurement.quota import Throttled, granted_cores, throttled

V2 = "30 24 0:26 {top} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
V1 = "33 25 0:29 {top} /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct"
OTHER = "34 25 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n22 1 8:1 / / rw - ext4 /dev/sda1 rw"


def machine(root: pathlib.Path, own: str, mounts: str, files: dict[str, str]) -> pathlib.Path:
    """Make a root whose process has the groups ``own``, sees ``mounts``, and whose groups have ``files``."""
    texts = {"proc/self/cgroup": own, "proc/self/mountinfo": f"{OTHER}\n{mounts}\n"}
    for name, text in {**texts, **{f"sys/fs/cgroup/{name}": text for name, text in files.items()}}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n", encoding="utf-8")
    return root


def stat(periods: int) -> str:
    """Return a group's cpu.stat."""
    return f"nr_periods 216\nnr_throttled {periods}\nthrottled_usec 250000"


@pytest.mark.parametrize(
    ("own", "mounts", "files", "cores", "periods"),
    [
        pytest.param("0::/a/b", V2.format(top="/"), {"a/b/cpu.max": "150000 100000"}, 1.5, None, id="2"),
        pytest.param(
            "0::/a/b",
            V2.format(top="/"),
            {"a/b/cpu.max": "max 100000", "a/cpu.max": "50000 50000", "a/cpu.stat": stat(3), "a/b/cpu.stat": stat(4)},
            1.0,
            7,
            id="2, the group around it",
        ),
        pytest.param("0::/", V2.format(top="/"), {"cpu.max": "200000 100000"}, 2.0, None, id="2, in a container"),
        pytest.param(
            "0::/box/x", V2.format(top="/box"), {"x/cpu.max": "300000 100000"}, 3.0, None, id="2, a part is mounted"
        ),
        pytest.param("0::/../y", V2.format(top="/"), {"cpu.max": "100000 100000"}, 1.0, None, id="2, from outside"),
        pytest.param(
            "4:cpu,cpuacct:/docker/f00",
            V1.format(top="/docker/f00"),
            {
                "cpu,cpuacct/cpu.cfs_quota_us": "250000",
                "cpu,cpuacct/cpu.cfs_period_us": "100000",
                "cpu,cpuacct/cpu.stat": stat(146),
            },
            2.5,
            146,
            id="1, in a container",
        ),
        pytest.param(
            "4:cpu,cpuacct:/pods/one\n0::/",
            V1.format(top="/"),
            {
                "cpu,cpuacct/pods/cpu.cfs_quota_us": "100000",
                "cpu,cpuacct/pods/cpu.cfs_period_us": "100000",
                "cpu,cpuacct/pods/one/cpu.cfs_quota_us": "-1",
                "cpu,cpuacct/pods/one/cpu.cfs_period_us": "100000",
            },
            1.0,
            None,
            id="1, nested",
        ),
        pytest.param("0::/a", V2.format(top="/"), {"a/cpu.max": "max 100000"}, None, None, id="no quota"),
        pytest.param("", "", {}, None, None, id="no groups"),
        pytest.param("0::/a", V2.format(top="/"), {"a/cpu.max": "half"}, None, None, id="another form"),
    ],
)
def test_the_least_of_the_path_is_granted(
    tmp_path: pathlib.Path, own: str, mounts: str, files: dict[str, str], cores: float | None, periods: int | None
) -> None:
    """Every group around a process holds it back; what is not told is None."""
    root = machine(tmp_path, own, mounts, files)

    assert granted_cores(root) == cores
    held = throttled(root)
    assert (None if held is None else held.periods) == periods


def test_a_machine_without_proc_has_no_quota(tmp_path: pathlib.Path) -> None:
    """Nothing is read, nothing is raised."""
    assert (granted_cores(tmp_path), throttled(tmp_path)) == (None, None)


@pytest.mark.parametrize(
    ("mounts", "file", "text"),
    [
        (V2, "a/cpu.stat", "nr_throttled 3\nthrottled_usec 250000"),
        (V1, "cpu,cpuacct/a/cpu.stat", "nr_throttled 3\nthrottled_time 250000000"),
    ],
    ids=["2, microseconds", "1, nanoseconds"],
)
def test_how_long_a_quota_held_back(tmp_path: pathlib.Path, mounts: str, file: str, text: str) -> None:
    """Both versions' clocks; what is told of a turn is what was added since its beginning."""
    root = machine(tmp_path, "0::/a\n4:cpu,cpuacct:/a", mounts.format(top="/"), {file: text})
    held = throttled(root)

    assert held == Throttled(3, 0.25)
    assert held is not None
    assert held.since(Throttled(1, 0.05)) == pytest.approx(Throttled(2, 0.2))
