"""The whole configuration of a stack, read through Pulumi if it is installed, else from the stack file.

Only Pulumi can read secrets and ESC environments. Values that it calls secret are used, but never printed.
"""

import dataclasses
import json
import pathlib
import re
import shutil
import subprocess
import typing

from optimal_tp.errors import OptimalTpError, Problem, SettingsError
from optimal_tp.settings.parser import read_yaml
from optimal_tp.settings.stack_keys import PROFILE, PROJECT, SECTIONS, unknown_keys

HIDDEN: typing.Final = "[secret]"
COMMAND = "pulumi"
_SHORTEST_SECRET = 4
"""Characters. A shorter text is too common to be hidden in sentences."""
_PATIENCE_SECONDS = 120.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class StackConfig:
    """The configuration of a stack by key (``optimal-tp:infra``), as plain data."""

    values: dict[str, typing.Any]
    file: str
    """Name of the stack file, for remedies."""
    secrets: frozenset[str] = frozenset()
    """Every text below a key that holds a secret, because Pulumi does not say which of them is secret."""
    why_the_file: str = ""
    """Why an installed Pulumi gave no answer, as part of a sentence."""

    @property
    def sections(self) -> dict[str, object]:
        """The sections of the program, by name; one that is absent is None."""
        return {name: self.values.get(f"{PROJECT}:{name}") for name in SECTIONS}

    @property
    def profile(self) -> str | None:
        """The AWS profile that the stack names; None for the environment's credentials."""
        found = self.values.get(PROFILE)
        return None if found is None else str(found)

    def hide(self, text: str) -> str:
        """Return ``text`` without any secret."""
        if not self.secrets:
            return text
        words = "|".join(re.escape(each) for each in sorted(self.secrets, key=len, reverse=True))
        return re.sub(words, HIDDEN, text)

    def hidden(self, error: OptimalTpError) -> OptimalTpError:
        """Return ``error`` without any secret in its sentences."""
        if not self.secrets:
            return error
        if not isinstance(error, SettingsError):
            return type(error)(self.hide(str(error)))
        told = [
            dataclasses.replace(each, value=HIDDEN, rule=self.hide(each.rule), remedy=self.hide(each.remedy))
            for each in error.problems
        ]
        return SettingsError(told)


def stack_config(name: str, folder: pathlib.Path, *, needed: tuple[str, ...] = (f"{PROJECT}:infra",)) -> StackConfig:
    """Return the configuration of the stack ``name`` (``dev``, ``organization/project/dev``) of ``folder``'s project.

    Raises SettingsError if it cannot be read, a key is missing, or one of ours is not known.
    """
    found, wrong = loose_config(name, folder, needed=needed)
    if wrong:
        raise SettingsError(wrong)
    return found


def loose_config(name: str, folder: pathlib.Path, *, needed: tuple[str, ...]) -> tuple[StackConfig, list[Problem]]:
    """Return the same with what is wrong with its keys, which must not hide mistakes in our sections.

    Raises SettingsError if it cannot be read, or a section of ours is missing.
    """
    file = f"Pulumi.{name.rsplit('/', maxsplit=1)[-1]}.yaml"
    told, why = _by_pulumi(name, folder, file)
    found = (
        StackConfig(values=_by_file(name, folder / file, why), file=file, why_the_file=why) if told is None else told
    )
    unknown = unknown_keys(found.values, project=project_name(folder), file=file, folder=folder)
    refused = {each.path for each in unknown}  # what is misplaced is not missing too
    missing = [
        Problem(path=key, value=..., rule="must be set", file=file)
        for key in needed
        if found.values.get(key) is None and key not in refused
    ]
    if any(each.path.startswith(f"{PROJECT}:") for each in missing):
        raise SettingsError([*unknown, *missing])
    return found, [*unknown, *missing]


def _by_pulumi(name: str, folder: pathlib.Path, file: str) -> tuple[StackConfig | None, str]:
    """Return Pulumi's answer; or None and, if Pulumi is installed, the reason."""
    command = shutil.which(COMMAND)
    if command is None:
        return None, ""
    words = [command, "config", "--json", "--show-secrets", "--non-interactive", "--stack", name]
    try:
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, timeout=_PATIENCE_SECONDS)
        entries = json.loads(done.stdout) if done.returncode == 0 else None
    except OSError as error:
        return None, f"the pulumi command did not start ({error.strerror})"
    except subprocess.TimeoutExpired:
        return None, f"the pulumi command did not answer within {_PATIENCE_SECONDS:g} s"
    except ValueError:
        return None, "the pulumi command did not answer with JSON"
    if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
        return None, f"pulumi config failed: {' '.join(done.stderr.split()) or 'it printed no JSON object'}"
    values = {key: _value(key, entry) for key, entry in entries.items()}
    secret = [values[key] for key, entry in entries.items() if entry.get("secret")]
    texts = frozenset(each for value in secret for each in _texts(value) if len(each) >= _SHORTEST_SECRET)
    return StackConfig(values=values, file=file, secrets=texts), ""


def _value(key: str, entry: dict[str, typing.Any]) -> object:
    """Return the value of one key; a section that was set as text is JSON, as Pulumi takes it too."""
    if "objectValue" in entry:
        return entry["objectValue"]
    text = entry.get("value")
    if key.startswith(f"{PROJECT}:") and isinstance(text, str):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def known_stacks(folder: pathlib.Path) -> list[str]:
    """Return the stacks that have a file in ``folder``."""
    return sorted(each.name.split(".")[1] for each in folder.glob("Pulumi.*.yaml"))


def _by_file(name: str, path: pathlib.Path, why: str) -> dict[str, typing.Any]:
    known = known_stacks(path.parent)
    remedy = f"name one of: {', '.join(known)}" if known else "run it where the stack files Pulumi.<stack>.yaml are"
    data = read_yaml(path, key="--stack", value=name, remedy=remedy)
    if not isinstance(data, dict):
        return {}
    found = data.get("config")
    config = found if isinstance(found, dict) else {}
    beyond = [f"config.{key}" for key, value in config.items() if _is_encrypted(value)]
    beyond += ["environment"] if data.get("environment") else []
    if beyond:
        rule = f"must be readable, but only Pulumi can read its secrets and ESC environments ({', '.join(beyond)}): "
        rule += why or "the pulumi command is not on PATH"
        raise SettingsError(
            [Problem(path="--stack", value=name, rule=rule, remedy="run it where `pulumi config` works")]
        )
    return config


def _is_encrypted(value: object) -> bool:
    """Return whether ``value`` holds a secret as Pulumi writes one: a mapping with the one key ``secure``."""
    if isinstance(value, dict):
        return set(value) == {"secure"} or any(_is_encrypted(each) for each in value.values())
    return isinstance(value, list) and any(_is_encrypted(each) for each in value)


def _texts(value: object) -> typing.Iterator[str]:
    if isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield str(value)


def project_name(folder: pathlib.Path) -> str:
    """Return the name of the Pulumi project in ``folder``; without a project file, ours."""
    path = folder / "Pulumi.yaml"
    data = read_yaml(path, key="Pulumi.yaml", value=str(path), remedy="repair it") if path.is_file() else None
    return str(data.get("name", PROJECT)) if isinstance(data, dict) else PROJECT
