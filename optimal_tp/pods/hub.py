"""A model's files from a hub that answers as huggingface.co does, by its own client; each is held against its hash."""

import collections.abc
import hashlib
import pathlib
import typing

from optimal_tp.errors import OptimalTpError

if typing.TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoSibling

NEEDED: typing.Final = (".json", ".safetensors", ".txt", ".model", ".jinja")
"""Endings of what a server reads: configuration, weights, tokenizer, chat template."""
TOKEN_COMMAND: typing.Final = "pulumi config set --secret optimal-tp:hub_token"  # noqa: S105 - the command, no token
CACHE: typing.Final = ".cache"
"""Folder of the client's own in the model's: what it has begun, and what it knows of each file."""
_AT_ONCE = 4
"""Files: a killed try loses what it had of these, shards of some 5 GB each."""
_CHUNK_BYTES = 4 * 2**20
_SECOND_COPIES = ("original/", "metal/", "consolidated")
"""Beginnings of the same weights in another maker's layout."""


class FetchError(OptimalTpError):
    """The model could not be fetched; the message says which file and why."""


class HubFile(typing.NamedTuple):
    """One file of a model on a hub."""

    name: str
    size_bytes: int
    sha256: str | None
    """Of the content, for files in large-file storage; None for the others."""
    blob: str
    """Git's own name of the file: SHA-1 of a header and the content."""

    def is_whole(self, path: pathlib.Path) -> bool:
        """Return whether the content of ``path`` is the file's."""
        digest = hashlib.sha256()
        if self.sha256 is None:
            digest = hashlib.sha1(b"blob %d\0" % self.size_bytes, usedforsecurity=False)
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
        return digest.hexdigest() == (self.sha256 or self.blob)


def hub_files(siblings: "collections.abc.Iterable[RepoSibling]") -> list[HubFile]:
    """Return the files that a server needs from the hub's listing of one revision.

    Raises FetchError when there are no weights among them, or a name leaves the folder.
    """
    found = [
        HubFile(
            name=each.rfilename,
            size_bytes=each.size or 0,
            sha256=None if each.lfs is None else each.lfs.sha256,
            blob=each.blob_id or "",
        )
        for each in siblings
        if each.rfilename.endswith(NEEDED)
    ]
    for file in found:
        if pathlib.PurePosixPath(file.name).is_absolute() or ".." in pathlib.PurePosixPath(file.name).parts:
            raise FetchError(
                f"the hub must list only files in the model's folder (got {file.name!r}), so nothing is fetched; check "
                "serving.model_source and workloads.model.name"
            )
    files = [file for file in found if not file.name.startswith(_SECOND_COPIES)]
    if not any(file.name.endswith(".safetensors") for file in files):
        raise FetchError(
            "the model must have weights as .safetensors, but the hub lists none; name a revision that has "
            "them (workloads.model.revision)"
        )
    return files


class Hub:
    """A hub and one revision of a model there. ``token`` goes to this hub alone; None asks as anybody."""

    def __init__(self, source: str, model: str, revision: str, *, token: str | None) -> None:
        """Take what is asked for."""
        self._source, self._model, self._revision = source.rstrip("/"), model, revision
        self._token: str | bool = False if token is None else token

    def files(self) -> tuple[str, list[HubFile]]:
        """Return the commit of the revision and its files. Raises FetchError."""
        import httpx2  # noqa: PLC0415 - only a model from a hub needs the client
        from huggingface_hub import HfApi, errors  # noqa: PLC0415 - likewise

        api: HfApi = HfApi(endpoint=self._source, token=self._token)
        try:
            info = api.model_info(self._model, revision=self._revision, files_metadata=True)
            return info.sha or self._revision, hub_files(info.siblings or ())
        # The order is the client's: a gated model is for it one that is not found.
        except errors.GatedRepoError:
            key = "no token was given" if self._token is False else "the account of this token has no access"
            raise FetchError(
                f"{self._model} is gated at {self._source}, and {key}; accept its licence there, then run "
                f"`{TOKEN_COMMAND}` and `pulumi up`"
            ) from None
        except errors.RevisionNotFoundError:
            raise FetchError(
                f"{self._model} at {self._source} has no revision {self._revision}; correct workloads.model.revision"
            ) from None
        except errors.RepositoryNotFoundError:
            raise FetchError(
                f"{self._source} has no {self._model} or requires a token to see it; correct "
                f"workloads.model.name or run `{TOKEN_COMMAND}`"
            ) from None
        except (errors.HfHubHTTPError, httpx2.HTTPError, OSError, ValueError) as error:
            raise FetchError(
                f"{self._source} did not list the files of {self._model}: {_first_line(error)}; check "
                "serving.model_source and that pods can reach the hub"
            ) from None

    def fetch(self, commit: str, files: collections.abc.Sequence[HubFile], draft: pathlib.Path) -> None:
        """Put ``files`` into ``draft``, but for those that an earlier try has left there.

        Raises FetchError; a file that has not the hub's hash is removed, so that the next try fetches it anew.
        """
        import httpx2  # noqa: PLC0415 - likewise
        from huggingface_hub import errors, snapshot_download  # noqa: PLC0415 - likewise

        # The client downloads under a name that no other try knows: what a killed one had begun is of no use.
        for orphan in (draft / CACHE).rglob("*.incomplete"):
            orphan.unlink(missing_ok=True)
        try:
            snapshot_download(
                self._model,
                revision=commit,
                local_dir=draft,
                allow_patterns=[file.name for file in files],
                endpoint=self._source,
                token=self._token,
                max_workers=_AT_ONCE,
            )
        except (errors.HfHubHTTPError, httpx2.HTTPError, OSError, ValueError) as error:
            raise FetchError(
                f"{self._model} was not fetched from {self._source}: {_first_line(error)}; the Job tries again and "
                "keeps its files. If that fails too, put the model into a bucket and name it as "
                "serving.model_source"
            ) from None
        # The client checks sizes, and returns what is there when the hub does not answer.
        for file in files:
            path = draft / file.name
            if not path.is_file() or not file.is_whole(path):
                path.unlink(missing_ok=True)
                raise FetchError(
                    f"{file.name} must have the hub's hash {file.sha256 or file.blob}, so it was removed; the Job "
                    "tries again. If that fails too, put the model into a bucket and name it as "
                    "serving.model_source"
                )


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
