"""From a request to its answer: which service, which account, which operation."""

import json
import re
import time
from collections import Counter
from urllib.parse import unquote_plus

from bench.fake_aws import iam, organizations, sts
from bench.fake_aws.answers import IAM, STS, Answer, RefusedError, json_error, xml, xml_error
from bench.fake_aws.buckets import Buckets
from bench.fake_aws.world import World, session_account

_CREDENTIAL = re.compile(rb"Credential=(\w+)/")
_TARGET = re.compile(rb"(?i)\r\nx-amz-target: *\w+\.(\w+)")
_THROTTLED = xml_error(RefusedError(400, "Throttling", "Rate exceeded"))


class Service:
    """Answers calls and counts them."""

    def __init__(self, world: World, buckets: Buckets) -> None:
        self._world = world
        self._buckets = buckets
        self._totals = world.totals()
        self.calls: Counter[str] = Counter()
        self.throttled = 0

    def answer(self, head: bytes, body: bytes) -> Answer:
        """Return the answer to one request."""
        line = head[: head.find(b" HTTP/")]
        if line == b"GET /stats":
            return 200, self._stats()
        if line == b"POST /reset":
            self.reset()
            return 200, "{}"
        if target := _TARGET.search(head):
            return self._organizations(target[1].decode(), body)
        form = _form(body)
        found = _CREDENTIAL.search(head)
        account = session_account(found[1].decode()) if found else 0
        return self._query(form.get("Action", ""), account, form)

    def reset(self) -> None:
        """Forget the counts, and fill the buckets."""
        self.calls.clear()
        self.throttled = 0
        self._buckets.refill()

    def _query(self, action: str, account: int, form: dict[str, str]) -> Answer:
        if handler := iam.OPERATIONS.get(action):
            if not self._buckets.take(account):
                self.throttled += 1
                return _THROTTLED
            namespace = IAM
        elif handler := sts.OPERATIONS.get(action):
            namespace = STS
        else:
            self.calls[f"unknown:{action}"] += 1
            return xml_error(
                RefusedError(400, "InvalidAction", f"Could not find operation {action}")
            )
        self.calls[action] += 1
        try:
            return 200, xml(action, namespace, handler(self._world, account, form))
        except RefusedError as refused:
            return xml_error(refused, namespace)

    def _organizations(self, operation: str, body: bytes) -> Answer:
        self.calls[operation] += 1
        try:
            return 200, organizations.answer(self._world, operation, body)
        except RefusedError as refused:
            return json_error(refused)

    def _stats(self) -> str:
        return json.dumps(
            {
                "calls": dict(sorted(self.calls.items())),
                "throttled": self.throttled,
                "cpu": time.process_time(),
                "world": self._totals,
            }
        )


def _form(body: bytes) -> dict[str, str]:
    """Return the fields of a form; hardly any is escaped."""
    fields = {}
    for pair in body.decode().split("&"):
        name, _, value = pair.partition("=")
        fields[name] = unquote_plus(value) if "%" in value or "+" in value else value
    return fields
