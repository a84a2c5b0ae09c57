"""The fetch Job's program against a hub on loopback and a bucket in memory."""

import collections.abc
import hashlib
import json
import pathlib
import typing

import pytest

from optimal_tp.pods import fetch, folders
from tests.fakes_http import Answering, listening
from tests.fakes_s3 import FakeS3
from tests.fakes_samples import whole
from tests.unit.test_fit import CONFIG

FILES = {
    "config.json": json.dumps(CONFIG).encode(),
    "model.safetensors": b"weights" * 1000,
    "tokenizer.json": b"{}",
    "README.md": b"not needed",
}


def listing() -> dict[str, typing.Any]:
    """Return what a hub says about FILES: weights in large-file storage, the rest in git."""
    siblings = []
    for name, content in FILES.items():
        item: dict[str, typing.Any] = {
            "rfilename": name,
            "size": len(content),
            "blobId": hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest(),
        }
        if name.endswith(".safetensors"):
            item["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
            item["blobId"] = "0" * 40
        siblings.append(item)
    return {"siblings": siblings}


class Hub(Answering):
    """Answers as huggingface.co does; ``spoilt`` counts the answers that are still to be spoilt, by file."""

    asked: typing.ClassVar[list[str]] = []
    spoilt: typing.ClassVar[dict[str, int]] = {}

    def answer(self, _: str) -> None:
        """Answer the listing of one revision, or one file."""
        self.asked.append(self.path)
        if self.path == "/api/models/Qwen/Qwen3-0.6B/revision/abc?blobs=true":
            content = json.dumps(listing()).encode()
        elif self.path.startswith("/Qwen/Qwen3-0.6B/resolve/abc/"):
            name = self.path.rsplit("/", maxsplit=1)[-1]
            content = FILES[name]
            if self.spoilt.get(name, 0) > 0:
                self.spoilt[name] -= 1
                content = content[:-1] + b"?"
        else:
            self.send_error(404)
            return
        self.tell(200, content)


@pytest.fixture
def hub() -> collections.abc.Iterator[str]:
    """Return the URL of a hub that serves FILES."""
    Hub.asked.clear()
    Hub.spoilt.clear()
    with listening(Hub) as url:
        yield url


def run(folder: pathlib.Path, source: str, shape: str = "Qwen/Qwen3-0.6B", store: FakeS3 | None = None) -> int:
    """Run the program; returns its exit status."""
    arguments = ["--source", source, "--model", "Qwen/Qwen3-0.6B", "--revision", "abc", "--shape", shape]
    return fetch.main([*arguments, "--folder", str(folder)], store=lambda: store or FakeS3())


def test_a_model_is_fetched_whole(tmp_path: pathlib.Path, hub: str) -> None:
    """Every file a server needs is there, checked, and nothing else is asked for."""
    folder = tmp_path / "models" / "qwen"

    assert run(folder, hub) == 0
    assert folders.is_complete(folder)
    assert (folder / "model.safetensors").read_bytes() == FILES["model.safetensors"]
    assert not any("README" in path for path in Hub.asked)


def test_a_model_that_is_there_is_not_fetched_again(tmp_path: pathlib.Path, hub: str) -> None:
    """The second Job asks the hub nothing."""
    run(tmp_path / "qwen", hub)
    Hub.asked.clear()

    assert run(tmp_path / "qwen", hub) == 0
    assert Hub.asked == []


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"], ids=["by SHA-256", "by git's name"])
def test_a_spoilt_answer_is_asked_for_again(tmp_path: pathlib.Path, hub: str, name: str) -> None:
    """Two spoilt answers and a good one make a good file."""
    Hub.spoilt[name] = 2

    assert run(tmp_path / "qwen", hub) == 0
    assert (tmp_path / "qwen" / name).read_bytes() == FILES[name]


def test_a_file_that_stays_spoilt_fails_the_job(
    tmp_path: pathlib.Path, hub: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Weights with another hash than the hub's are never served."""
    Hub.spoilt["model.safetensors"] = 3

    assert run(tmp_path / "qwen", hub) != 0
    assert not (tmp_path / "qwen").exists()
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"not fetched: {hub}/Qwen/Qwen3-0.6B/resolve/abc/model.safetensors was not fetched in 3 tries: the content "
        f"does not have the hub's hash {hashlib.sha256(FILES['model.safetensors']).hexdigest()}; the Job tries again, "
        "and if that fails too, put the model into a bucket and name it as serving.model_source"
    )


def test_a_hub_that_does_not_list_the_model_fails_the_job(
    tmp_path: pathlib.Path, hub: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sentence has what was asked, and the settings that it came from."""
    assert run(tmp_path / "qwen", f"{hub}/mirror") != 0
    assert capsys.readouterr().out == (
        f"not fetched: {hub}/mirror/api/models/Qwen/Qwen3-0.6B/revision/abc?blobs=true did not list the model's files: "
        "HTTP Error 404: Not Found; check serving.model_source, workloads.model.name and its revision, and that pods "
        "reach the hub\n"
    )


def test_a_model_of_another_size_than_planned_is_refused(
    tmp_path: pathlib.Path, hub: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The plan's memory arithmetic was for another model: say so before any core is taken."""
    assert run(tmp_path / "qwen", hub, shape="Qwen/Qwen3-8B") != 0
    assert not (tmp_path / "qwen").exists()
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith("not fetched: the plan was computed for Qwen/Qwen3-8B (ModelShape(hidden=4096, ")
    assert "), and the model is ModelShape(hidden=1024, " in said
    assert said.endswith("; correct serving.shape_as or workloads.model.name")


def test_a_model_without_a_config_is_refused(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its sizes are unknown, so nothing holds it against the plan."""
    objects = {"models/mine/model.safetensors": FILES["model.safetensors"]}

    assert run(tmp_path / "qwen", "s3://models/mine", store=FakeS3(objects)) != 0
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith("not fetched: the fetched model has no readable config.json: [Errno 2] No such file or dir")
    assert said.endswith("config.json'; serve a model that has one beside its weights")


def test_a_model_comes_from_a_bucket(tmp_path: pathlib.Path) -> None:
    """Files below the prefix keep their names; a neighbour with the same beginning is not taken."""
    objects = {f"models/mine/{name}": content for name, content in FILES.items()} | {
        "models/mine-too/config.json": b"no"
    }

    assert run(tmp_path / "qwen", "s3://models/mine", store=FakeS3(objects)) == 0
    assert sorted(path.name for path in (tmp_path / "qwen").iterdir()) == [
        "complete.json",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]


def test_an_empty_prefix_fails_the_job(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A prefix with no model is said by name."""
    assert run(tmp_path / "qwen", "s3://models/none", store=FakeS3()) != 0
    assert capsys.readouterr().out == (
        "not fetched: there is no model below s3://models/none (serving.model_source); copy it there, config.json and "
        "all\n"
    )


def test_a_short_object_fails_the_job(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fewer bytes than the bucket lists are seen."""
    objects = {f"models/mine/{name}": content for name, content in FILES.items()}

    assert run(tmp_path / "qwen", "s3://models/mine", store=FakeS3(objects, cut=1)) != 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        "not fetched: s3://models/mine/config.json has 217 bytes and 216 arrived; copy the model into the bucket again "
        "if this goes on"
    )


def test_a_name_outside_the_folder_is_refused() -> None:
    """A hub cannot write where it likes."""
    item = {"rfilename": "../../etc/passwd.json", "size": 1, "blobId": "0"}
    sentence = (
        "the hub lists '../../etc/passwd.json', which is outside the model's folder; nothing of it is fetched: check "
        "serving.model_source and workloads.model.name"
    )
    with pytest.raises(fetch.FetchError, match=whole(sentence)):
        fetch.hub_files({"siblings": [item]})


def test_weights_in_another_format_are_refused() -> None:
    """A model with pickled weights alone is not fetched."""
    item = {"rfilename": "config.json", "size": 1, "blobId": "0"}
    sentence = (
        "the hub lists no .safetensors file, and weights in other formats are not served; name a revision that has "
        "them (workloads.model.revision)"
    )
    with pytest.raises(fetch.FetchError, match=whole(sentence)):
        fetch.hub_files({"siblings": [item]})
