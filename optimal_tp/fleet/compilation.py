"""Compile the loops of the simulations, and keep the machine code apart for each state of their sources.

numba keeps machine code beside a module and drops it when that module changes. It does not look at the modules whose
functions are called from there, and it cannot read its index at all once a class of an argument has another name. So
each state of the sources has a folder of its own.
"""

import collections.abc
import hashlib
import pathlib
import typing

import numba

_PACKAGE = pathlib.Path(__file__).parent
_PARTS = ("simulation", "engine")
"""The packages whose modules hold compiled functions and the classes of their arguments."""

Function = typing.TypeVar("Function", bound=collections.abc.Callable[..., typing.Any])


def sources_digest(package: pathlib.Path = _PACKAGE) -> str:
    """Return 16 hexadecimal digits that change with any module of the compiled parts."""
    found = hashlib.sha256()
    for path in sorted(path for part in _PARTS for path in (package / part).glob("*.py")):
        found.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()[:16]


_CONFIG: typing.Any = numba.config  # its stubs lack the folder
# A folder that the user names (NUMBA_CACHE_DIR) is theirs to clear.
if not _CONFIG.CACHE_DIR:
    _CONFIG.CACHE_DIR = str(_PACKAGE / "__pycache__" / f"compiled-{sources_digest()}")


def compiled(function: Function) -> Function:
    """Return ``function`` as machine code that leaves the interpreter's lock alone."""
    return typing.cast("Function", numba.njit(cache=True, nogil=True)(function))
