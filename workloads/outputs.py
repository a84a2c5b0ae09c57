"""The experiment's stack outputs, typed; each docstring is a row of docs/reference/settings.md."""

import typing

import pulumi


class ExperimentOutputs(typing.TypedDict):
    """Outputs of rows 9 to 11."""

    plan: pulumi.Input[list[str]]
    """Which server stands on which node, as the preview prints it."""
    cost: pulumi.Input[list[str]]
    """What that costs by the hour and in all, as the preview prints it."""
    usd_per_hour: pulumi.Input[float]
    """USD an hour while it serves."""
    usd_per_hour_idle: pulumi.Input[float]
    """USD an hour without a Neuron node: control plane, system nodes, NAT gateways."""
    usd_expected: pulumi.Input[float]
    """USD that the whole experiment is expected to cost."""
    budget_usd: pulumi.Input[float]
    """USD that it may cost at most: ``spend.budget_usd``."""
    servers_stop_at: pulumi.Input[str]
    """Moment at which the guard stops the servers, ISO 8601 in UTC; or that nobody does."""
    dashboard_url: pulumi.Input[str]
    """Dashboard of all metrics in CloudWatch."""
    results_uri: pulumi.Input[str]
    """Where samples, verdicts and reports are, ``s3://bucket/prefix``."""
    results_on_destroy: pulumi.Input[str]
    """What ``pulumi destroy`` does with them."""
    watch_command: pulumi.Input[str]
    """Command that follows the run in the terminal."""
    fetch_results_command: pulumi.Input[str]
    """Command that copies all runs into ``out/cluster``."""
    receipt_command: pulumi.Input[str]
    """Command that prints the newest receipt."""
    measure_again_command: pulumi.Input[str]
    """Command that starts another run of the same settings."""
    stop_servers_command: pulumi.Input[str]
    """Command that stops all servers, so that their nodes go."""
    end_all_spend_command: pulumi.Input[str]
    """Command that destroys the stack."""
