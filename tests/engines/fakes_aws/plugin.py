"""The Pulumi plugin: a gRPC ResourceProvider that answers for ``aws:`` out of the model's file.

``python -m tests.engines.fakes_aws`` prints the port it listens on, as Pulumi's protocol wants. Faults and latencies
come from files and variables beside the model, so that a test can order them for a process that the engine starts.
"""

import os
import pathlib
import threading
import time
import typing

import grpc
from google.protobuf import any_pb2, empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2

from tests.engines.fakes_aws import account
from tests.engines.fakes_aws.changes import changed, replacing
from tests.engines.fakes_aws.faults import strike
from tests.engines.fakes_aws.kinds import NAMED_BY, OTHER_SECONDS, REFERENCES, SECONDS
from tests.engines.fakes_aws.world import ACCOUNT, Properties, RefusedError, Thing, World, changing, key, noted, seen

MODEL: typing.Final = "OPTIMAL_TP_MODEL"
"""Environment variable with the path of the model's file."""
SCALE: typing.Final = "OPTIMAL_TP_MODEL_SCALE"
"""Environment variable with the share of AWS's latencies that the plugin takes; 0 answers at once."""
VERSION: typing.Final = "7.51.1"
_SUFFIX_LENGTH = 7
_INVOKES: typing.Final[typing.Mapping[str, typing.Callable[[World], Properties]]] = {
    "getPartition": lambda _: {"partition": "aws", "dnsSuffix": "amazonaws.com", "id": "aws"},
    "getCallerIdentity": lambda _: {"accountId": ACCOUNT, "arn": f"arn:aws:iam::{ACCOUNT}:user/test", "id": ACCOUNT},
    "getRegion": lambda world: {"region": world.region, "id": world.region, "name": world.region},
}


def kind_of(urn_or_token: str) -> str:
    """Return the kind of a URN or type token: its last word."""
    token = urn_or_token.split("::")[2].rsplit("$", maxsplit=1)[-1] if "::" in urn_or_token else urn_or_token
    return token.rsplit(":", maxsplit=1)[-1]


def as_dict(struct: struct_pb2.Struct) -> Properties:
    """Return ``struct`` with whole numbers as such: protobuf knows only floats."""
    return {name: _whole(value) for name, value in json_format.MessageToDict(struct).items()}


def _whole(value: typing.Any) -> typing.Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_whole(each) for each in value]
    if isinstance(value, dict):
        return {name: _whole(each) for name, each in value.items()}
    return value


def as_struct(properties: Properties) -> struct_pb2.Struct:
    """Return ``properties`` as the engine takes them."""
    return json_format.ParseDict(
        {name: value for name, value in properties.items() if value is not None}, struct_pb2.Struct()
    )


