"""The config.json of a model whose name is not known, and a place that holds it."""

import json
import typing

from tests.fakes_stack_files import ROOT

CONFIG: typing.Final = ROOT / "tests" / "golden" / "config.json"
LLAMA: typing.Final[dict[str, typing.Any]] = json.loads(CONFIG.read_text(encoding="utf-8"))
"""Llama-3.2-1B, as its config.json on huggingface.co has it, of the keys that decide memory."""


class Place:
    """Files by address; what is asked for is kept in ``asked``."""

    def __init__(self, **files: object) -> None:
        """Take contents: of a dict its JSON; of an exception, what reading it raises."""
        self.files: dict[str, object] = dict(files)
        self.asked: list[str] = []

    def __call__(self, address: str) -> bytes:
        """Return the content at ``address``. Raises FileNotFoundError for what is not there."""
        self.asked.append(address)
        found = self.files.get(address)
        if found is None:
            raise FileNotFoundError("HTTP 404 Not Found")
        if isinstance(found, Exception):
            raise found
        return found if isinstance(found, bytes) else json.dumps(found).encode()
