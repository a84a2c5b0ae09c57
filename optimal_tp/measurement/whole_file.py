"""Write a file completely or not at all, so that no reader sees half of it."""

import contextlib
import pathlib


def replace_file(path: pathlib.Path, content: bytes) -> None:
    """Write ``content`` to a hidden draft beside ``path``, then rename it. Raises OSError, and then leaves no draft."""
    draft = path.with_name(f".{path.name}.draft")
    try:
        draft.write_bytes(content)
        draft.replace(path)
    except OSError:
        with contextlib.suppress(OSError):  # a disk that refuses to write may refuse to remove
            draft.unlink(missing_ok=True)
        raise
