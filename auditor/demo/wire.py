"""AWS requests and answers as they look on the wire."""

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl
from xml.etree.ElementTree import Element, SubElement, tostring

_CREDENTIAL = re.compile(r"Credential=([^/]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")
_NAMESPACES = {
    "iam": "https://iam.amazonaws.com/doc/2010-05-08/",
    "sts": "https://sts.amazonaws.com/doc/2011-06-15/",
}
_SERVER_ERROR = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request that reached the emulator."""

    service: str
    """The signing name: `iam`, `sts`, `organizations`."""
    operation: str
    """`ListUsers`; method and path for services that name no operation."""
    account_id: str
    """The account that owns the signing credentials."""
    params: Mapping[str, Any] = field(hash=False)
    """The form, flat (`Filter.member.1`), or the JSON body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An error to answer with, in the form that the request's protocol wants."""

    status: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Drop:
    """Break the connection without an answer."""


class RefusedError(Exception):
    """Raised by a correction when AWS would answer with an error."""

    def __init__(self, *, status: int, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.response = Response(status=status, code=code, message=message)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """Status, headers and body, ready to send."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request with what only the emulator needs to know of it."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    access_key_id: str
    region: str
    request: Request

    @property
    def params(self) -> Mapping[str, Any]:
        """The request's parameters."""
        return self.request.params


def signature(headers: Mapping[str, str]) -> tuple[str, str, str]:
    """Return access key id, region and service of the signature; empty strings if unsigned."""
    found = _CREDENTIAL.search(headers.get("authorization", ""))
    return (found[1], found[2], found[3]) if found else ("", "", "")


def operation_and_params(
    method: str, path: str, headers: Mapping[str, str], body: bytes
) -> tuple[str, Mapping[str, Any]]:
    """Return what is asked, in any of the protocols of JSON, REST in JSON, and forms."""
    target = headers.get("x-amz-target")
    if target:
        return target.rpartition(".")[2], json.loads(body or b"{}")
    if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        form = dict(parse_qsl(body.decode(), keep_blank_values=True))
        operation = form.pop("Action", "")
        form.pop("Version", None)
        return operation, form
    if headers.get("content-type", "").startswith("application/json"):
        return f"{method} {path}", json.loads(body or b"{}")
    return f"{method} {path}", {}


def render_error(response: Response, call: Call) -> HttpAnswer:
    """Return the error as the service of the call words it."""
    request_id = str(uuid.uuid4())
    if call.request.service not in _NAMESPACES:
        body = json.dumps({"__type": response.code, "message": response.message}).encode()
        headers = (
            ("Content-Type", "application/x-amz-json-1.1"),
            ("x-amzn-errortype", response.code),
            ("x-amzn-RequestId", request_id),
        )
        return HttpAnswer(status=response.status, headers=headers, body=body)
    root = Element("ErrorResponse", xmlns=_NAMESPACES[call.request.service])
    error = {
        "Type": "Receiver" if response.status >= _SERVER_ERROR else "Sender",
        "Code": response.code,
        "Message": response.message,
    }
    _append(root, "Error", error)
    _append(root, "RequestId", request_id)
    return _xml(response.status, root)


def render_result(result: Mapping[str, Any], call: Call) -> HttpAnswer:
    """Return a result: JSON for Organizations, the query protocol's XML for IAM and STS."""
    if call.request.service not in _NAMESPACES:
        headers = (("Content-Type", "application/x-amz-json-1.1"),)
        return HttpAnswer(status=200, headers=headers, body=json.dumps(result).encode())
    operation = call.request.operation
    root = Element(f"{operation}Response", xmlns=_NAMESPACES[call.request.service])
    _append(root, f"{operation}Result", result)
    _append(root, "ResponseMetadata", {"RequestId": str(uuid.uuid4())})
    return _xml(200, root)


def zulu(at: datetime) -> str:
    """Return the time as AWS writes it; a naive one is in UTC, as moto keeps them."""
    utc = at.astimezone(UTC) if at.tzinfo else at
    return utc.strftime("%Y-%m-%dT%H:%M:%SZ")


def _xml(status: int, root: Element) -> HttpAnswer:
    body = tostring(root, encoding="utf-8", xml_declaration=True)
    return HttpAnswer(status=status, headers=(("Content-Type", "text/xml"),), body=body)


def _append(parent: Element, name: str, value: object) -> None:
    if value is None:
        return
    element = SubElement(parent, name)
    match value:
        case Mapping():
            for key, item in value.items():
                _append(element, key, item)
        case list():
            for item in value:
                _append(element, "member", item)
        case bool():
            element.text = "true" if value else "false"
        case datetime():
            element.text = zulu(value)
        case _:
            element.text = str(value)
