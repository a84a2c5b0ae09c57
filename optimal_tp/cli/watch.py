"""Follow the newest run in the cluster, from its bucket and CloudWatch. Ctrl-C ends the watching, never the run.

Exit status: 0 the run is over, 2 it cannot be watched, 130 interrupted.
Example: optimal-tp watch --stack dev
"""

import argparse
import collections.abc
import contextlib
import json
import pathlib
import subprocess
import time
import typing

import botocore.exceptions
import rich.console
import rich.live
import rich.text

from optimal_tp.account.inquiry import session_of
from optimal_tp.errors import Interrupted, OptimalTpError, Problem, SettingsError
from optimal_tp.settings.stack_config import stack_config
from optimal_tp.telemetry.lines import brief, lines
from optimal_tp.telemetry.snapshot import Scene, Sight

LOOK_SECONDS = 15.0
_LEAST_SECONDS = 5.0
_GONE = {
    "NoSuchBucket": "there is no such bucket: it was deleted, or belongs to another account",
    "AccessDenied": "these credentials may not read it",
    "ExpiredToken": "the credentials have expired",
    "ExpiredTokenException": "the credentials have expired",
    "InvalidAccessKeyId": "AWS does not know these credentials",
    "InvalidClientTokenId": "AWS does not know these credentials",
}
"""Error codes that no waiting mends, in words."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--stack", help="the Pulumi stack, whose outputs say where results are and what an hour costs")
    where.add_argument("--results", metavar="s3://BUCKET/PREFIX", help="where the runs are, without Pulumi")
    parser.add_argument("--every-seconds", type=float, default=LOOK_SECONDS, help="between two looks (default 15)")
    parser.add_argument("--once", action="store_true", help="look once and end")


def main(asked: argparse.Namespace) -> int:
    """Follow the newest run; returns 0 when it is over. Raises SettingsError for what cannot be watched."""
    results, usd_per_hour = (asked.results, None) if asked.stack is None else of_stack(asked.stack)
    # The stack's own profile, so that the account that is looked into is the one that it was made in.
    profile = None if asked.stack is None else stack_config(asked.stack, pathlib.Path(), needed=()).profile
    session = session_of(profile)
    if not results.startswith("s3://"):
        rule = "must be s3://bucket/prefix"
        raise SettingsError([Problem(path="--results", value=results, rule=rule, remedy="")])
    sight = Sight(results, session.client("s3"), lambda region: session.client("cloudwatch", region_name=region))
    screen = Screen(rich.console.Console(highlight=False), usd_per_hour)
    every = max(_LEAST_SECONDS, asked.every_seconds)
    try:
        with screen:
            return follow(sight, results, screen, every_seconds=0.0 if asked.once else every)
    except KeyboardInterrupt:
        raise Interrupted("watching has ended; the run goes on") from None


def follow(
    sight: Sight,
    results: str,
    screen: "Screen",
    *,
    every_seconds: float,
    sleep: collections.abc.Callable[[float], None] = time.sleep,
    clock: collections.abc.Callable[[], float] = time.time,
) -> int:
    """Show what ``sight`` sees until the run is over, looking every so often; 0 looks once.

    Raises SettingsError where the bucket cannot be read at the first look, or where no waiting helps.
    """
    seen = False
    while True:
        try:
            scene = sight.look(clock())
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            if not seen or _is_final(error):
                raise _unreadable(results, error) from error
            screen.trouble(f"AWS does not answer for now ({error}); trying again")
        else:
            seen = True
            screen.show(scene)
            if scene.is_over:
                return 0
        if not every_seconds:
            return 0
        sleep(every_seconds)


class Screen:
    """Lines that are rewritten on a terminal; elsewhere one line whenever something happened."""

    def __init__(self, console: rich.console.Console, usd_per_hour: float | None) -> None:
        """Write to ``console``."""
        self._console = console
        self._usd_per_hour = usd_per_hour
        self._live = rich.live.Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._last = ""

    def __enter__(self) -> typing.Self:
        """Take the screen's last lines."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave what was shown last."""
        if self._live is not None:
            self._live.stop()

    def show(self, scene: Scene) -> None:
        """Show ``scene``."""
        if self._live is not None:
            self._live.update(rich.text.Text("\n".join(lines(scene, self._usd_per_hour))), refresh=True)
            return
        line = brief(scene)
        if line == self._last:
            return
        self._last = line
        said = lines(scene, self._usd_per_hour) if scene.is_over or not scene.progress else [line]
        self._console.print(rich.text.Text("\n".join(said)), soft_wrap=True)

    def trouble(self, sentence: str) -> None:
        """Tell what went wrong, above the rest."""
        self._console.print(rich.text.Text(sentence), soft_wrap=True)


def of_stack(stack: str) -> tuple[str, float | None]:
    """Return where the stack's results are and what an hour costs, from its outputs.

    Raises SettingsError where Pulumi does not tell.
    """
    remedy = "run it where the program is, or name the bucket with --results s3://bucket/prefix"
    try:
        done = subprocess.run(
            ["pulumi", "stack", "output", "--json", "--stack", stack],  # noqa: S607 - the user's own Pulumi
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        rule = f"must have outputs that the pulumi command prints, and it does not start ({error.strerror})"
        raise SettingsError([Problem(path="--stack", value=stack, rule=rule, remedy=remedy)]) from None
    if done.returncode != 0:
        said = " ".join(done.stderr.split()) or "no word"
        rule = f"must be a stack whose outputs pulumi prints; it said: {said}"
        raise SettingsError([Problem(path="--stack", value=stack, rule=rule, remedy=remedy)])
    outputs: dict[str, typing.Any] = {}
    with contextlib.suppress(ValueError):
        outputs = json.loads(done.stdout)
    results, hour = outputs.get("results_uri"), outputs.get("usd_per_hour")
    if not isinstance(results, str):
        rule = "must have the output results_uri, which a finished `pulumi up` leaves"
        raise SettingsError([Problem(path="--stack", value=stack, rule=rule, remedy="run pulumi up, or " + remedy)])
    return results, float(hour) if isinstance(hour, (int, float)) else None


def _is_final(error: Exception) -> bool:
    return _code(error) in _GONE or isinstance(error, botocore.exceptions.NoCredentialsError)


def _code(error: Exception) -> str:
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def _unreadable(results: str, error: Exception) -> OptimalTpError:
    if isinstance(error, botocore.exceptions.NoCredentialsError):
        rule, remedy = "must be read with AWS credentials, and there are none here", "log in, or set AWS_PROFILE"
    else:
        rule = _GONE.get(_code(error), f"must be readable: {error}")
        remedy = "check the name, the account and its region; `pulumi stack output results_uri` says where results are"
    return SettingsError([Problem(path="results", value=results, rule=rule, remedy=remedy)])
