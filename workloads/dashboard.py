"""The dashboard and the alarms beside it."""

import collections.abc
import dataclasses
import json

import pulumi
import pulumi_aws as aws

from optimal_tp.facts import names
from optimal_tp.facts.candidates import Candidate
from optimal_tp.measurement.metrics import BY_NAME, NAMESPACE
from optimal_tp.settings.spend import Alarms
from workloads.manifests.panels import Board, dashboard_body

_MINUTE_SECONDS = 60


@dataclasses.dataclass(frozen=True, kw_only=True)
class DashboardArgs:
    """Arguments of the dashboard. ``physical_name`` is unique in the account, because dashboards have no region."""

    physical_name: str
    boards: collections.abc.Sequence[Board]
    region: str
    usd_per_hour: float | None
    """Cost of all Neuron nodes together; None: the dashboard shows no cost."""
    alarms: Alarms
    tags: collections.abc.Mapping[str, str]
    generator: pulumi.Resource
    """The load generator, whose silence is an alarm."""
    probes_for_ever: bool
    """False if it falls silent after the verdict, so that silence needs no alarm."""


class Dashboard(pulumi.ComponentResource):
    """Charts and alarms. Children: ``<name>-board``, ``<name>-void-<candidate>``; for an endless probe ``-silent``.

    In a sweep ``<name>-void-<slug>-<candidate>``, and ``<name>-silent-<slug>`` for each model below ``<name>-silent``.
    Takes its AWS provider from ``opts``.
    """

    url: pulumi.Output[str]

    def __init__(self, name: str, args: DashboardArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("optimal-tp:workloads:Dashboard", name, None, opts)
        self._name, self._args, self._child = name, args, pulumi.ResourceOptions(parent=self)
        body = dashboard_body(args.boards, region=args.region, usd_per_hour=args.usd_per_hour)
        board = aws.cloudwatch.Dashboard(
            f"{name}-board",
            dashboard_name=args.physical_name,
            dashboard_body=json.dumps(body, sort_keys=True),
            opts=self._child,
        )
        for each in args.boards:
            for candidate in each.candidates:
                self._void_alarm(each, candidate)
        if args.probes_for_ever:
            self._silent_alarms()
        console = f"https://{args.region}.console.aws.amazon.com/cloudwatch/home?region={args.region}"
        self.url = pulumi.Output.concat(console, "#dashboards/dashboard/", board.dashboard_name)
        self.register_outputs({"url": self.url})

    def _silent_alarms(self) -> None:
        boards = self._args.boards
        if len(boards) == 1:
            self._silent_alarm(boards[0], self._actions)
        else:
            self._all_silent_alarm([self._silent_alarm(each, []) for each in boards])

    @property
    def _actions(self) -> list[str]:
        topic = self._args.alarms.topic_arn
        return [] if topic is None else [topic]

    def _void_alarm(self, board: Board, candidate: Candidate) -> None:
        """Raise an alarm if a turn failed its self-audit, but not if a candidate is not measured for a while."""
        metric = BY_NAME["RunValid"]
        aws.cloudwatch.MetricAlarm(
            names.void_alarm(self._name, board.slug, candidate),
            name=names.void_alarm(self._args.physical_name, board.slug, candidate),
            alarm_description=f"A turn of {board.dimension(candidate)} failed the load generator's self-audit.",
            namespace=NAMESPACE,
            metric_name=metric.name,
            dimensions={"Model": board.dimension(candidate)},
            statistic=metric.statistics[0],
            comparison_operator="LessThanThreshold",
            threshold=1,
            period=_MINUTE_SECONDS,
            evaluation_periods=1,
            treat_missing_data="notBreaching",
            alarm_actions=self._actions,
            tags=dict(self._args.tags),
            opts=self._child,
        )

    def _silent_alarm(self, board: Board, actions: list[str]) -> aws.cloudwatch.MetricAlarm:
        """Raise an alarm if no candidate had a request for a while: the load generator stopped or cannot publish."""
        offered = BY_NAME["OfferedRPS"]
        counts = [
            aws.cloudwatch.MetricAlarmMetricQueryArgs(
                id=f"m{number}",
                return_data=False,
                metric=aws.cloudwatch.MetricAlarmMetricQueryMetricArgs(
                    namespace=NAMESPACE,
                    metric_name=offered.name,
                    dimensions={"Model": board.dimension(candidate)},
                    period=_MINUTE_SECONDS,
                    stat="SampleCount",
                ),
            )
            for number, candidate in enumerate(board.candidates)
        ]
        minutes = self._args.alarms.silent_after_minutes
        # SUM skips series without data, so one active candidate is enough.
        total = aws.cloudwatch.MetricAlarmMetricQueryArgs(
            id="all", expression="SUM(METRICS())", label="published minutes", return_data=True
        )
        of_model = f" of {board.title}" if board.title else ""
        return aws.cloudwatch.MetricAlarm(
            names.silent_alarm(self._name, board.slug),
            name=names.silent_alarm(self._args.physical_name, board.slug),
            alarm_description=f"The load generator has published nothing{of_model} for {minutes} minutes.",
            metric_queries=[*counts, total],
            comparison_operator="LessThanThreshold",
            threshold=1,
            evaluation_periods=minutes,
            datapoints_to_alarm=minutes,
            treat_missing_data="breaching",
            alarm_actions=actions,
            tags=dict(self._args.tags),
            # Silence before the load generator exists, and while it is deleted, needs no alarm.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self._args.generator]),
        )

    def _all_silent_alarm(self, alarms: collections.abc.Sequence[aws.cloudwatch.MetricAlarm]) -> None:
        """Raise an alarm if all models of a sweep are silent; a model that waits for its turn always is.

        Each model has an alarm of its own, because one alarm's expression takes at most ten metrics (CloudWatch user
        guide, "Limits that apply to alarms based on metric math expressions", read 2026-11-24).
        """
        rules = [pulumi.Output.concat("ALARM(", alarm.name, ")") for alarm in alarms]
        minutes = self._args.alarms.silent_after_minutes
        aws.cloudwatch.CompositeAlarm(
            names.silent_alarm(self._name, ""),
            alarm_name=names.silent_alarm(self._args.physical_name, ""),
            alarm_description=f"The load generator has published nothing of any model for {minutes} minutes.",
            alarm_rule=pulumi.Output.all(*rules).apply(" AND ".join),
            alarm_actions=self._actions,
            tags=dict(self._args.tags),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self._args.generator]),
        )
