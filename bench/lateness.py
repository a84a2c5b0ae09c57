"""``python -m bench.lateness``: how late a thousand planned moments a second come through, by kind of timer."""

import argparse
import asyncio
import time
import typing

import uvloop

from optimal_tp.loadgen.timers import Alarm

RATE, SECONDS = 1000, 2


async def by_loop() -> list[float]:
    """Return lateness in ms with the event loop's own timer."""
    loop = asyncio.get_running_loop()
    start, late = time.perf_counter() + 0.01, []
    for number in range(RATE * SECONDS):
        planned = start + number / RATE
        while (left := planned - time.perf_counter()) > 0:
            woken = loop.create_future()
            loop.call_later(left, woken.set_result, None)
            await woken
        late.append(1000 * (time.perf_counter() - planned))
    return late


async def by_alarm() -> list[float]:
    """Return lateness in ms with the timerfd that the load generator uses."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    start, late = time.perf_counter() + 0.01, list[float]()

    def ring() -> None:
        """Note how late each planned moment was, and set the alarm for the next."""
        now = time.perf_counter()
        while len(late) < RATE * SECONDS and start + len(late) / RATE <= now:
            late.append(1000 * (now - start - len(late) / RATE))
        if len(late) < RATE * SECONDS:
            alarm.set(start + len(late) / RATE - time.perf_counter())
        elif not done.done():
            done.set_result(None)

    alarm = Alarm(loop, ring)
    alarm.set(start - time.perf_counter())
    await done
    alarm.close()
    return late


def main() -> None:
    """Print a table."""
    kinds: tuple[tuple[str, typing.Callable[[], typing.Any], typing.Any], ...] = (
        ("asyncio, its timer", asyncio.new_event_loop, by_loop),
        ("uvloop, its timer", uvloop.new_event_loop, by_loop),
        ("asyncio, timerfd", asyncio.new_event_loop, by_alarm),
        ("uvloop, timerfd", uvloop.new_event_loop, by_alarm),
    )
    for name, make, work in kinds:
        with asyncio.Runner(loop_factory=make) as runner:
            used = time.process_time()
            late = sorted(runner.run(work()))
            used = time.process_time() - used
        p50, p99 = late[len(late) // 2], late[int(0.99 * len(late))]
        print(f"{name:<20} late by p50 {p50:.3f} ms, p99 {p99:.3f} ms, processor {100 * used / SECONDS:.0f} %")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()  # none but --help, which measures nothing
    main()
