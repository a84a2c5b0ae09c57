"""Wait until a vLLM server that is going has answered everything: the ``preStop`` hook of a fleet's servers.

``python3 -c SOURCE URL SETTLE_SECONDS POLL_SECONDS`` runs it in the server's own image, so it imports the standard
library only. vLLM gives up every request in flight on SIGTERM unless it was told otherwise (``shutdown_timeout`` 0,
vllm/v1/engine/core.py, 0.32; older lines know no other way), and Kubernetes sends SIGTERM once this has ended.
"""

import sys
import time
import urllib.request

GAUGES = ("vllm:num_requests_running", "vllm:num_requests_waiting")
"""Requests that vLLM works on, and those that wait, in every line since 0.9 (vllm/v1/metrics/loggers.py)."""
_QUIET_READINGS = 2


def requests_in_flight(exposition: str) -> float:
    """Return the sum of both gauges over all engines of a server, from the text of its ``/metrics``."""
    lines = (line.rsplit(" ", 1) for line in exposition.splitlines() if not line.startswith("#"))
    return sum(float(words[1]) for words in lines if words[0].split("{", 1)[0] in GAUGES)


def drained(url: str, settle_seconds: float, poll_seconds: float) -> bool:
    """Return True once nothing was in flight twice in a row, False if the server no longer tells.

    ``settle_seconds`` pass first: until every node knows that the server gets no new request (endpoints are told apart
    from this hook), one that has just been sent is still under way. The pod's grace period ends what never ends here.
    """
    time.sleep(settle_seconds)
    on_this_pod = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # past a proxy that the pod may name
    quiet = 0
    while quiet < _QUIET_READINGS:
        try:
            with on_this_pod.open(url, timeout=5) as answer:
                left = requests_in_flight(answer.read().decode())
        except OSError:
            return False
        quiet = 0 if left else quiet + 1
        time.sleep(poll_seconds)
    return True


if __name__ == "__main__":
    drained(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))
