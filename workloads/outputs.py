"""The experiment's stack outputs, typed; each docstring is a row of docs/reference/settings.md."""

import typing

import pulumi


class ExperimentOutputs(typing.TypedDict):
    """Outputs of the experiment."""

    plan: pulumi.Input[list[str]]
    """The servers on each node, as the preview prints them."""
    cost: pulumi.Input[list[str]]
    """Cost by the hour and in total, as the preview prints it."""
    usd_per_hour: pulumi.Input[float]
    """USD per hour while the experiment runs."""
    usd_per_hour_idle: pulumi.Input[float]
    """USD per hour without Neuron nodes: control plane, system nodes, NAT gateways."""
    usd_expected: pulumi.Input[float]
    """Expected cost of the whole experiment, in USD."""
    budget_usd: pulumi.Input[float]
    """The most that the hours in use may cost, in USD: ``spend.budget_usd``."""
    servers_stop_at: pulumi.Input[str]
    """When the guard stops the servers, ISO 8601 in UTC, or that it never does."""
    dashboard_url: pulumi.Input[str]
    """Dashboard of all metrics in CloudWatch."""
    results_uri: pulumi.Input[str]
    """Place of samples, verdicts and reports: ``s3://bucket/prefix``."""
    results_on_destroy: pulumi.Input[str]
    """Whether ``pulumi destroy`` keeps or deletes them."""
    watch_command: pulumi.Input[str]
    """Command that follows the run in the terminal."""
    fetch_results_command: pulumi.Input[str]
    """Command that copies all runs into ``out/cluster``."""
    receipt_command: pulumi.Input[str]
    """Command that prints the newest receipt."""
    measure_again_command: pulumi.Input[str]
    """Command that starts another run with the same settings."""
    stop_servers_command: pulumi.Input[str]
    """Command that stops all servers, so that their nodes are removed."""
    end_all_spend_command: pulumi.Input[str]
    """Command that destroys the stack."""
