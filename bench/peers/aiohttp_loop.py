"""The loop that most load generators in Python come down to: tasks, aiohttp, a clock; on uvloop.

Reads a load as JSON from its first argument, writes its result to the file named there. Latencies are from the send,
as such loops have them. ``tuned`` reads streams in a way that nobody should, to see what aiohttp could do at most.
"""

import asyncio
import importlib
import json
import pathlib
import sys
import time
import typing

aiohttp: typing.Any = importlib.import_module("aiohttp")  # in the peers' environment only
uvloop: typing.Any = importlib.import_module("uvloop")


class Loop:
    """One load."""

    def __init__(self, load: dict[str, typing.Any]) -> None:
        """Keep what was asked."""
        self.load = load
        self.number = 0
        self.requests = 0
        self.chunks = 0
        self.latencies_ms: list[float] = []
        self.firsts: dict[str, tuple[float, float]] = {}
        self.lateness_ms: list[float] = []
        self.until = 0.0
        self.slot_seconds = 0.0

    async def one(self, session: typing.Any) -> None:  # noqa: ANN401 - aiohttp's
        """Make one request."""
        number, self.number = self.number, self.number + 1
        body = {"model": "scripted", "prompt": str(number), "max_tokens": self.load["max_tokens"]}
        if self.load["stream"]:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        sent = time.perf_counter()
        stamps: list[float] = []
        async with session.post(f"{self.load['url']}/v1/completions", json=body) as response:
            if not self.load["stream"]:
                usage = json.loads(await response.read())["usage"]
            else:
                read = self.by_piece if self.load["tuned"] else self.by_line
                usage = await read(response.content, stamps)
        self.latencies_ms.append(1000 * (time.perf_counter() - sent))
        self.requests += usage["completion_tokens"] > 0
        self.chunks += len(stamps)
        if stamps and self.load.get("truth"):
            self.firsts[str(number)] = (sent, stamps[0])

    async def by_line(self, content: typing.Any, stamps: list[float]) -> dict[str, int]:  # noqa: ANN401 - aiohttp's
        """Read a stream as it is usually read: line by line, every event parsed."""
        usage: dict[str, int] = {}
        async for line in content:
            if line.startswith(b"data: {"):
                event = json.loads(line[6:])
                if event["choices"]:
                    stamps.append(time.perf_counter())
                usage = event.get("usage") or usage
        return usage

    async def by_piece(self, content: typing.Any, stamps: list[float]) -> dict[str, int]:  # noqa: ANN401 - aiohttp's
        """Count in pieces as aiohttp gives them; right only because this server never cuts an event."""
        last = b""
        async for piece in content.iter_any():
            now = time.perf_counter()
            stamps.extend([now] * piece.count(b'"text":"'))
            last = piece if b'"usage":{' in piece else last
        at = last.index(b'"usage":{') + 8
        usage: dict[str, int] = json.loads(last[at : last.index(b"}", at) + 1])
        return usage

    async def slot(self, session: typing.Any) -> None:  # noqa: ANN401 - aiohttp's
        """Make one request after another."""
        most = self.load.get("requests")
        before = time.perf_counter()
        while before < self.until and (most is None or self.number < most):
            await self.one(session)
            now = time.perf_counter()
            self.slot_seconds += now - before
            before = now

    async def arrive(self, session: typing.Any) -> None:  # noqa: ANN401 - aiohttp's
        """Start a task at each planned time; at most so many at once."""
        places = asyncio.Semaphore(self.load.get("max_in_flight") or 1 << 30)
        start = time.perf_counter()

        async def placed() -> None:
            """Send one request once there is a place for it."""
            async with places:
                await self.one(session)

        tasks = []
        for number in range(int(self.load["rate"] * self.load["seconds"])):
            planned = start + number / self.load["rate"]
            await asyncio.sleep(max(planned - time.perf_counter(), 0))
            self.lateness_ms.append(1000 * (time.perf_counter() - planned))
            tasks.append(asyncio.create_task(placed()))
        await asyncio.gather(*tasks)

    async def run(self) -> dict[str, typing.Any]:
        """Run the load; return its result."""
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            start, used = time.perf_counter(), time.process_time()
            self.until = start + self.load["seconds"]
            if self.load.get("rate"):
                await self.arrive(session)
            else:
                await asyncio.gather(*(self.slot(session) for _ in range(self.load["concurrency"])))
            return {
                "requests": self.requests,
                "chunks": self.chunks,
                "seconds": time.perf_counter() - start,
                "cpu_seconds": time.process_time() - used,
                "slot_seconds": self.slot_seconds,
                "latencies_ms": self.latencies_ms,
                "lateness_ms": self.lateness_ms,
                "firsts": self.firsts,
            }


def main() -> None:
    """Run the load in the first argument."""
    load = json.loads(sys.argv[1])
    result = uvloop.run(Loop(load).run())
    pathlib.Path(load["output"]).write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
