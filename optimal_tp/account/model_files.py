"""Read small files of a model at preview: from this machine, a bucket, or a hub."""

import collections.abc
import functools
import http.client
import pathlib
import typing
import urllib.error
import urllib.request

from optimal_tp.errors import aws_code

if typing.TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_MOST_BYTES = 64 * 2**20
"""Largest file; the index of a model with 100,000 tensors takes a sixth of it."""
_PATIENCE_SECONDS = 20
_WITHOUT_KEY = (401, 403)
_ABSENT = (404, 410)


class ModelFiles:
    """Reads ``/path``, ``s3://bucket/key`` and ``https://hub/owner/model/resolve/revision/file``."""

    def __init__(
        self,
        *,
        token: str | None = None,
        profile: str | None = None,
        store: "collections.abc.Callable[[], S3Client] | None" = None,
    ) -> None:
        """Take the hub's ``token``, and the AWS ``profile`` whose account may read buckets; None: the environment's.

        ``store`` creates an S3 client when one is needed.
        """
        self._token = token
        self._store: collections.abc.Callable[[], S3Client] = functools.partial(_s3, profile)
        if store is not None:
            self._store = store

    def __call__(self, address: str) -> bytes:
        """Return the content at ``address``.

        Raises FileNotFoundError if there is no such file, PermissionError if it needs credentials, and another OSError
        if the source did not answer.
        """
        if address.startswith("s3://"):
            return self._from_bucket(address)
        if address.startswith(("https://", "http://")):
            return self._from_hub(address)
        return pathlib.Path(address).read_bytes()

    def _from_hub(self, address: str) -> bytes:
        request = urllib.request.Request(address)  # noqa: S310 - https by settings
        if self._token is not None:
            # Not to the host that a redirect names.
            request.add_unredirected_header("Authorization", f"Bearer {self._token}")
        try:
            with urllib.request.urlopen(request, timeout=_PATIENCE_SECONDS) as answer:  # noqa: S310 - likewise
                found: bytes = answer.read(_MOST_BYTES)
        except urllib.error.HTTPError as error:
            if error.code in _WITHOUT_KEY:
                given = "without a token" if self._token is None else "with this token"
                raise PermissionError(f"HTTP {error.code} {given}: gated, private, or no such model") from None
            kind = FileNotFoundError if error.code in _ABSENT else OSError
            raise kind(f"HTTP {error.code} {error.reason}") from None
        except urllib.error.URLError as error:
            raise OSError(getattr(error.reason, "strerror", None) or str(error.reason)) from None
        except http.client.HTTPException as error:
            raise OSError(f"the download broke off: {error!r}") from None
        return found

    def _from_bucket(self, address: str) -> bytes:
        import botocore.exceptions  # noqa: PLC0415 - only a model in a bucket needs it, and it takes a while to import

        bucket, _, key = address.removeprefix("s3://").partition("/")
        try:
            return self._store().get_object(Bucket=bucket, Key=key)["Body"].read(_MOST_BYTES)
        except botocore.exceptions.ClientError as error:
            code = aws_code(error)
            if code in ("NoSuchKey", "NoSuchBucket", "404"):
                raise FileNotFoundError(code) from None
            kind = PermissionError if code in ("AccessDenied", "403") else OSError
            raise kind(code or str(error)) from None
        except botocore.exceptions.BotoCoreError as error:
            raise OSError(str(error)) from None


def _s3(profile: str | None) -> "S3Client":
    import boto3  # noqa: PLC0415 - likewise

    return boto3.Session(profile_name=profile).client("s3")
