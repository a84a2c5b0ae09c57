"""The fetch Job's program against a hub on loopback and a bucket in memory."""

import collections.abc
import hashlib
import json
import pathlib
import typing

import pytest
from huggingface_hub.hf_api import RepoSibling

from optimal_tp.facts.known import SHAPES
from optimal_tp.pods import fetch_model, folders, hub
from tests.fakes_http import Answering, listening
from tests.fakes_s3 import FakeS3
from tests.fakes_samples import whole
from tests.unit.test_fit import CONFIG

COMMIT = "c" * 40
FILES = {
    "config.json": json.dumps(CONFIG).encode(),
    "model-1.safetensors": b"weights" * 1000,
    "model-2.safetensors": b"more" * 1000,
    "tokenizer.json": b"{}",
    "README.md": b"not needed",
    "original/consolidated.00.safetensors": b"the same once more",
}
NEEDED = ("config.json", "model-1.safetensors", "model-2.safetensors", "tokenizer.json")


def sha256(name: str) -> str:
    """Return the hash under which large-file storage has a file."""
    return hashlib.sha256(FILES[name]).hexdigest()


def blob(name: str) -> str:
    """Return git's own name of a file; of weights it is that of the pointer to them."""
    content = FILES[name]
    if name.endswith(".safetensors"):
        return "0" * 40
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


