"""Between the engine's Kubernetes plugin and the API server: passes everything on, but for the ordered faults."""

import collections.abc
import contextlib
import dataclasses
import datetime as dt
import http.client
import http.server
import ipaddress
import json
import pathlib
import re
import ssl
import threading
import time
import typing
import urllib.parse

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.engines.fakes_api_server import ControlPlane
from tests.engines.fakes_aws.faults import strike

_NOT_KEPT = ("/apis/authorization", "/apis/authentication", "dryRun=")
"""Requests that change nothing, by a piece of their path."""
_HOP = frozenset({"connection", "transfer-encoding", "content-length", "keep-alive", "host"})
_CHUNK_BYTES = 65536
_KILLED_SECONDS = 2.0
_RECORD = re.compile(rb"sh\.helm\.release\.v1\.[a-z-]+\.v\d+")


class _Gateway(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    upstream: ControlPlane
    model: pathlib.Path
    trust: ssl.SSLContext
    identity: ssl.SSLContext

    def finish_request(self, request: typing.Any, client_address: typing.Any) -> None:
        """Speak TLS in the connection's own thread: a client that is killed in between holds nobody up."""
        with contextlib.suppress(OSError), self.identity.wrap_socket(request, server_side=True) as secure:
            super().finish_request(secure, client_address)

    def handle_error(self, *_: typing.Any) -> None:
        """Say nothing: the engine is killed while it speaks, by order."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Gateway

    def do_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        fault = None
        if self.command != "GET" and not any(part in self.path for part in _NOT_KEPT):
            fault = strike(self.server.model, f"kubernetes {self.command} {_what(self.path, body)}")
        if fault == "refuse":
            self._refuse()
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
        where = urllib.parse.urlsplit(self.server.upstream.url)
        upstream = http.client.HTTPSConnection(str(where.hostname), where.port, context=self.server.trust)
        with contextlib.closing(upstream):
            upstream.request(self.command, self.path, body or None, headers)
            answer = upstream.getresponse()
            if fault is None:
                self._pass(answer)
                return
            answer.read()
        if fault == "kill":
            # Whoever asked is killed now; it never hears from here.
            time.sleep(_KILLED_SECONDS)
            self.close_connection = True
            return
        self._refuse()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_any  # noqa: N815 - the library's names

    def _refuse(self) -> None:
        text = json.dumps({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 500,
                           "reason": "InternalError", "message": "fails by order"}).encode()  # fmt: skip
        self.send_response(http.HTTPStatus.INTERNAL_SERVER_ERROR)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _pass(self, answer: http.client.HTTPResponse) -> None:
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP:
                self.send_header(name, value)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        while data := answer.read1(_CHUNK_BYTES):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: typing.Any) -> None:
        """Say nothing."""


def _what(path: str, body: bytes) -> str:
    """Return path and name, without the query: a retry is the same operation."""
    # Helm speaks protobuf where it writes its records.
    record = _RECORD.search(body)
    name = record[0].decode() if record else ""
    with contextlib.suppress(ValueError, AttributeError):
        name = json.loads(body).get("metadata", {}).get("name", "")
    return f"{path.partition('?')[0]} {name}".strip()


@contextlib.contextmanager
def gateway(folder: pathlib.Path, plane: ControlPlane, model: pathlib.Path) -> collections.abc.Iterator[ControlPlane]:
    """Return ``plane`` as it is seen through a gateway that obeys the faults beside ``model``."""
    certificate, both = _identity(folder)
    server = _Gateway(("127.0.0.1", 0), _Handler)
    server.upstream, server.model = plane, model
    server.trust = ssl.create_default_context(cafile=str(plane.certificate))
    server.identity = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.identity.load_cert_chain(both)
    thread = threading.Thread(target=server.serve_forever, name="gateway")
    thread.start()
    try:
        url = f"https://127.0.0.1:{server.server_address[1]}"
        yield dataclasses.replace(plane, url=url, certificate=certificate)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _identity(folder: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """Return files with a certificate for 127.0.0.1, and with it and its key."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    form = serialization.PrivateFormat.PKCS8
    certificate, both = folder / "gateway.crt", folder / "gateway.pem"
    certificate.write_bytes(pem)
    both.write_bytes(pem + key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return certificate, both
