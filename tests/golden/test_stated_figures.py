"""Figures that the documents state of the program are the program's own."""

import re

import pytest

from optimal_tp.account.preflight import capacity_blocks
from optimal_tp.account.preflight.reservations import BLOCK_ENDS_EARLY
from optimal_tp.cluster import accounting, deadline
from optimal_tp.experiment import guidance, stages
from optimal_tp.facts import hardware
from optimal_tp.fleet import buying, smallest_fleet
from optimal_tp.fleet.engine import fitting, replay
from optimal_tp.fleet.simulation import simulation
from optimal_tp.local.profile import read_profile
from optimal_tp.measurement import audit, progress, run_audit
from optimal_tp.results import parts
from optimal_tp.settings.spend import ExpectedMinutes
from optimal_tp.settings.workload import Decision, Load
from optimal_tp.verdict import contest
from optimal_tp.verdict.race import rates
from tests.fakes_pulumi import recorded, run_main
from tests.fakes_stack_files import ROOT, stack_config

_BUSY = simulation.Effort().at(1.0)
_LOAD = Load()
_DECISION = 100 * Decision().resolution
_QUICK = 100 * read_profile("quick")[0][0].workloads.decision.resolution
NUMBERS = {1: "a", 3: "three", 4: "four", 5: "five", 11: "eleven"}

CONFIDENCE = "docs/concepts/confidence.md"
AWS, FLEET = "docs/get-started/aws.md", "docs/concepts/fleet.md"
MEASUREMENT = "docs/concepts/measurement.md"
STATED = (
    ("README.md", f"other processes take more than {100 * run_audit.FOREIGN_CPU_SHARE:g} % of the measured cores"),
    (MEASUREMENT, f"other processes took more than {100 * run_audit.FOREIGN_CPU_SHARE:g} % of the cores"),
    ("README.md", f"more than {_DECISION:g} % better ({_QUICK:g} % in `make local`)"),
    (CONFIDENCE, f"more than {_DECISION:g} % (`workloads.decision.resolution`; `make local` uses {_QUICK:g} %)"),
    (MEASUREMENT, f"Those of the first {_LOAD.warm_in:g} s (`warm_in`)"),
    (MEASUREMENT, f"n = rate · {_LOAD.turn_length:g} s (`turn_length`), at least {_LOAD.turn_requests}"),
    (MEASUREMENT, f"The first rate is {rates.FIRST_SHARE:g} of that"),
    (
        MEASUREMENT,
        f"a factor of {rates.NARROW:g} or the turns are used up (`bracket_turns`, {_LOAD.bracket_turns})",
    ),
    (MEASUREMENT, f"misses even at {guidance.LEAST_LOAD:g} requests in flight for each server"),
    (MEASUREMENT, f"gains less than {100 * contest.RISING - 100:g} % twice"),
    (MEASUREMENT, f"in a row, for at most {NUMBERS[guidance.MOST_DOUBLINGS]} steps"),
    (MEASUREMENT, f"or {NUMBERS[guidance.SATURATED_LATENCIES]} latencies under that load"),
    (MEASUREMENT, f"round measure {NUMBERS[stages.BLOCKS_A_VISIT]} blocks"),
    (MEASUREMENT, f"less than {100 * audit.LEAST_RATE_SHARE:g} % of the planned rate"),
    (
        MEASUREMENT,
        f"later than {audit.LATENESS_FLOOR_MS:g} ms ({100 * audit.LATENESS_SHARE:g} % of the limit",
    ),
    (
        MEASUREMENT,
        f"took more than {100 * run_audit.FOREIGN_CPU_SHARE:g} % of the cores of all candidates' servers",
    ),
    (MEASUREMENT, f"one more open turn at {guidance.HELD_OUT_SHARE:g} of its capacity"),
    (AWS, f"silent for {NUMBERS[int(progress.SILENT_SECONDS) // 60]} minutes"),
    (AWS, f"at Karpenter's NodeClaims every {accounting.LOOK_SECONDS:g} seconds"),
    (AWS, f"or {NUMBERS[int(deadline.MARGIN_SECONDS) // 60]} minute before the money ends"),
    ("docs/reference/preflight.md", f"nodes are ended {BLOCK_ENDS_EARLY.total_seconds() / 60:g} minutes early"),
    ("docs/evidence/not-run-on-aws.md", f"agree on the time within {parts.CLOCK_TOLERANCE_MS:g} ms"),
    (FLEET, f"No fleet is planned beyond {100 * simulation.FULLEST:g} % of its capacity's lower end"),
    (FLEET, f"above {100 * simulation.BUSY:g} % of capacity, of {_BUSY.requests:,} each"),
    (FLEET, f"{simulation.Effort().plain} simulations of {simulation.Effort().requests:,} requests together"),
    (FLEET, f"misses the median total latency of a load by more than {100 * fitting.WORST:g} %"),
    (FLEET, f"Fits to turns drawn with replacement ({fitting.BOOTSTRAP} of them)"),
    (FLEET, f"p50 (at least {replay.FEWEST[50.0]} requests) and p99 (at least {replay.FEWEST[99.0]})"),
    (FLEET, f"a router has at most {simulation.ROUTER_SERVERS} servers"),
    (FLEET, f"Fleets above 500 servers are distinguished to {100 * smallest_fleet.RESOLUTION:g} %"),
    (FLEET, f"spans a factor of {buying.LASTING:g} at least"),
)
"""Page, and words in it whose figures come from the program."""


