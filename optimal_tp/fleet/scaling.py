"""What makes a fleet follow its load: who scrapes the servers, and the scale that is computed from what they say."""

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
"""The Service that the Prometheus operator makes, in the namespace that most of its users give it."""

_SCRAPE_SECONDS = 15
_MEAN_SECONDS = 120
"""Little's law speaks of the mean in flight; one scrape of a small fleet says little of it."""
_SCALE_DOWN_SECONDS = 600
SETTLE_SECONDS = 10
"""Until every node's proxy has taken a pod that is going out of its Service; the usual value, not a measured one."""
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
    """Say whom Prometheus scrapes. The operator labels what it finds with namespace, pod and ``job``, name included."""
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

    ``job`` is what the operator makes of a PodMonitor's namespace and name, so no other server is counted.
    """
    of = f'{{namespace="{namespace}",job="{namespace}/{name}"}}[{_MEAN_SECONDS}s]'
    return " + ".join(f"sum(avg_over_time({gauge}{of}))" for gauge in drain.GAUGES)


def scaler_spec(name: str, *, address: str, query: str, in_flight: float, servers: tuple[int, int]) -> Spec:
    """Return a ScaledObject: as many servers as hold ``query`` at ``in_flight`` each, within ``servers``.

    A series that is missing is an error, not 0: the autoscaler then leaves the fleet as it is.
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
        # The plan is the least: below it a Poisson stream of this rate breaks the limit before any metric shows it.
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
    """Return the ``lifecycle`` of a server's container: no SIGTERM before its last answer."""
    source = pathlib.Path(drain.__file__).read_text(encoding="utf-8")
    url = f"http://127.0.0.1:{PORT}/metrics"
    return {"preStop": {"exec": {"command": ["python3", "-c", source, url, f"{SETTLE_SECONDS}", f"{_POLL_SECONDS}"]}}}


def grace_seconds(longest_request_seconds: float, stop_seconds: int) -> int:
    """Return how long a server may take to go: until it is out of its Service, its last answer, and its own end."""
    return SETTLE_SECONDS + round(longest_request_seconds + 0.5) + stop_seconds