class Hub(Answering):
    """Answers as huggingface.co does; ``spoilt`` are the files whose content is spoilt, ``gate`` the token it wants."""

    asked: typing.ClassVar[list[str]] = []
    spoilt: typing.ClassVar[set[str]] = set()
    gate: typing.ClassVar[str | None] = None

    def answer(self, method: str) -> None:
        """Answer the description of one revision, its tree, or one file."""
        self.asked.append(f"{method} {self.path}")
        path = self.path.partition("?")[0]
        if self.gate is not None and self.headers["authorization"] != f"Bearer {self.gate}":
            self._say(403, b"", {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"})
        elif path == "/api/models/Qwen/Qwen3-0.6B/revision/abc":
            siblings = []
            for name, content in FILES.items():
                item = {"rfilename": name, "size": len(content), "blobId": blob(name)}
                if name.endswith(".safetensors"):
                    item["lfs"] = {"sha256": sha256(name), "size": len(content), "pointerSize": 130}
                siblings.append(item)
            self._say(200, json.dumps({"id": "Qwen/Qwen3-0.6B", "sha": COMMIT, "siblings": siblings}).encode())
        elif path == f"/api/models/Qwen/Qwen3-0.6B/tree/{COMMIT}":
            tree = []
            for name, content in FILES.items():
                item = {"type": "file", "path": name, "size": len(content), "oid": blob(name)}
                if name.endswith(".safetensors"):
                    item["lfs"] = {"oid": sha256(name), "size": len(content), "pointerSize": 130}
                tree.append(item)
            self._say(200, json.dumps(tree).encode())
        elif path.startswith(f"/Qwen/Qwen3-0.6B/resolve/{COMMIT}/"):
            name = path.removeprefix(f"/Qwen/Qwen3-0.6B/resolve/{COMMIT}/")
            content = FILES[name]
            etag = sha256(name) if name.endswith(".safetensors") else blob(name)
            told = {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT}
            self._say(200, content[:-1] + b"?" if name in self.spoilt else content, told, body=method == "GET")
        elif path.endswith("/revision/other"):
            self._say(404, b"", {"X-Error-Code": "RevisionNotFound"})
        else:
            self._say(404, b"", {"X-Error-Code": "RepoNotFound"})

    def _say(
        self, status: int, content: bytes, headers: typing.Mapping[str, str] | None = None, *, body: bool = True
    ) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    @classmethod
    def fetched(cls) -> list[str]:
        """Return the names of the files whose content was asked for."""
        return sorted(each.rsplit("/", 1)[-1] for each in cls.asked if each.startswith("GET /Qwen"))


@pytest.fixture(name="url")
def hub_url() -> collections.abc.Iterator[str]:
    """Return the URL of a hub that serves FILES."""
    Hub.asked.clear()
    Hub.spoilt.clear()
    Hub.gate = None
    with listening(Hub) as url:
        yield url


def run(folder: pathlib.Path, source: str, *more: str, store: FakeS3 | None = None) -> int:
    """Run the program; returns its exit status."""
    shape = SHAPES["Qwen/Qwen3-0.6B"].as_json()
    arguments = ["--source", source, "--model", "Qwen/Qwen3-0.6B", "--revision", "abc", "--shape", shape]
    return fetch_model.main([*arguments, "--folder", str(folder), *more], store=lambda: store or FakeS3())


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    """Return what the program said last."""
    return capsys.readouterr().out.splitlines()[-1]


def test_a_model_is_fetched_whole(tmp_path: pathlib.Path, url: str) -> None:
    """Every file a server needs is there, and nothing else: no second copy of the weights, no file of the client's."""
    folder = tmp_path / "models" / "qwen"

    assert run(folder, url) == 0
    assert folders.is_complete(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["complete.json", *NEEDED]
    assert all((folder / name).read_bytes() == FILES[name] for name in NEEDED)
    assert Hub.fetched() == sorted(NEEDED)


def test_a_model_that_is_there_is_not_fetched_again(tmp_path: pathlib.Path, url: str) -> None:
    """The second Job asks the hub nothing."""
    run(tmp_path / "qwen", url)
    Hub.asked.clear()

    assert run(tmp_path / "qwen", url) == 0
    assert Hub.asked == []


def test_a_file_that_is_spoilt_fails_the_job_and_is_fetched_anew_by_the_next(
    tmp_path: pathlib.Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Weights with another hash than the hub's are never served; the other files are kept for the next try."""
    Hub.spoilt.add("model-2.safetensors")

    assert run(tmp_path / "qwen", url) != 0
    assert not (tmp_path / "qwen").exists()
    assert last_line(capsys) == (
        f"not fetched: model-2.safetensors must have the hub's hash {sha256('model-2.safetensors')}, so it was "
        f"removed; the Job tries again. If that fails too, put the model into a bucket and name it as "
        f"serving.model_source"
    )
    Hub.spoilt.clear()
    Hub.asked.clear()
    assert run(tmp_path / "qwen", url) == 0
    assert Hub.fetched() == ["model-2.safetensors"]


def test_what_a_killed_try_has_fetched_is_kept(tmp_path: pathlib.Path, url: str) -> None:
    """Whole files are not fetched again, and what was begun is removed: its name is known to nobody."""
    draft = tmp_path / "qwen.draft-fetch"
    (draft / ".cache" / "huggingface" / "download").mkdir(parents=True)
    begun = draft / ".cache" / "huggingface" / "download" / "x.y.12345678.incomplete"
    begun.write_bytes(b"half")
    found = hub.Hub(url, "Qwen/Qwen3-0.6B", "abc", token=None)
    commit, files = found.files()
    found.fetch(commit, [file for file in files if file.name == "model-1.safetensors"], draft)
    Hub.asked.clear()

    assert not begun.exists()
    assert run(tmp_path / "qwen", url) == 0
    assert Hub.fetched() == ["config.json", "model-2.safetensors", "tokenizer.json"]


def test_a_gated_model_is_fetched_with_its_token(tmp_path: pathlib.Path, url: str) -> None:
    """The token comes from a file, as Kubernetes mounts a Secret, and is sent with every request."""
    Hub.gate = "hf_secret"
    (tmp_path / "token").write_text("hf_secret\n", encoding="utf-8")

    assert run(tmp_path / "qwen", url, "--token-file", str(tmp_path / "token")) == 0


@pytest.mark.parametrize(
    ("token", "why"),
    [(None, "no token was given"), ("hf_other", "the account of this token has no access")],
    ids=["without a token", "of another account"],
)
def test_a_gated_model_is_said_to_be_gated(
    tmp_path: pathlib.Path, url: str, capsys: pytest.CaptureFixture[str], token: str | None, why: str
) -> None:
    """The sentence says what to accept and where the token goes, and not the token."""
    Hub.gate = "hf_secret"
    given = []
    if token is not None:
        (tmp_path / "token").write_text(token, encoding="utf-8")
        given = ["--token-file", str(tmp_path / "token")]

    assert run(tmp_path / "qwen", url, *given) != 0
    assert capsys.readouterr().out == (
        f"not fetched: Qwen/Qwen3-0.6B is gated at {url}, and {why}; accept its licence there, then run `pulumi config "
        "set --secret optimal-tp:hub_token` and `pulumi up`\n"
    )


@pytest.mark.parametrize(
    ("model", "revision", "sentence"),
    [
        (
            "Qwen/none",
            "abc",
            (
                "{url} has no Qwen/none or requires a token to see it; correct workloads.model.name or run "
                "`pulumi config set --secret optimal-tp:hub_token`"
            ),
        ),
        (
            "Qwen/Qwen3-0.6B",
            "other",
            "Qwen/Qwen3-0.6B at {url} has no revision other; correct workloads.model.revision",
        ),
    ],
    ids=["model", "revision"],
)
def test_what_the_hub_does_not_have_is_said_by_name(url: str, model: str, revision: str, sentence: str) -> None:
    """The sentence names the setting that is wrong."""
    with pytest.raises(hub.FetchError, match=whole(sentence.format(url=url))):
        hub.Hub(url, model, revision, token=None).files()


def test_a_hub_that_does_not_answer_fails_the_job() -> None:
    """The sentence has what was asked, and the setting that it came from."""
    with pytest.raises(hub.FetchError) as caught:
        hub.Hub("http://127.0.0.1:9", "Qwen/Qwen3-0.6B", "abc", token=None).files()

    assert str(caught.value).startswith("http://127.0.0.1:9 did not list the files of Qwen/Qwen3-0.6B: ")
    assert str(caught.value).endswith("; check serving.model_source and that pods can reach the hub")


def test_a_model_of_another_size_than_planned_is_refused(
    tmp_path: pathlib.Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The plan's memory arithmetic was for another model: say so before its weights are fetched."""
    shape = SHAPES["Qwen/Qwen3-1.7B"].as_json()

    assert run(tmp_path / "qwen", url, "--shape", shape) != 0
    assert Hub.fetched() == ["config.json"]
    assert last_line(capsys) == (
        "not fetched: the fetched model must be the planned one, but its config.json has "
        "hidden 1024 and not 2048, intermediate 3072 and not 6144; correct workloads.model.name, serving.config_file "
        "or shape_as"
    )


def test_packed_weights_are_refused_before_they_are_fetched(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With serving.shape_as no config.json is read before; no image loads them, so nothing but that file is fetched."""
    config = json.dumps({**CONFIG, "quantization_config": {"quant_method": "awq", "bits": 4}}).encode()
    objects = {f"models/mine/{name}": FILES[name] for name in NEEDED} | {"models/mine/config.json": config}

    assert run(tmp_path / "qwen", "s3://models/mine", store=FakeS3(objects)) != 0
    assert last_line(capsys) == (
        "not fetched: the fetched model must have weights in BF16 or FP16, but its config.json has a "
        "quantization_config (awq); serve the original model instead of the quantized one"
    )
    assert not list(tmp_path.rglob("*.safetensors"))


def test_progress_is_said_again_and_again(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The Job's log has how much is there, of how much, and how fast it comes."""
    (tmp_path / "part").write_bytes(b"x" * 30_000_000)
    with fetch_model.progress(tmp_path, 120_000_000, every_seconds=0.01):
        while not (said := capsys.readouterr().out):
            pass

    assert said.splitlines()[0] == "fetched 0.03 GB of 0.12 GB (25%), 0 MB/s"


def test_a_model_without_a_config_is_refused(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its sizes are unknown, so nothing holds it against the plan."""
    objects = {"models/mine/model-1.safetensors": FILES["model-1.safetensors"]}

    assert run(tmp_path / "qwen", "s3://models/mine", store=FakeS3(objects)) != 0
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith(
        "not fetched: the fetched model must have a readable config.json: [Errno 2] No such file or dir"
    )
    assert said.endswith("config.json'; serve a model that has one")


def test_a_model_comes_from_a_bucket(tmp_path: pathlib.Path) -> None:
    """Files below the prefix keep their names; a neighbour with the same beginning is not taken."""
    objects = {f"models/mine/{name}": FILES[name] for name in NEEDED} | {"models/mine-too/config.json": b"no"}

    assert run(tmp_path / "qwen", "s3://models/mine", store=FakeS3(objects)) == 0
    assert sorted(path.name for path in (tmp_path / "qwen").iterdir()) == [
        "complete.json",
        *NEEDED,
    ]


def test_an_empty_prefix_fails_the_job(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A prefix with no model is said by name."""
    assert run(tmp_path / "qwen", "s3://models/none", store=FakeS3()) != 0
    assert capsys.readouterr().out == (
        "not fetched: s3://models/none (serving.model_source) must hold a model; copy it there with its config.json\n"
    )


def test_a_short_object_fails_the_job(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fewer bytes than the bucket lists are seen."""
    objects = {f"models/mine/{name}": FILES[name] for name in NEEDED}

    assert run(tmp_path / "qwen", "s3://models/mine", store=FakeS3(objects, cut=1)) != 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        "not fetched: s3://models/mine/config.json has 217 bytes but 216 arrived; copy the model into the bucket again "
        "if this repeats"
    )


def test_files_of_a_bucket_that_are_there_are_not_fetched_again(tmp_path: pathlib.Path) -> None:
    """A try that was ended between two files is gone on with."""
    draft = tmp_path / "qwen.draft-fetch"
    draft.mkdir()
    (draft / "model-1.safetensors").write_bytes(b"kept...")
    store = FakeS3(
        {f"models/mine/{name}": FILES[name] for name in NEEDED} | {"models/mine/model-1.safetensors": b"1234567"}
    )

    assert run(tmp_path / "qwen", "s3://models/mine", store=store) == 0
    assert (tmp_path / "qwen" / "model-1.safetensors").read_bytes() == b"kept..."


def test_a_name_outside_the_folder_is_refused() -> None:
    """A hub cannot write where it likes."""
    sentence = (
        "the hub must list only files in the model's folder (got '../../etc/passwd.json'), so nothing is fetched; "
        "check "
        "serving.model_source and workloads.model.name"
    )
    with pytest.raises(hub.FetchError, match=whole(sentence)):
        hub.hub_files([RepoSibling(rfilename="../../etc/passwd.json")])


def test_weights_in_another_format_are_refused() -> None:
    """A model with pickled weights alone is not fetched."""
    sentence = (
        "the model must have weights as .safetensors, but the hub lists none; name a revision that has "
        "them (workloads.model.revision)"
    )
    with pytest.raises(hub.FetchError, match=whole(sentence)):
        hub.hub_files([RepoSibling(rfilename="config.json")])
