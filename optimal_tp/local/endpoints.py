"""CloudWatch and S3 on loopback, played by moto in a process of its own.

``python -m optimal_tp.local.endpoints`` prints the port it got and serves until its standard input ends.
"""

import contextlib
import subprocess
import sys
import typing

from optimal_tp.errors import ServerFailed
from optimal_tp.local.server import ROOT


@contextlib.contextmanager
def local_endpoints() -> typing.Iterator[str]:
    """Start the endpoints, yield their URL, then stop them. Raises ServerFailed if they do not start."""
    process = subprocess.Popen(
        [sys.executable, "-m", "optimal_tp.local.endpoints"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,  # Ctrl-C ends the run first, then this
    )
    try:
        line = process.stdout.readline().strip() if process.stdout else ""
        if not line.isdigit():
            _, errors = process.communicate()
            last = errors.strip().splitlines()[-1:] or ["they printed nothing"]
            raise ServerFailed(
                f"the local CloudWatch and S3 endpoints did not start: {last[0]}; run `make local` to install them"
            )
        yield f"http://127.0.0.1:{line}"
    finally:
        process.communicate()


def serve() -> None:
    """Serve until standard input ends."""
    import logging  # noqa: PLC0415 - only the serving process needs these

    from moto.server import ThreadedMotoServer  # noqa: PLC0415

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    print(port, flush=True)  # noqa: T201 - the protocol with the starter
    sys.stdin.read()
    server.stop()


if __name__ == "__main__":
    serve()
