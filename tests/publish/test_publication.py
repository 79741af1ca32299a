"""What is told of findings that a place did not take."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from auditor.ports import PublishedFinding, Rejected
from auditor.publish.security_hub import Fate, Publication, Published
from tests.builders import NOW, ago

STAMP = "2026-11-24T12:00:00Z"


@dataclass
class FakeHub:
    """Has findings, and takes all but those with some ids."""

    has: Sequence[PublishedFinding] = ()
    refuses: frozenset[str] = frozenset()
    sent: list[str] = field(default_factory=list)

    async def published(self) -> AsyncIterator[Sequence[PublishedFinding]]:
        yield self.has

    async def send(self, findings: Sequence[Mapping[str, Any]]) -> Sequence[Rejected]:
        ids = [finding["Id"] for finding in findings]
        self.sent += [id_ for id_ in ids if id_ not in self.refuses]
        return self._refused(ids)

    async def set_workflow(self, ids: Sequence[str], status: str, note: str) -> Sequence[Rejected]:
        return self._refused(ids)

    def _refused(self, ids: Sequence[str]) -> Sequence[Rejected]:
        return [
            Rejected(id=id_, code="InternalFailure", message="-")
            for id_ in ids
            if id_ in self.refuses
        ]


def a_finding(id_: str) -> Mapping[str, Any]:
    return {
        "Id": id_,
        "GeneratorId": "iamaudit/old",
        "LastObservedAt": STAMP,
        "FindingProviderFields": {"Severity": {"Original": "medium"}},
        "ProductFields": {"iamaudit/status": "open"},
    }


def a_published(id_: str, **values: Any) -> PublishedFinding:
    defaults: dict[str, Any] = {
        "rule_id": "old",
        "user_name": "alice",
        "active": True,
        "workflow": "NEW",
        "suppressed_as_exempt": False,
        "created_at": STAMP,
        "first_observed_at": STAMP,
        "observed_at": ago(days=1),
        "updated_at": ago(days=1),
        "content": {"Id": id_},
    }
    return PublishedFinding(id=id_, **(defaults | values))


async def published(hub: FakeHub, *ids: str) -> Published:
    told = Published()
    publication = Publication(observed_at=NOW, now=NOW)
    await publication.publish([a_finding(id_) for id_ in ids], hub, lambda _: None, told)
    return told


async def test_only_what_was_taken_counts() -> None:
    hub = FakeHub(has=[a_published("gone"), a_published("stays")], refuses=frozenset({"b", "gone"}))

    told = await published(hub, "a", "b", "stays")

    counted = [told.fates[fate] for fate in (Fate.NEW, Fate.UPDATED, Fate.ARCHIVED)]
    assert counted == [1, 1, 0]
    assert [each.id for each in told.rejected] == ["b", "gone"]


async def test_what_could_not_be_reopened_is_left_for_the_next_time() -> None:
    exempt = [
        a_published(id_, workflow="SUPPRESSED", suppressed_as_exempt=True) for id_ in ("a", "b")
    ]
    hub = FakeHub(has=exempt, refuses=frozenset({"a"}))

    told = await published(hub, "a", "b")

    assert hub.sent == ["b"]
    assert [each.id for each in told.rejected] == ["a"]


async def test_an_update_is_later_than_what_there_is_whatever_the_clock_says() -> None:
    sent: list[str] = []

    class Keeping(FakeHub):
        async def send(self, findings: Sequence[Mapping[str, Any]]) -> Sequence[Rejected]:
            sent.extend(finding["UpdatedAt"] for finding in findings)
            return await super().send(findings)

    await published(Keeping(has=[a_published("a", updated_at=ago(days=-1))]), "a")

    assert sent == ["2026-11-25T12:00:00.001Z"]
