"""The record of a run: the same text as ever, read whatever release wrote it, and refused where it is none."""

import json
import pathlib
import re
import typing

import pytest

from optimal_tp.errors import SettingsError
from optimal_tp.measurement.run import decode_run, encode_run
from optimal_tp.settings.workload import Decision, Limits, Load, unknown_keys

STORED = (pathlib.Path(__file__).parents[1] / "golden" / "run-v1.json").read_text().removesuffix("\n")
"""As the first release with receipts wrote it."""
GONE = {"arrivals", "rate_per_second", "step_seconds", "utilisation"}
"""Keys of its load that are no settings any more."""


def edited(change: typing.Callable[[dict[str, typing.Any]], object]) -> str:
    """Return the stored text with its data changed."""
    data = json.loads(STORED)
    change(data)
    return json.dumps(data)


def changed(settings: dict[str, typing.Any], **load: object) -> dict[str, typing.Any]:
    """Return ``settings`` with other values of the load."""
    return {**settings, "load": {**settings["load"], **load}}


def test_a_stored_record_loses_nothing_when_it_is_written_again() -> None:
    """A later release adds keys with their defaults; what was there stays as it was."""
    old, new = json.loads(STORED), json.loads(encode_run(decode_run(STORED)))

    listed = ("degrees", "turns")
    assert {key: new[key] for key in old if key not in ("settings", *listed)} == {
        key: value for key, value in old.items() if key not in ("settings", *listed)
    }
    for name in listed:
        kept = [{key: after[key] for key in one} for one, after in zip(old[name], new[name], strict=True)]
        assert kept == old[name]


def test_settings_are_parsed_where_a_record_is_decoded() -> None:
    """Readers get them with their types."""
    settings = decode_run(STORED).settings
    stored = json.loads(STORED)["settings"]
    load = {key: value for key, value in stored["load"].items() if key not in GONE}

    assert (
        settings.load.model_dump(exclude=GONE)
        == Load.model_validate({**load, "output_spread": 0, "routing": "round-robin"}).model_dump()
    )
    assert settings.limits == Limits.model_validate(stored["limits"])
    assert settings.load.concurrency == (1, 2, 4)
    assert settings.decision.minimum_blocks == 5


def test_settings_that_an_old_run_lacks_have_their_defaults() -> None:
    """A run of before a setting was measured as its default says."""
    text = edited(lambda data: (data["settings"].pop("decision"), data["settings"]["load"].pop("pause_seconds")))

    assert decode_run(text).settings.decision == Decision()
    assert decode_run(text).settings.load == decode_run(STORED).settings.load
    assert decode_run(STORED).settings.load.pause_seconds == 0.5


def test_a_run_of_before_lengths_varied_asked_for_one_length() -> None:
    """It is no error that its model had no room for longer outputs, and a run that states a spread keeps it."""
    text = edited(lambda data: data["settings"]["model"].update(max_model_len_tokens=80))
    later = edited(lambda data: data["settings"]["load"].update(output_spread=0.25))

    assert decode_run(text).settings.load.output_range == (50, 50)
    assert decode_run(later).settings.load.output_spread == 0.25


def test_settings_that_are_no_more_are_kept_aside_by_name() -> None:
    """A run is readable after a setting was removed; runs that differ in it are not equal."""
    was = decode_run(edited(lambda data: data["settings"]["load"].update(ramp=1)))
    now = decode_run(edited(lambda data: data["settings"]["load"].update(ramp=2)))

    assert set(unknown_keys(was.settings)) == {"workloads.load.ramp", *(f"workloads.load.{key}" for key in GONE)}
    assert was.settings.load.seed == decode_run(STORED).settings.load.seed
    assert was.settings != now.settings


def test_settings_that_break_a_rule_are_refused_by_key() -> None:
    """With the sentence that the settings file would get."""
    text = edited(lambda data: data["settings"].update(degrees=[1, 3]))

    with pytest.raises(SettingsError, match=r"^run\.json workloads\.degrees\[1\]: must be a power of two .*\(got 3\)$"):
        decode_run(text)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda data: data.pop("turns"), "turns must be set in a run record"),
        (lambda data: data.pop("settings"), "settings must be set in a run record"),
        (lambda data: data["degrees"][0].pop("urls"), "degrees.0.urls must be set in a run record"),
        (lambda data: data.update(colour="red"), "colour must not be in a run record"),
        (
            lambda data: data["turns"][1].update(requests="two"),
            "turns.1.requests must not be 'two' in a run record",
        ),
        (lambda data: data.update(schema_version=2), "schema_version must be 1 in a run record, but it is 2"),
        (lambda data: data.pop("schema_version"), "schema_version must be 1 in a run record, but it is not set"),
    ],
)
def test_a_text_that_holds_no_run_is_refused_by_key(
    change: typing.Callable[[dict[str, typing.Any]], object], sentence: str
) -> None:
    """Missing, unknown, of another kind, of another version."""
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        decode_run(edited(change))


@pytest.mark.parametrize("text", ["", "[]", STORED[:100]])
def test_a_cut_text_is_refused(text: str) -> None:
    """Nothing, a list, a part."""
    with pytest.raises(ValueError, match=r"^(Expecting|Unterminated|schema_version must be 1)"):
        decode_run(text)
