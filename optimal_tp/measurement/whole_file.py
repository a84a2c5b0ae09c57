"""A file that is there whole or not at all, so that nobody ever reads half of one."""

import contextlib
import pathlib


def replace_file(path: pathlib.Path, content: bytes) -> None:
    """Write ``content`` to ``path`` by way of a hidden draft beside it. Raises OSError, and then leaves no draft."""
    draft = path.with_name(f".{path.name}.draft")
    try:
        draft.write_bytes(content)
        draft.replace(path)
    except OSError:
        with contextlib.suppress(OSError):  # what the disk refused to write it may refuse to remove
            draft.unlink(missing_ok=True)
        raise
