"""How a client gets in: headers and keys are sent and never told."""

import argparse
import pathlib

import pytest

from optimal_tp.errors import Problem
from optimal_tp.loadgen.command import access
from optimal_tp.loadgen.command.access import Access


def parsed(*words: str, **environment: str) -> tuple[Access, list[str]]:
    """Return what ``words`` say in an ``environment``, and what is wrong with them."""
    parser = argparse.ArgumentParser()
    access.configure(parser)
    problems: list[Problem] = []
    found = access.access_of(parser.parse_args(words), problems, environment)
    return found, [str(problem) for problem in problems]


def test_a_key_comes_from_a_variable_or_a_file(tmp_path: pathlib.Path) -> None:
    """Not from the command line, which every user of a machine can read."""
    (tmp_path / "key").write_text("\ufeffs3cret\n")
    expected = (("Authorization", "Bearer s3cret"),)

    assert parsed("--key-variable", "KEY", KEY="s3cret")[0].headers == expected
    assert parsed("--key-file", str(tmp_path / "key"))[0].headers == expected
    assert parsed("--header", "X-Team: a:b")[0].headers == (("X-Team", "a:b"),)


def test_no_key_is_ever_told(tmp_path: pathlib.Path) -> None:
    """Neither where it is shown nor in a sentence on what is wrong."""
    (tmp_path / "key").write_text("s3cret and more\n")
    found, _ = parsed("--key-variable", "KEY", KEY="s3cret")
    wrong = [
        *parsed("--key-file", str(tmp_path / "key"))[1],
        *parsed("--header", "s3cret")[1],
        *parsed("--header", "two words: s3cret")[1],
    ]

    assert len(wrong) == 3
    assert "s3cret" not in repr(found) + " ".join(wrong)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["--key-variable", "KEY"],
            "--key-variable: must name an environment variable that holds the key (got 'KEY'); export KEY",
        ),
        (
            ["--key-file", "/none"],
            (
                "--key-file: must name a readable file that holds the key (No such file or directory) (got '/none'); "
                "name another file"
            ),
        ),
        (
            ["--key-variable", "KEY", "--key-file", "/none"],
            "--key-file: must not go with --key-variable: the key has one source (got '/none')",
        ),
        (
            ["--ca-file", "/none"],
            (
                "--ca-file: must be a PEM file of certificates (No such file or directory) (got '/none'); "
                "name another file"
            ),
        ),
    ],
)
def test_what_is_wrong_is_told(words: list[str], sentence: str) -> None:
    """With the option, its value, the rule and the remedy."""
    assert parsed(*words)[1] == [sentence]