def plain(page: str) -> str:
    """Return a page with every run of blanks as one."""
    return re.sub(r"\s+", " ", (ROOT / page).read_text(encoding="utf-8"))


@pytest.mark.parametrize(("page", "words"), STATED, ids=[f"{page}-{words[:30]}" for page, words in STATED])
def test_a_page_states_the_programs_figure(page: str, words: str) -> None:
    """A constant that moves takes the sentence with it."""
    assert words in plain(page)


def test_the_guard_comes_as_often_as_the_page_says() -> None:
    """A server that was started by hand after the deadline is stopped within five minutes."""
    cron = recorded("Pulumi.dev.yaml").one("CronJob guard-cron").inputs["spec"]["schedule"]

    assert cron == "*/5 * * * *"
    assert "what is started by hand is stopped again within five minutes" in plain(AWS)


def test_the_preview_that_the_page_shows_is_the_dev_stacks() -> None:
    """Plan and cost, line by line."""
    outputs = recorded("Pulumi.dev.yaml").outputs
    block = re.search(r"pulumi preview\n(.*?)```", (ROOT / AWS).read_text(encoding="utf-8"), re.DOTALL)

    assert block is not None
    assert [line.strip() for line in block[1].splitlines()] == [*outputs["plan"], *outputs["cost"]]


def test_the_page_lists_where_each_type_is_offered() -> None:
    """Every region with its zones, and the day on which they were read."""
    for kind in hardware.INSTANCE_TYPES.values():
        [row] = [line for line in (ROOT / AWS).read_text(encoding="utf-8").splitlines() if f"| `{kind.name}` |" in line]
        stated = {region: tuple(zones.split(", ")) for region, zones in re.findall(r"`([a-z0-9-]+)` \(([^)]+)\)", row)}
        assert stated == {region: tuple(zone[-1] for zone in zones) for region, zones in kind.offered.items()}
    assert f"Read on {hardware.OFFERINGS_READ_ON}." in plain(AWS)


@pytest.mark.parametrize("page", ["README.md", AWS, "docs/how-to/capacity-block.md", "Pulumi.dev.yaml"])
def test_a_page_states_what_the_shortest_capacity_block_costs(page: str) -> None:
    """The least outlay is a block that holds the experiment, whatever of it is used."""
    _, expected, block, _ = recorded("Pulumi.dev.yaml").outputs["cost"]
    hours = capacity_blocks.hours(sum(float(each) for each in re.findall(r"([\d.]+) h ", expected)))
    neuron = stack_config("Pulumi.dev.yaml")["optimal-tp:infra"]["neuron"]

    usd = hours * neuron["price"]["usd_per_hour"] * neuron["maximum_nodes"]

    assert hours == 24
    assert block.startswith(f"a Capacity Block for it costs at least {usd:.2f} USD (24 h of 1 x 2.25 USD an hour)")
    assert f"{usd:.0f} USD" in plain(page)


def test_the_readme_states_what_the_dev_stack_costs() -> None:
    """An hour of serving, and one of the cluster alone."""
    outputs, page = recorded("Pulumi.dev.yaml").outputs, plain("README.md")

    assert f"counts hours in use, {outputs['usd_per_hour']:.2f} USD each" in page
    assert f"goes on costing {outputs['usd_per_hour_idle']:.2f} USD an hour" in page


@pytest.mark.parametrize("page", ["README.md", AWS, "docs/concepts/money.md", "docs/get-started/first-verdict.md"])
def test_a_page_states_what_the_whole_experiment_costs(page: str) -> None:
    """The block in full and, of the expected cost, what no block pays: the cluster and its traffic."""
    outputs = recorded("Pulumi.dev.yaml").outputs
    block = re.search(r"at least ([\d.]+) USD", outputs["cost"][2])
    traffic = re.search(r"([\d.]+) USD for images", outputs["cost"][1])
    assert block is not None
    assert traffic is not None
    idle, hour, before = outputs["usd_per_hour_idle"], outputs["usd_per_hour"], ExpectedMinutes().cluster / 60
    served = (outputs["usd_expected"] - before * idle - float(traffic[1])) / hour

    around = (before + served) * idle + float(traffic[1])
    assert f"about {float(block[1]) + around:.0f} USD" in plain(page)
    assert f"{around:.0f} USD for the cluster" in plain(page)


def test_the_pages_state_what_auto_batches_take() -> None:
    """Hours and dollars of all batches that the memory holds, where the reader chooses them."""
    config = stack_config("Pulumi.dev.yaml")
    config["optimal-tp:workloads"]["model"]["max_num_seqs"] = "auto"
    config["optimal-tp:spend"]["budget_usd"] = 500
    outputs = run_main(config).outputs
    rounds = sum(line.startswith("round ") for line in outputs["plan"])
    hours = re.search(r"([\d.]+) h to compile", outputs["cost"][1])

    assert hours is not None
    stated = f"makes {rounds} candidates of three: the preview then expects {float(hours[1]):.0f} hours instead of 3"
    assert f"{stated} to compile and start them, {outputs['usd_expected']:.0f} USD" in plain(AWS)
    assert f"`auto` makes {rounds} of them, which take {float(hours[1]):.0f} hours" in plain("docs/how-to/batch.md")
    words = f"{rounds} candidates then take {float(hours[1]):.0f} hours to start, not 3."
    assert words in plain("Pulumi.dev.yaml").replace(" # ", " ")
