"""``python -m bench.client_costs``: what each step of a request costs the client, in microseconds, without network."""

import argparse
import asyncio
import time
import typing

from bench.flood import TOKENS
from optimal_tp.loadgen import exchange
from optimal_tp.loadgen.command import summary
from optimal_tp.loadgen.connection import Connection
from optimal_tp.loadgen.exchange import Exchange
from optimal_tp.loadgen.wire import RequestWriter, address, shared_body
from optimal_tp.measurement import audit
from optimal_tp.measurement.samples import encode
from optimal_tp.plan.prompts import Prompt
from tests.fakes_server import Script, fixed_answers

_TURNS, _REPEATS = 60, 250


class _Owner:
    """Lets go of what has ended."""

    def finished(self, connection: Connection, ended: Exchange) -> None:
        """Do nothing."""

    def lost(self, connection: Connection) -> None:
        """Do nothing."""


def best_microseconds(work: typing.Callable[[], object]) -> float:
    """Return the shortest of many measurements of ``work``: what it costs when nothing comes between."""
    least = float("inf")
    for _ in range(_REPEATS):
        begun = time.perf_counter()
        for _ in range(_TURNS):
            work()
        least = min(least, time.perf_counter() - begun)
    return 1e6 * least / _TURNS


def reads(answer: bytes) -> list[bytes]:
    """Return a streamed ``answer`` as a client gets it that reads every token when it comes."""
    head, body = answer.split(b"\r\n\r\n", 1)
    parts = [part + b"\n\n\r\n" for part in body.split(b"\n\n\r\n")]
    tokens, rest = parts[:TOKENS], parts[TOKENS:]
    return [head + b"\r\n\r\n" + tokens[0], *tokens[1:-1], tokens[-1] + b"".join(rest).removesuffix(b"\n\n\r\n")]


def costs(pieces: typing.Sequence[bytes]) -> dict[str, float]:
    """Return the cost of each step for an answer that comes in ``pieces``."""
    connection = Connection(_Owner(), time.perf_counter, replica=0, most_chunks=10 * TOKENS)
    connection.connection_made(asyncio.Transport())
    body = shared_body("scripted", stream=True, temperature=None, ignore_eos=False)
    writer = RequestWriter(address("http://127.0.0.1:1"), body, max_tokens=TOKENS)
    counted = summary.Summary()

    def answered() -> Exchange:
        """Return an exchange that has taken in every piece."""
        asked = Exchange(0, 0, 0, 0.0, b"")
        connection.usable = True
        connection._exchange = asked  # noqa: SLF001 - send would want a socket
        for piece in pieces:
            connection.data_received(piece)
        return asked

    done = answered()
    if len(done.tokens) not in {0, TOKENS} or done.status != "ok":
        raise RuntimeError(f"the answer was read as {done.status} with {len(done.tokens)} tokens")
    done.sent = done.intended = done.end - 0.01
    begun = done.end - 5
    origin = exchange.Origin(stage="load", degree=1, block=None, concurrency=64, rate_per_second=None, seconds=begun)
    sample = exchange.sample(done, origin)
    return {
        "writing the request": best_microseconds(lambda: writer.request(Prompt("123"))),
        "reading the answer": best_microseconds(answered),
        "building the sample": best_microseconds(lambda: exchange.sample(done, origin)),
        "encoding it": best_microseconds(lambda: encode(sample).encode()),
        "counting its distributions": best_microseconds(lambda: counted.add(sample)),
        "keeping what the audit needs": best_microseconds(lambda: audit.row(sample)),
    }


def main() -> None:
    """Print a table."""
    plain, stream = fixed_answers(Script(), TOKENS)
    columns = {"plain": costs([plain]), "in one read": costs([stream]), "a read a token": costs(reads(stream))}
    print(f"| microseconds per request | {' | '.join(columns)} |")
    print("| --- |" + " --- |" * len(columns))
    for step in columns["plain"]:
        print(f"| {step} | {' | '.join(f'{column[step]:.1f}' for column in columns.values())} |")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()  # none but --help, which measures nothing
    main()
