"""The steady probe after the experiment: one request to each candidate in turn, a pause, and again until stopped."""

import dataclasses
import time
import typing

from optimal_tp.experiment.planned import asked_stretch
from optimal_tp.experiment.turns import pause
from optimal_tp.loadgen.driver import drive
from optimal_tp.loadgen.transport import TcpTransport
from optimal_tp.plan.schedule import Closed

if typing.TYPE_CHECKING:
    from optimal_tp.experiment.session import Session

PAUSE_SECONDS = 10.0
"""Pause between rounds, as in the AWS sample's load generator."""


async def probe_for_ever(session: "Session", *, pause_seconds: float = PAUSE_SECONDS) -> None:
    """Probe ``session``'s servers until its halt is set. Samples go to CloudWatch only, because the run has ended."""
    halted = session.halt.event
    targets = session.targets()
    # Servers that take turns are not swapped every few seconds: only those of the first round are probed.
    rounds = session.rounds or (tuple(targets),)
    together = next((each for one in rounds if (each := tuple(c for c in one if c in targets))), ())
    if session.arena.can_restart and together:
        await session.arena.admit(together[0])
    sources = await session.sources(together)
    session.watcher.stage("steady probe, until it is stopped", total=None)
    with session.published(time.time()) as minutes:
        origin = time.perf_counter()
        while not halted.is_set():
            for candidate in sources:
                stretch = asked_stretch(
                    session.settings.load,
                    "steady",
                    candidate,
                    Closed(concurrency=1),
                    block=None,
                    ignore_eos=session.ignore_eos,
                    trace=session.trace,
                )
                stretch = dataclasses.replace(stretch, requests=1, output_range=None, origin=origin)
                on_sample = (lambda _: None) if minutes is None else minutes.add
                asked = sources[candidate].each
                transport = TcpTransport(session.access.trust, stamped=True)
                await drive(targets[candidate], stretch, asked, on_sample=on_sample, transport=transport, stop=halted)
            await pause(halted, pause_seconds)
