"""Every question of preflight against botocore's Stubber: present, absent, denied, throttled, in pages."""

import typing

import botocore.stub
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from optimal_tp.account.inquiry import Inquiry, clients, session_of
from optimal_tp.account.questions import PREFLIGHT, Question, Unknown
from tests.fakes_botocore import client_of

ASKED = tuple(question for question in PREFLIGHT if question.service != "sts")
PAGED = tuple(question for question in ASKED if client_of(question.service).can_paginate(question.operation))


def told(question: Question) -> str:
    """Return the test's name for a question."""
    return f"{question.service}.{question.operation}.{question.key}"


def sample(shape: typing.Any) -> typing.Any:
    """Return the least value that botocore's model of AWS accepts for ``shape``."""
    kind = shape.type_name
    if kind == "structure":
        return {name: sample(shape.members[name]) for name in shape.required_members}
    if kind == "list":
        return [sample(shape.member)] if shape.metadata.get("min", 0) else []
    if kind == "map":
        return {}
    if kind == "string":
        return shape.enum[0] if shape.enum else "x" * max(shape.metadata.get("min", 1), 1)
    return {"integer": 1, "long": 1, "double": 1.0, "float": 1.0, "boolean": True, "timestamp": 0}[kind]


def ask(question: Question, *answers: dict[str, typing.Any] | str) -> object:
    """Put ``question`` to a client that answers with ``answers`` in turn, and return what is made of them."""
    client = client_of(question.service)
    stubber = botocore.stub.Stubber(client)
    for answer in answers:
        if isinstance(answer, str):
            stubber.add_client_error(question.operation, service_error_code=answer)
        else:
            stubber.add_response(question.operation, answer)
    wanted = _model(question).input_shape
    with stubber:
        found = Inquiry(lambda _: client)(question, **({} if wanted is None else sample(wanted)))
        stubber.assert_no_pending_responses()
    return found


def _model(question: Question) -> typing.Any:
    client = client_of(question.service)
    return client.meta.service_model.operation_model(client.meta.method_to_api_mapping[question.operation])


def one(question: Question) -> tuple[typing.Any, dict[str, typing.Any]]:
    """Return one thing that the answer may hold, and a response that holds it."""
    output = _model(question).output_shape
    shape = output.members[question.key]
    found = sample(shape.member if shape.type_name == "list" else shape)
    needed = {name: sample(output.members[name]) for name in output.required_members}
    return found, {**needed, question.key: [found] if shape.type_name == "list" else found}


@pytest.mark.parametrize("question", ASKED, ids=told)
def test_what_is_present_is_the_answer(question: Question) -> None:
    """One thing in the response is one in the answer."""
    found, response = one(question)

    assert ask(question, response) == (found,)


@pytest.mark.parametrize("question", ASKED, ids=told)
def test_what_is_absent_is_an_empty_answer(question: Question) -> None:
    """The codes that mean absent, or a response that lists nothing: an answer, and not unknown."""
    found, response = one(question)
    if question.absent:
        assert [ask(question, code) for code in question.absent] == [()] * len(question.absent)
    else:
        assert response[question.key] == [found]
        assert ask(question, {**response, question.key: []}) == ()


@pytest.mark.parametrize("code", ["AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"])
@pytest.mark.parametrize("question", ASKED, ids=told)
def test_what_is_denied_is_unknown_and_names_the_right(question: Question, code: str) -> None:
    """The reader sees what to ask an administrator for."""
    assert ask(question, code) == Unknown(reason=f"not allowed to call {question.action} ({code})")


@pytest.mark.parametrize("code", ["Throttling", "ThrottlingException", "RequestLimitExceeded"])
@pytest.mark.parametrize("question", ASKED, ids=told)
def test_what_is_throttled_is_unknown(question: Question, code: str) -> None:
    """Too many calls say nothing of what is there."""
    reason = f"{question.service} still throttles after five tries ({code})"

    assert ask(question, code) == Unknown(reason=reason)


@pytest.mark.parametrize("question", PAGED, ids=told)
def test_every_page_counts(question: Question) -> None:
    """What stands on the second page is in the answer; a second page that is denied leaves nothing known."""
    found, response = one(question)
    client = client_of(question.service)
    token = client.get_paginator(question.operation)._output_token[0].expression
    token = str(token).split(" || ", maxsplit=1)[0]
    first = {**response, token: "more"}

    assert ask(question, first, response) == (found, found)
    assert isinstance(ask(question, first, "AccessDenied"), Unknown)


def test_an_answer_without_what_was_asked_for_is_unknown() -> None:
    """A response that lacks its key is no empty answer: a name would be taken for free."""
    [bucket] = [each for each in ASKED if each.operation == "head_bucket"]

    assert ask(bucket, {}) == Unknown(reason="the answer of s3 has no BucketRegion")


def test_a_throttled_call_is_tried_five_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only then is the answer unknown."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)
    sent = []
    client = clients("us-east-2", session_of(None))("eks")

    class Body:
        def stream(self, *_: object, **__: object) -> typing.Iterator[bytes]:
            return iter([b"{}"])

    def throttle(request: typing.Any, **_: object) -> AWSResponse:
        sent.append(request.url)
        return AWSResponse(
            request.url, 429, HTTPHeaders.from_pairs([("x-amzn-ErrorType", "ThrottlingException")]), Body()
        )

    client.meta.events.register("before-send.*", throttle)
    [question] = [each for each in ASKED if each.operation == "list_clusters"]

    assert isinstance(Inquiry(lambda _: client)(question), Unknown)
    assert len(sent) == 5
