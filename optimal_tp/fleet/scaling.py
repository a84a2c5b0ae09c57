"""Autoscaling of a fleet: how Prometheus scrapes the servers, and how KEDA computes the scale from their metrics."""

import pathlib
import typing
import urllib.parse

from optimal_tp.errors import Problem, SettingsError
from optimal_tp.pods import drain
from optimal_tp.servers.vllm import PORT

Spec = dict[str, typing.Any]

SCALER_VERSION = "keda.sh/v1alpha1"
MONITOR_VERSION = "monitoring.coreos.com/v1"
DEFAULT_PROMETHEUS = "http://prometheus-operated.monitoring:9090"
"""The Service that the Prometheus operator creates, in the namespace that most of its users choose."""

_SCRAPE_SECONDS = 15
_MEAN_SECONDS = 120
"""Window of the mean requests in flight, to which Little's law applies; one scrape of a small fleet varies too much."""
_SCALE_DOWN_SECONDS = 600
SETTLE_SECONDS = 10
"""Time until every node's proxy has removed a terminating pod from its Service; the usual value, not measured."""
_POLL_SECONDS = 1


def prometheus_namespace(address: str) -> str:
    """Return the namespace in ``address`` (``http://SERVICE.NAMESPACE[:PORT]``). Raises SettingsError for none."""
    try:
        parts = urllib.parse.urlsplit(address)
        labels, port_is_one = (parts.hostname or "").split("."), parts.port != 0
    except ValueError:
        labels, port_is_one = [], False
    cluster_wide = labels[2:3] in ([], ["svc"])
    if not (labels[1:] and all(labels) and port_is_one and cluster_wide and parts.scheme in ("http", "https")):
        rule = f"must be the address of a Service, for example {DEFAULT_PROMETHEUS}"
        remedy = "name the Prometheus that scrapes the cluster as http://SERVICE.NAMESPACE:PORT"
        raise SettingsError([Problem(path="--prometheus", value=address, rule=rule, remedy=remedy)])
    return labels[1]


def monitor_spec(name: str) -> Spec:
    """Return the pods that Prometheus scrapes. The operator labels their series with namespace, pod and ``job``."""
    return {
        "selector": {"matchLabels": {"app": name}},
        "podMetricsEndpoints": [{"port": "http", "path": "/metrics", "interval": f"{_SCRAPE_SECONDS}s"}],
    }


def scrape_peer(address: str) -> Spec:
    """Return the rule of a NetworkPolicy that admits the Prometheus at ``address`` to the servers."""
    peer = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": prometheus_namespace(address)}},
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}},
    }
    return {"from": [peer], "ports": [{"protocol": "TCP", "port": PORT}]}


def in_flight_query(name: str, namespace: str) -> str:
    """Return the mean requests in flight of the whole fleet ``name``: one number, as KEDA wants it.

    The operator builds ``job`` from a PodMonitor's namespace and name, so no other server is counted.
    """
    of = f'{{namespace="{namespace}",job="{namespace}/{name}"}}[{_MEAN_SECONDS}s]'
    return " + ".join(f"sum(avg_over_time({gauge}{of}))" for gauge in drain.GAUGES)


def scaler_spec(name: str, *, address: str, query: str, in_flight: float, servers: tuple[int, int]) -> Spec:
    """Return a ScaledObject that keeps ``query`` at ``in_flight`` per server, with ``servers`` as (least, most).

    A missing series is an error, not 0, so the autoscaler then leaves the fleet as it is.
    """
    least, most = servers
    trigger = {
        "type": "prometheus",
        "metricType": "AverageValue",
        "metadata": {
            "serverAddress": address,
            "query": query,
            "threshold": f"{max(in_flight, 0.001):.3f}",
            "ignoreNullValues": "false",
        },
    }
    return {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        # Never fewer than planned: a Poisson stream at this rate would break the limit before any metric shows it.
        "minReplicaCount": least,
        "maxReplicaCount": most,
        "pollingInterval": _SCRAPE_SECONDS,
        "advanced": {
            "horizontalPodAutoscalerConfig": {
                "name": name,
                "behavior": {"scaleDown": {"stabilizationWindowSeconds": _SCALE_DOWN_SECONDS}},
            }
        },
        "triggers": [trigger],
    }


def drain_hook() -> Spec:
    """Return the ``lifecycle`` of a server's container, which delays SIGTERM until its last answer."""
    source = pathlib.Path(drain.__file__).read_text(encoding="utf-8")
    url = f"http://127.0.0.1:{PORT}/metrics"
    return {"preStop": {"exec": {"command": ["python3", "-c", source, url, f"{SETTLE_SECONDS}", f"{_POLL_SECONDS}"]}}}


def grace_seconds(longest_request_seconds: float, stop_seconds: int) -> int:
    """Return how long a server may take to shut down: it leaves its Service, gives its last answer, then stops."""
    return SETTLE_SECONDS + round(longest_request_seconds + 0.5) + stop_seconds
