"""Read files of predictions from any program that we know; the names of their columns tell which."""

import collections.abc
import dataclasses
import pathlib
import re
import typing
import zipfile

from optimal_tp.errors import Problem, SettingsError
from optimal_tp.results.predictors import aiconfigurator, dynamo, neutral, vidur, vllm_sweep
from optimal_tp.results.predictors.cells import Sheet, read_sheet
from optimal_tp.settings.workload import Load
from optimal_tp.verdict.predictors.stated import Stated

_NAMED = re.compile(r"(?:tp)?(\d+)=(.+)", re.IGNORECASE)
_KNOWN = (
    "our neutral form, AIConfigurator, Vidur, vllm bench, or a folder of Dynamo's profiler (docs/how-to/predictions.md)"
)


class _Form(typing.NamedTuple):
    fits: collections.abc.Callable[[Sheet], bool]
    stated: collections.abc.Callable[[Sheet], Stated]


_FORMS = tuple(_Form(one.fits, one.stated) for one in (neutral, aiconfigurator, vidur, vllm_sweep))


def read_stated(names: typing.Sequence[str], load: Load) -> Stated:
    """Return the predictions in the files ``names`` together.

    Each name is a path, or ``tp2=path`` where the file does not state its degree. ``load`` has the request lengths at
    which a profile is read. Raises SettingsError with every error in the files.
    """
    problems: list[Problem] = []
    found = [one for name in names if (one := _read(name, load, problems)) is not None]
    predictors = list(dict.fromkeys(one.predictor for one in found))
    if len(predictors) > 1:
        rule = "must all be of one predictor"
        problems.append(_problem(", ".join(predictors), rule, "make a report of each"))
    if problems:
        raise SettingsError(problems)
    return dataclasses.replace(
        found[0],
        file=", ".join(dict.fromkeys(one.file for one in found)),
        rows=tuple(row for one in found for row in one.rows),
        notes=tuple(dict.fromkeys(note for one in found for note in one.notes)),
    )


def _read(name: str, load: Load, problems: list[Problem]) -> Stated | None:
    """Return the predictions of one file; None where it adds to ``problems``."""
    named = _NAMED.fullmatch(name)
    degree, path = (None, pathlib.Path(name)) if named is None else (int(named[1]), pathlib.Path(named[2]))
    try:
        if path.is_dir():
            return _folder(path, degree, load, problems)
        sheet = read_sheet(path, degree)
    except (OSError, UnicodeDecodeError, zipfile.BadZipFile) as error:
        rule = f"must be a file that can be read ({getattr(error, 'strerror', None) or 'it is not text'})"
        problems.append(_problem(path, rule, "name another"))
        return None
    except ValueError as error:
        problems.append(_problem(path, str(error), "correct the file"))
        return None
    form = next((each for each in _FORMS if each.fits(sheet)), None)
    if form is None or not sheet.rows:
        shown = ", ".join(sheet.columns[:8]) or "no row"
        problems.append(_problem(path, f"must be {_KNOWN}; it has {shown}", "name another file"))
        return None
    found = form.stated(sheet)
    problems += sheet.problems
    return found


def _folder(path: pathlib.Path, degree: int | None, load: Load, problems: list[Problem]) -> Stated | None:
    if not dynamo.fits(path):
        rule = f"must be a file, or a folder with {dynamo.DECODE}"
        problems.append(_problem(path, rule, "name a file in it"))
        return None
    if degree is None:
        rule = "must be named with its degree, because a profile of Dynamo does not have it"
        problems.append(_problem(path, rule, f"name it as tp2={path}"))
        return None
    return dynamo.stated(path, degree, load.prompt_tokens, load.output_tokens)


def _problem(value: object, rule: str, remedy: str) -> Problem:
    return Problem(path="--predicted", value=value, rule=rule, remedy=remedy)
