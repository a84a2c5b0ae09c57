"""A stack puts out what it declares, each output with its type, whatever the stack file says."""

import pytest

from tests.fakes_settings import outputs
from tests.fakes_workloads import PROGRAMS


def has_type(value: object, declared: object) -> bool:
    """Whether ``value`` is what was declared: a text, a number, or a list of texts."""
    if declared == list[str]:
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    return isinstance(value, str) if declared is str else type(value) in (int, float)


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_stack_puts_out_what_is_declared(name: str) -> None:
    """No output is missing, undeclared or of another type."""
    declared, found = outputs(), PROGRAMS[name]().outputs

    assert found.keys() == declared.keys()
    assert [key for key, value in found.items() if not has_type(value, declared[key][0])] == []


def test_every_output_has_a_meaning() -> None:
    """A row of the page says what its output is."""
    assert [key for key, (_, meaning) in outputs().items() if not meaning] == []