class Plugin(provider_pb2_grpc.ResourceProviderServicer):
    """``aws:`` as the engine sees it. ``model`` is the file; ``scale`` the share of AWS's latencies."""

    def __init__(self, model: pathlib.Path, scale: float) -> None:
        self._model, self._scale = model, scale

    # The names are gRPC's.
    def GetPluginInfo(self, _request: typing.Any, _context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:  # noqa: N802
        """Say which version of the real plugin this stands for."""
        return plugin_pb2.PluginInfo(version=VERSION)

    def CheckConfig(self, request: typing.Any, _context: grpc.ServicerContext) -> provider_pb2.CheckResponse:  # noqa: N802
        """Take any configuration."""
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, _request: typing.Any, _context: grpc.ServicerContext) -> provider_pb2.DiffResponse:  # noqa: N802
        """Find no configuration different."""
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, _request: typing.Any, _context: grpc.ServicerContext) -> provider_pb2.ConfigureResponse:  # noqa: N802
        """Be ready."""
        return provider_pb2.ConfigureResponse(acceptSecrets=False, supportsPreview=False)

    def Cancel(self, _request: typing.Any, _context: grpc.ServicerContext) -> empty_pb2.Empty:  # noqa: N802
        """Let what runs come to its end."""
        return empty_pb2.Empty()

    def Invoke(self, request: typing.Any, context: grpc.ServicerContext) -> provider_pb2.InvokeResponse:  # noqa: N802
        """Answer the questions that the program asks."""
        token = kind_of(request.tok)
        if token not in _INVOKES:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{request.tok} is not a question that this model knows")
        return provider_pb2.InvokeResponse(**{"return": as_struct(_INVOKES[token](seen(self._model)))})

    def Check(self, request: typing.Any, context: grpc.ServicerContext) -> provider_pb2.CheckResponse:  # noqa: N802
        """Give a name to what has none, as Pulumi's AWS provider does, and keep it."""
        kind, news, olds = kind_of(request.urn), as_dict(request.news), as_dict(request.olds)
        if kind not in REFERENCES:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{kind} is not a resource that this model knows")
        if kind in NAMED_BY and NAMED_BY[kind][0] not in news:
            name = NAMED_BY[kind][0]
            logical = request.urn.rsplit("::", maxsplit=1)[-1]
            news[name] = olds.get(name) or f"{logical}-{request.randomSeed.hex()[:_SUFFIX_LENGTH]}"
        return provider_pb2.CheckResponse(inputs=as_struct(news))

    def Diff(self, request: typing.Any, _context: grpc.ServicerContext) -> provider_pb2.DiffResponse:  # noqa: N802
        """Compare inputs with inputs."""
        olds, news = as_dict(request.old_inputs), as_dict(request.news)
        ignored = {path.split(".")[0].split("[")[0] for path in request.ignoreChanges}
        names = [name for name in changed(olds, news) if name not in ignored]
        some, none = provider_pb2.DiffResponse.DIFF_SOME, provider_pb2.DiffResponse.DIFF_NONE
        # Most names are taken while the old resource stands.
        return provider_pb2.DiffResponse(
            changes=some if names else none,
            diffs=names,
            replaces=replacing(kind_of(request.urn), names),
            deleteBeforeReplace=kind_of(request.urn) not in NAMED_BY,
        )

    def Create(self, request: typing.Any, context: grpc.ServicerContext) -> provider_pb2.CreateResponse:  # noqa: N802
        """Make a resource in the model."""
        kind, inputs = kind_of(request.urn), as_dict(request.properties)
        thing = self._did(
            "create", request.urn, context, lambda world: account.create(world, kind, request.urn, inputs)
        )
        return provider_pb2.CreateResponse(id=thing.id, properties=as_struct(thing.outputs))

    def Update(self, request: typing.Any, context: grpc.ServicerContext) -> provider_pb2.UpdateResponse:  # noqa: N802
        """Change a resource in the model."""
        kind, inputs = kind_of(request.urn), as_dict(request.news)
        thing = self._did("update", request.urn, context, lambda world: account.update(world, kind, request.id, inputs))
        return provider_pb2.UpdateResponse(properties=as_struct(thing.outputs))

    def Delete(self, request: typing.Any, context: grpc.ServicerContext) -> empty_pb2.Empty:  # noqa: N802
        """Delete a resource from the model; what is gone already is deleted."""
        kind = kind_of(request.urn)
        gone = Thing(kind=kind, id=request.id, urn=request.urn, inputs={}, outputs={})
        self._did("delete", request.urn, context, lambda world: account.delete(world, kind, request.id) or gone)
        return empty_pb2.Empty()

    def Read(self, request: typing.Any, _context: grpc.ServicerContext) -> provider_pb2.ReadResponse:  # noqa: N802
        """Return a resource as the model has it; nothing for what is gone."""
        thing = seen(self._model).things.get(key(kind_of(request.urn), request.id))
        if thing is None:
            return provider_pb2.ReadResponse()
        return provider_pb2.ReadResponse(
            id=thing.id, properties=as_struct(thing.outputs), inputs=as_struct(thing.inputs)
        )

    def _did(self, did: str, urn: str, context: grpc.ServicerContext, act: typing.Callable[[World], Thing]) -> Thing:
        """Do one operation as AWS does: take its time, and tell of it in the journal."""
        kind, began = kind_of(urn), time.time()
        attempted = Thing(kind=kind, id="", urn=urn, inputs={}, outputs={})
        fault = strike(self._model, f"aws {did} {urn}")
        try:
            with changing(self._model) as world:
                world.begun += 1
                if fault == "refuse":
                    noted(world, did, attempted, began, "refused by order")
                    context.abort(grpc.StatusCode.UNAVAILABLE, f"{kind}: the provider fails by order")
                try:
                    thing = act(world)
                except RefusedError as refused:
                    noted(world, did, attempted, began, str(refused))
                    raise
        except RefusedError as refused:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(refused))
        except account.DegradedError as degraded:
            _abort_with_state(context, degraded)
        if fault == "kill":
            # Whoever asked is killed now; it never hears from here.
            threading.Event().wait()
        seconds = SECONDS.get(kind, OTHER_SECONDS)
        time.sleep(seconds[did == "delete"] * self._scale)
        with changing(self._model) as world:
            noted(world, did, thing, began, "answer lost by order" if fault == "lose" else "")
        if fault == "lose":
            context.abort(grpc.StatusCode.UNAVAILABLE, f"{kind}: the answer is lost by order")
        return thing


def _abort_with_state(context: grpc.ServicerContext, degraded: account.DegradedError) -> None:
    """Fail, and tell the engine what was made all the same, so that it can be deleted."""
    failed = provider_pb2.ErrorResourceInitFailed(
        id=degraded.thing.id,
        properties=as_struct(degraded.thing.outputs),
        reasons=[str(degraded)],
        inputs=as_struct(degraded.thing.inputs),
    )
    detail = any_pb2.Any()
    detail.Pack(failed)
    unknown = grpc.StatusCode.UNKNOWN
    status = status_pb2.Status(code=unknown.value[0], message=str(degraded), details=[detail])
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(unknown, str(degraded))


def model_of_environment() -> tuple[pathlib.Path, float]:
    """Return the model's file and the share of latencies, as the environment names them."""
    return pathlib.Path(os.environ[MODEL]), float(os.environ.get(SCALE, "0"))
