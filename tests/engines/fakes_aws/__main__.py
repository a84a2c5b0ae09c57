"""``pulumi-resource-aws``: serve until the engine that started this process is gone."""

import concurrent.futures
import os
import sys
import time

import grpc
from pulumi.runtime.proto import provider_pb2_grpc

from tests.engines.fakes_aws.plugin import Plugin, model_of_environment

WORKERS = 64
"""The engine asks for many things at a time, and each waits for its own latency."""
_LOOK_SECONDS = 0.2


def main() -> None:
    """Print the port, serve, and leave when the parent has."""
    parent = os.getppid()
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(max_workers=WORKERS))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Plugin(*model_of_environment()), server)
    sys.stdout.write(f"{server.add_insecure_port('127.0.0.1:0')}\n")
    sys.stdout.flush()
    server.start()
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os._exit(0)


if __name__ == "__main__":
    main()
