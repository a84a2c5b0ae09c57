"""Small files of a model, from a hub on loopback and a bucket in memory."""

import collections.abc
import pathlib
import typing

import botocore.exceptions
import pytest

from optimal_tp.account.model_files import ModelFiles
from tests.fakes_http import Answering, listening
from tests.fakes_s3 import FakeS3


class Hub(Answering):
    """Gives one file to whoever has the token, another by way of a second host."""

    seen: typing.ClassVar[dict[str, str | None]] = {}
    elsewhere: typing.ClassVar[str] = ""

    def answer(self, _: str) -> None:
        """Answer."""
        self.seen[self.path] = self.headers["authorization"]
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("location", f"{self.elsewhere}/there")
            self.send_header("content-length", "0")
            self.end_headers()
        elif self.path == "/none":
            self.tell(404)
        elif self.path == "/there" or self.headers["authorization"] == "Bearer hf_x":
            self.tell(200, b"{}")
        else:
            self.tell(401)


@pytest.fixture(name="url")
def hub_url() -> collections.abc.Iterator[str]:
    """Return the URL of the hub; its second host listens on another port."""
    Hub.seen.clear()
    with listening(Hub) as url, listening(Hub) as Hub.elsewhere:
        yield url


def test_a_file_of_this_machine_is_read(tmp_path: pathlib.Path) -> None:
    """A path is a path."""
    (tmp_path / "config.json").write_bytes(b"{}")

    assert ModelFiles()(str(tmp_path / "config.json")) == b"{}"


def test_the_hub_gets_the_token_and_the_host_behind_it_does_not(url: str) -> None:
    """Large files lie on hosts of others, where the hub's redirect carries all that is needed."""
    assert ModelFiles(token="hf_x")(f"{url}/moved") == b"{}"  # noqa: S106 - a made-up one
    assert Hub.seen == {"/moved": "Bearer hf_x", "/there": None}


def test_a_gated_model_wants_a_key(url: str) -> None:
    """With and without a token the sentence says which."""
    with pytest.raises(PermissionError, match=r"^HTTP 401 without a token: gated, private, or no such model$"):
        ModelFiles()(f"{url}/gated")
    with pytest.raises(PermissionError, match=r"^HTTP 401 with this token: gated, private, or no such model$"):
        ModelFiles(token="hf_y")(f"{url}/gated")  # noqa: S106 - a made-up one


def test_what_is_not_there_is_not_found(url: str) -> None:
    """Which is no fault of an index, that small models do without."""
    with pytest.raises(FileNotFoundError, match=r"^HTTP 404 Not Found$"):
        ModelFiles()(f"{url}/none")


def test_a_hub_that_does_not_answer_is_an_error() -> None:
    """Whatever the reason, it is one kind."""
    with pytest.raises(OSError, match="Connection refused"):
        ModelFiles()("http://127.0.0.1:9/config.json")


@pytest.mark.parametrize(
    ("code", "kind"), [("NoSuchKey", FileNotFoundError), ("AccessDenied", PermissionError), ("SlowDown", OSError)]
)
def test_a_bucket_is_read_and_its_refusals_are_told_apart(code: str, kind: type[OSError]) -> None:
    """The object's content, or why there is none."""
    store = FakeS3({"mine/llama/config.json": b"{}"})
    files = ModelFiles(store=lambda: store)

    assert files("s3://mine/llama/config.json") == b"{}"
    store.error = botocore.exceptions.ClientError({"Error": {"Code": code}}, "GetObject")
    with pytest.raises(kind) as caught:
        files("s3://mine/llama/config.json")
    assert (type(caught.value), str(caught.value)) == (kind, code)
