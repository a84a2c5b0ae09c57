"""The real Pulumi engine on the program, in a folder of its own: project, state, plugins, model of AWS."""

import collections.abc
import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import stat
import subprocess
import sys
import time
import typing

import yaml

from tests.engines.fakes_api_server import ADMIN, EVERY, ControlPlane, control_plane
from tests.engines.fakes_aws.faults import How, order, rearm, struck
from tests.engines.fakes_aws.outputs import AUTHORITY, ENDPOINT
from tests.engines.fakes_aws.plugin import MODEL, SCALE
from tests.engines.fakes_aws.world import World, seen
from tests.engines.fakes_cluster import scheduling
from tests.fakes_stack_files import ROOT
from tests.fakes_workloads import changed, side_by_side

FILE, STACK = "Pulumi.dev.yaml", "dev"
CHARTS = pathlib.Path(__file__).parent / "charts"
CRDS = ROOT / "tests" / "crds"
_MORE_ANNOTATIONS = "    {{- with .Values.additionalAnnotations }}{{ toYaml . | nindent 4 }}{{- end }}\n"
"""What Karpenter's chart of definitions does with its only value."""
_PATIENCE_SECONDS = 300
_LOOK_SECONDS = 0.02
# The component asks for it, and the Kubernetes plugin calls it for a token; ours gives one only for a cluster that the
# model has, as AWS does.
_AWS = """#!/bin/sh
if [ "$1" = "--version" ]; then echo "aws-cli/2.31.0 Python/3.13 Linux/6"; exit 0; fi
grep -q '"Cluster ' "MODEL" || { echo "ResourceNotFoundException: No cluster found" >&2; exit 254; }
echo '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1beta1","status":{"token":"TOKEN"}}'
"""


@contextlib.contextmanager
def cluster(folder: pathlib.Path) -> collections.abc.Iterator[ControlPlane]:
    """Run a control plane with every controller and the schedulers; it keeps its files in ``folder``."""
    folder.mkdir(parents=True)
    with control_plane(folder, controllers=EVERY) as plane, scheduling(plane):
        yield plane


