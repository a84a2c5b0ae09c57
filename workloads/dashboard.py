"""The dashboard and the alarms beside it."""

import collections.abc
import dataclasses
import json

import pulumi
import pulumi_aws as aws

from workloads.cluster_settings import Alarms
from workloads.metrics import BY_NAME, NAMESPACE, model_dimension
from workloads.panels import dashboard_body
from workloads.settings import Limits

_MINUTE_SECONDS = 60


@dataclasses.dataclass(frozen=True, kw_only=True)
class DashboardArgs:
    """What the dashboard shows. ``physical_name`` is unique in the account: dashboards have no region."""

    physical_name: str
    degrees: collections.abc.Sequence[int]
    limits: Limits
    region: str
    usd_per_hour: float | None
    """Of all Neuron nodes together; None leaves the cost out."""
    alarms: Alarms
    tags: collections.abc.Mapping[str, str]
    generator: pulumi.Resource
    """The load generator, whose silence is an alarm."""
    probes_for_ever: bool
    """False where it falls silent with the verdict, so that silence is nothing to be told."""


class Dashboard(pulumi.ComponentResource):
    """Charts and alarms. Children: ``<name>-board``, ``<name>-void-tp<degree>``, and of an endless probe ``-silent``.

    Takes its AWS provider from ``opts``.
    """

    url: pulumi.Output[str]

    def __init__(self, name: str, args: DashboardArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("optimal-tp:workloads:Dashboard", name, None, opts)
        self._name, self._args, self._child = name, args, pulumi.ResourceOptions(parent=self)
        body = dashboard_body(args.degrees, args.limits, region=args.region, usd_per_hour=args.usd_per_hour)
        board = aws.cloudwatch.Dashboard(
            f"{name}-board",
            dashboard_name=args.physical_name,
            dashboard_body=json.dumps(body, sort_keys=True),
            opts=self._child,
        )
        for degree in args.degrees:
            self._void_alarm(degree)
        if args.probes_for_ever:
            self._silent_alarm()
        console = f"https://{args.region}.console.aws.amazon.com/cloudwatch/home?region={args.region}"
        self.url = pulumi.Output.concat(console, "#dashboards/dashboard/", board.dashboard_name)
        self.register_outputs({"url": self.url})

    @property
    def _actions(self) -> list[str]:
        topic = self._args.alarms.topic_arn
        return [] if topic is None else [topic]

    def _void_alarm(self, degree: int) -> None:
        """Tell when a turn failed its self-audit. A degree that is not measured for a while is no alarm."""
        metric = BY_NAME["RunValid"]
        aws.cloudwatch.MetricAlarm(
            f"{self._name}-void-tp{degree}",
            name=f"{self._args.physical_name}-void-tp{degree}",
            alarm_description=f"A turn of {model_dimension(degree)} failed the load generator's self-audit.",
            namespace=NAMESPACE,
            metric_name=metric.name,
            dimensions={"Model": model_dimension(degree)},
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

    def _silent_alarm(self) -> None:
        """Tell when no degree has had a request for a while: the load generator has stopped or cannot publish."""
        offered = BY_NAME["OfferedRPS"]
        counts = [
            aws.cloudwatch.MetricAlarmMetricQueryArgs(
                id=f"m{number}",
                return_data=False,
                metric=aws.cloudwatch.MetricAlarmMetricQueryMetricArgs(
                    namespace=NAMESPACE,
                    metric_name=offered.name,
                    dimensions={"Model": model_dimension(degree)},
                    period=_MINUTE_SECONDS,
                    stat="SampleCount",
                ),
            )
            for number, degree in enumerate(self._args.degrees)
        ]
        minutes = self._args.alarms.silent_after_minutes
        # Over several series SUM passes over those without data, so one degree at work is enough.
        total = aws.cloudwatch.MetricAlarmMetricQueryArgs(
            id="all", expression="SUM(METRICS())", label="published minutes", return_data=True
        )
        aws.cloudwatch.MetricAlarm(
            f"{self._name}-silent",
            name=f"{self._args.physical_name}-silent",
            alarm_description=f"The load generator has published nothing for {minutes} minutes.",
            metric_queries=[*counts, total],
            comparison_operator="LessThanThreshold",
            threshold=1,
            evaluation_periods=minutes,
            datapoints_to_alarm=minutes,
            treat_missing_data="breaching",
            alarm_actions=self._actions,
            tags=dict(self._args.tags),
            # Before the load generator is there, and while it is deleted, silence is nothing to be told.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self._args.generator]),
        )
