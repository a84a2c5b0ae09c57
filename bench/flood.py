"""A server that answers faster than any client asks: fixed bytes, as little work per request as HTTP allows.

``python -m bench.flood`` prints its port and serves until it is ended. Every answer has 32 tokens and a usage.
"""

import asyncio
import sys
import typing

import uvloop

from tests.fakes_server import Script, fixed_answers

TOKENS = 32


class Flood(asyncio.Protocol):
    """One connection: finds the ends of requests and looks at nothing else but whether to stream."""

    def __init__(self, plain: bytes, stream: bytes) -> None:
        """Answer with ``plain`` or ``stream``."""
        self._plain = plain
        self._stream = stream
        self._rest = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = typing.cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer each whole request."""
        data = self._rest + data if self._rest else data
        while data:
            head = data.find(b"\r\n\r\n")
            at = data.find(b"ength: ", 0, head)
            whole = head + 4 + (int(data[at + 7 : data.find(b"\r", at)]) if at >= 0 else 0)
            if head < 0 or len(data) < whole:
                break
            if self._transport is not None:
                streaming = data.find(b'"stream_options"', head, whole) >= 0
                self._transport.write(self._stream if streaming else self._plain)
            data = data[whole:]
        self._rest = data


async def main() -> None:
    """Serve until the process is ended."""
    plain, stream = fixed_answers(Script(), TOKENS)
    server = await asyncio.get_running_loop().create_server(lambda: Flood(plain, stream), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    sys.exit(uvloop.run(main()))
