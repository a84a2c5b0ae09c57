"""Measure one process's share of an experiment that several processes run together, or judge it afterwards.

Exit status: 0 the share was measured, or as ``run`` has them for the judgement; 2 bad settings or targets, 5 a server,
the storage, Kubernetes or the common start failed, 130 interrupted.
"""

import argparse
import collections.abc
import functools
import os

import uvloop

from optimal_tp.cli import run
from optimal_tp.cluster import job
from optimal_tp.cluster.assembly import assembled
from optimal_tp.cluster.job import PodOptions
from optimal_tp.cluster.order import Order, order_of_one, read_order
from optimal_tp.errors import Problem, SettingsError
from optimal_tp.loadgen.command import access


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to ``parser``."""
    run.configure(parser)
    job.configure(parser)


def main(arguments: argparse.Namespace) -> int:
    """Measure the share, or judge the results of all shares; return the exit status."""
    order, options = asked(arguments, os.environ)
    life = job.judge_after if options.pod is None else job.measure_share
    return uvloop.run(assembled(order, functools.partial(life, options), access.checked(arguments)))


def asked(arguments: argparse.Namespace, environment: collections.abc.Mapping[str, str]) -> tuple[Order, PodOptions]:
    """Return the checked order. Raises SettingsError with every fault of file and command line."""
    problems: list[Problem] = []
    order = read_order(arguments)
    options = job.pod_options(arguments, None if order is None else order.pods, environment, problems)
    if order is None:
        order = order_of_one(arguments, problems)
    if problems:
        raise SettingsError(problems)
    return order, options