@dataclasses.dataclass(frozen=True, kw_only=True)
class Event:
    """The begin or the end of one operation on one resource, as the engine tells it."""

    seconds: float
    """On the machine's clock, when it was told."""
    op: str
    urn: str
    is_end: bool
    diffs: tuple[str, ...]

    @property
    def key(self) -> str:
        """Short name: ``NodePool pool-nodes``."""
        return f"{self.urn.split('::')[2].rsplit(':', maxsplit=1)[-1]} {self.urn.rsplit('::', maxsplit=1)[-1]}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """What one run of the engine did. ``status`` is negative for a signal."""

    status: int
    output: str
    events: tuple[Event, ...]

    def changed(self) -> dict[str, list[str]]:
        """Return the custom resources that something was done to, by operation, in the order of its end."""
        found: dict[str, list[str]] = {}
        for event in self.events:
            if event.is_end and event.op not in {"same", "refresh", "read"} and ":providers:" not in event.urn:
                found.setdefault(event.op, []).append(event.key)
        return found


class Stack:
    """One stack. ``scale`` is the share of AWS's latencies that the model takes."""

    def __init__(self, folder: pathlib.Path, plane: ControlPlane, scale: float = 0) -> None:
        self.model, self._folder, self._kills = folder / "world.json", folder, False
        for name in ("project", "state", "bin", "home", "charts"):
            (folder / name).mkdir(parents=True)
        self._charts()
        self._project()
        _script(
            folder / "bin" / "pulumi-resource-aws",
            f'#!/bin/sh\nexec {sys.executable} -m tests.engines.fakes_aws "$@"\n',
        )
        _script(folder / "bin" / "aws", _AWS.replace("MODEL", str(self.model)).replace("TOKEN", ADMIN))
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "AWS_"))},
            "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PULUMI_HOME": str(folder / "home"),
            # Without the query the engine keeps a file of attributes beside the state, which a kill can leave empty.
            "PULUMI_BACKEND_URL": f"file://{folder / 'state'}?metadata=skip",
            "PULUMI_CONFIG_PASSPHRASE": "of a test",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_DEBUG_COMMANDS": "true",
            "NO_COLOR": "1",
            MODEL: str(self.model),
            SCALE: str(scale),
            ENDPOINT: plane.url,
            AUTHORITY: plane.authority,
        }
        self.configure({})
        self.pulumi("stack", "init", STACK)

    def _charts(self) -> None:
        shutil.copytree(CHARTS, self._folder / "charts", dirs_exist_ok=True)
        templates = self._folder / "charts" / "karpenter-crd" / "templates"
        templates.mkdir()
        for definition in CRDS.glob("*.yaml"):
            # Helm would take braces in a description for a template.
            text = definition.read_text(encoding="utf-8").replace("{{", "{{ `{{` }}")
            text = text.replace("\n  annotations:\n", f"\n  annotations:\n{_MORE_ANNOTATIONS}", 1)
            (templates / definition.name).write_text(text, encoding="utf-8")

    def _project(self) -> None:
        project = self._folder / "project"
        for name in ("__main__.py", "optimal_tp", "infra", "workloads", "requirements", "policy"):
            if (ROOT / name).exists():
                (project / name).symlink_to(ROOT / name)
        options = {"toolchain": "pip", "virtualenv": sys.prefix}
        data = {"name": "optimal-tp", "runtime": {"name": "python", "options": options}}
        (project / "Pulumi.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")

    def configure(self, changes: collections.abc.Mapping[str, object]) -> None:
        """Write the stack file: the dev stack side by side, our charts, and ``changes`` by dotted path."""
        config = changed(FILE, **side_by_side())
        for dotted, value in {"infra.registries.charts": str(self._folder / "charts"), **changes}.items():
            section, *keys, last = dotted.split(".")
            place = config.setdefault(f"optimal-tp:{section}", {})
            for key in keys:
                place = place.setdefault(key, {})
            place[last] = value
        path = self._folder / "project" / f"Pulumi.{STACK}.yaml"
        # The engine keeps the salt of its secrets in this file.
        kept = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
        path.write_text(yaml.safe_dump({**kept, "config": config}), encoding="utf-8")

    def world(self) -> World:
        """Return the account as it is."""
        return seen(self.model)

    def order_faults(self, how: How, places: range) -> None:
        """Let the operations at ``places`` go wrong, counted from now, the first time each is tried."""
        order(self.model, how, places)
        self._kills = how == "kill"

    def pulumi(self, *arguments: str) -> Run:
        """Run the engine. By an order to kill it ends by SIGKILL, and all its plugins with it, as in a power cut."""
        log, output = self._folder / "events.json", self._folder / "output.txt"
        log.unlink(missing_ok=True)
        command = ["pulumi", *arguments, "--non-interactive"]
        if arguments[0] in {"up", "destroy", "refresh", "preview"}:
            command += ["--stack", STACK, "--event-log", str(log)]
        rearm(self.model)
        with output.open("wb") as sink:
            process = subprocess.Popen(
                command,
                stdout=sink,
                stderr=subprocess.STDOUT,
                cwd=self._folder / "project",
                env=self._environment,
                start_new_session=True,
            )
            events = self._follow(process, log)
        text = output.read_text(encoding="utf-8", errors="replace")
        return Run(status=process.returncode, output=text, events=tuple(events))

    def _follow(self, process: subprocess.Popen[bytes], log: pathlib.Path) -> list[Event]:
        events: list[Event] = []
        end, at, before = time.monotonic() + _PATIENCE_SECONDS, 0, len(struck(self.model))
        while True:
            is_over = process.poll() is not None
            text = log.read_text(encoding="utf-8")[at:] if log.exists() else ""
            whole = text[: text.rfind("\n") + 1]
            at += len(whole)
            for line in whole.splitlines():
                event = _event(json.loads(line))
                if event is not None:
                    events.append(event)
            if is_over:
                return events
            if (self._kills and len(struck(self.model)) > before) or time.monotonic() > end:
                _kill_session(process.pid)
                process.wait()
                return events
            time.sleep(_LOOK_SECONDS)


def _event(data: dict[str, typing.Any]) -> Event | None:
    kind = next((name for name in ("resourcePreEvent", "resOutputsEvent") if name in data), None)
    if kind is None:
        return None
    meta = data[kind]["metadata"]
    if "optimal-tp:" in meta["type"] or meta["type"].startswith(("pulumi:pulumi:", "eks:index")):
        return None
    diffs = tuple(sorted(meta.get("detailedDiff") or meta.get("diffs") or ()))
    return Event(
        seconds=time.monotonic(), op=meta["op"], urn=meta["urn"], is_end=kind == "resOutputsEvent", diffs=diffs
    )


def _kill_session(leader: int) -> None:
    """Kill every process of the session of its own that the engine was started in; plugins have groups of their own."""
    for folder in pathlib.Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                if os.getsid(int(folder.name)) == leader:
                    os.kill(int(folder.name), signal.SIGKILL)


def _script(path: pathlib.Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
