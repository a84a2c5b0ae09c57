"""What preflight has to know of the experiment, whatever it is: nodes, hours, image, and names of its own."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
    """The experiment as far as AWS is concerned. Hours count from now until the last node is gone."""

    nodes: int
    """Neuron nodes at the same time, by the plan: at most ``infra.neuron.maximum_nodes``."""
    expected_hours: float
    longest_hours: float | None
    """When the guard stops it at the latest; None where nobody does."""
    own_image: str | None
    """Of the load generator, where a setting names one."""
    bucket: str | None
    """Of the results, where a setting names one."""
    alarms: tuple[str, ...]
