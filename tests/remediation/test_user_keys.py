"""The operations on the keys of one user: what each does, refuses and says."""

from collections import deque
from dataclasses import dataclass, field, replace

import pytest

from auditor.errors import AuditError, FailureKind, NothingAuditedError
from auditor.model.access_key import AccessKeyId, KeyStatus, LastUse, NeverUsed, Used
from auditor.model.outcome import Outcome, Result
from auditor.model.plan import ActionKind, Protection
from auditor.model.unknown import Unknown
from auditor.ports import Owner
from auditor.remediation.own_keys import OwnKeys
from auditor.remediation.user_keys import UserKeys, say
from tests.builders import NOW, a_key, ago, an_account, used
from tests.fakes import FakeClock
from tests.remediation.fakes import SECRET, THROTTLED, TIMEOUT, FakeSink, FakeWriter, failing

ONE = a_key("AKIAONE", last_use=used(days=3))
TWO = a_key("AKIATWO", active=False)
NEW = "AKIANEW1"
DENIED = failing("AccessDenied", FailureKind.DENIED)


@dataclass
class Desk:
    writer: FakeWriter = field(default_factory=lambda: FakeWriter(keys={"amy": [ONE]}))
    own: frozenset[str] = frozenset()
    caller: str = "arn:aws:iam::111111111111:user/auditor"
    signing: str | None = None
    protection: Protection = field(default_factory=Protection)
    told: list[str] = field(default_factory=list)
    clock: FakeClock = field(default_factory=FakeClock)
    sink: FakeSink = field(default_factory=FakeSink)

    @property
    def keys(self) -> UserKeys:
        owner = Owner(account=an_account(), user_name="amy")
        return UserKeys(
            self.writer,
            owner,
            own=OwnKeys(caller_arn=self.caller, key_ids=self.own, signing_key_id=self.signing),
            user_arn=f"arn:aws:iam::{owner.account.id}:user/amy",
            protection=self.protection,
            clock=self.clock,
        )

    @property
    def there(self) -> list[str | None]:
        return [key.id for key in self.writer.keys["amy"]]

    def status(self, key_id: str) -> KeyStatus:
        return next(key.status for key in self.writer.keys["amy"] if key.id == key_id)

    def fail(self, operation: str, *failures: Exception, after: bool = False) -> None:
        place = self.writer.after if after else self.writer.before
        place[operation] = deque(failures)  # type: ignore[arg-type]


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_keys_are_listed_with_their_last_use(desk: Desk) -> None:
    desk.writer.keys["amy"].append(TWO)

    assert await desk.keys.list() == [ONE, TWO]
    assert await desk.keys.last_use(AccessKeyId("AKIAONE")) == ONE.last_use


async def test_a_last_use_that_can_not_be_read_is_unknown_with_the_reason(desk: Desk) -> None:
    unread = Unknown(operation="iam:X", code="AccessDenied")
    desk.fail("iam:GetAccessKeyLastUsed", DENIED, DENIED)

    assert await desk.keys.list() == [replace(ONE, last_use=unread)]
    assert await desk.keys.last_use(AccessKeyId("AKIAONE")) == unread


async def test_a_key_without_an_id_is_none_that_can_be_named(desk: Desk) -> None:
    desk.writer.keys["amy"].append(replace(TWO, id=None))

    assert await desk.keys.list() == [ONE]


async def test_a_key_is_created_and_without_a_sink_handed_over(desk: Desk) -> None:
    made = await desk.keys.create(None, desk.told.append)

    assert (made.key.id, made.key.secret, made.secret_in) == (NEW, SECRET, None)
    assert desk.told == ["created AKIANEW1 of amy"]
    assert desk.there == ["AKIAONE", NEW]


async def test_a_created_key_goes_to_the_sink(desk: Desk) -> None:
    made = await desk.keys.create(desk.sink, desk.told.append)

    assert made.key.id == NEW
    assert made.secret_in == "sink/111111111111/amy"
    assert desk.sink.kept == {NEW: SECRET}


async def test_a_third_key_is_refused_before_anything_is_asked_for(desk: Desk) -> None:
    desk.writer.keys["amy"].append(TWO)

    with pytest.raises(AuditError) as caught:
        await desk.keys.create(None, desk.told.append)

    assert str(caught.value) == "amy has two access keys already: AKIAONE and AKIATWO"
    assert caught.value.hint == "delete the one that is not needed: AWS allows two"
    assert desk.writer.count("iam:CreateAccessKey") == 0


async def test_a_sink_that_is_not_fit_is_found_out_before_a_key_is_made(desk: Desk) -> None:
    desk.sink.unfit = AuditError("the folder can be written by others", hint="chmod go-w")

    with pytest.raises(AuditError, match="written by others"):
        await desk.keys.create(desk.sink, desk.told.append)

    assert desk.writer.count("iam:CreateAccessKey") == 0


async def test_a_sink_that_fails_leaves_no_key_behind(desk: Desk) -> None:
    desk.sink.failure = AuditError("the disk is full", hint="free it")
    desk.fail("iam:DeleteAccessKey", THROTTLED)

    with pytest.raises(AuditError) as caught:
        await desk.keys.create(desk.sink, desk.told.append)

    assert str(caught.value) == (
        "its secret could not be stored (the disk is full); the new key AKIANEW1 was deleted,"
        " the old one is as it was"
    )
    assert caught.value.hint == "mend the sink, and create again"
    assert desk.there == ["AKIAONE"]
    assert desk.clock.slept == [1.0]


@pytest.mark.parametrize(
    ("failures", "told"),
    [
        ([DENIED], "iam:X: AccessDenied: said AWS"),
        ([THROTTLED] * 5, "throttled by AWS, however often it was tried"),
        (
            [TIMEOUT],
            "AWS's answer was lost; if a key was made, none shows yet: look, and delete it by hand",
        ),
    ],
)
async def test_a_key_that_was_not_created_is_told_and_never_tried_twice_blindly(
    desk: Desk, failures: list[Exception], told: str
) -> None:
    desk.fail("iam:CreateAccessKey", *failures)

    with pytest.raises(NothingAuditedError) as caught:
        await desk.keys.create(None, desk.told.append)

    assert str(caught.value) == told
    assert caught.value.hint == "iamaudit keys list shows those there are"
    assert desk.writer.count("iam:CreateAccessKey") == len(failures)
    assert desk.told == []


async def test_throttling_is_waited_for_longer_each_time(desk: Desk) -> None:
    desk.fail("iam:CreateAccessKey", THROTTLED, THROTTLED, THROTTLED)

    made = await desk.keys.create(None, desk.told.append)

    assert made.key.secret == SECRET
    assert desk.clock.slept == [1.0, 2.0, 4.0]


async def test_a_lost_answer_names_the_keys_that_may_have_been_made(desk: Desk) -> None:
    desk.fail("iam:CreateAccessKey", TIMEOUT, after=True)

    with pytest.raises(NothingAuditedError, match="it may be AKIANEW1: look, and delete it"):
        await desk.keys.create(None, desk.told.append)

    assert desk.there == ["AKIAONE", NEW]


@pytest.mark.parametrize(
    ("kind", "key", "after"),
    [
        (ActionKind.DEACTIVATE, "AKIAONE", KeyStatus.INACTIVE),
        (ActionKind.ACTIVATE, "AKIATWO", KeyStatus.ACTIVE),
        (ActionKind.DELETE, "AKIATWO", None),
    ],
)
async def test_a_key_is_changed_and_seen_to_be(
    desk: Desk, kind: ActionKind, key: str, after: KeyStatus | None
) -> None:
    desk.writer.keys["amy"].append(TWO)

    outcome = await desk.keys.change(kind, AccessKeyId(key))

    assert outcome.result is Result.APPLIED
    assert outcome.request_id
    assert (desk.status(key) is after) if after else (key not in desk.there)


@pytest.mark.parametrize(
    ("kind", "key", "status"),
    [
        (ActionKind.ACTIVATE, "AKIAONE", "Active"),
        (ActionKind.DEACTIVATE, "AKIATWO", "Inactive"),
    ],
)
async def test_what_is_so_already_is_not_asked_for(
    desk: Desk, kind: ActionKind, key: str, status: str
) -> None:
    desk.writer.keys["amy"].append(TWO)

    outcome = await desk.keys.change(kind, AccessKeyId(key))

    assert outcome == Outcome(result=Result.APPLIED, reason=f"it is {status} already")
    assert desk.writer.count("iam:UpdateAccessKey") == 0


async def test_a_key_that_the_user_has_not_is_not_changed(desk: Desk) -> None:
    with pytest.raises(AuditError) as caught:
        await desk.keys.change(ActionKind.DELETE, AccessKeyId("AKIANONE"))

    assert str(caught.value) == "amy has no access key AKIANONE"
    assert caught.value.hint == (
        "iamaudit keys list shows those there are; name its user with --user"
    )


@pytest.mark.parametrize("kind", [ActionKind.DEACTIVATE, ActionKind.DELETE])
async def test_the_key_that_calls_is_neither_deactivated_nor_deleted(kind: ActionKind) -> None:
    desk = Desk(own=frozenset({"AKIAONE"}))

    with pytest.raises(AuditError) as caught:
        await desk.keys.change(kind, AccessKeyId("AKIAONE"))

    assert str(caught.value) == (
        "AKIAONE is left alone: it is in this machine's AWS configuration: it may be what calls"
    )
    assert caught.value.hint == (
        "use other credentials, or take the key out of the configuration first"
    )
    assert desk.status("AKIAONE") is KeyStatus.ACTIVE


@pytest.mark.parametrize("kind", [ActionKind.DEACTIVATE, ActionKind.DELETE])
async def test_no_key_of_the_user_whose_session_calls_is_taken_away(kind: ActionKind) -> None:
    desk = Desk(caller="arn:aws:iam::111111111111:user/amy")

    with pytest.raises(AuditError, match="AKIAONE is left alone"):
        await desk.keys.change(kind, AccessKeyId("AKIAONE"))

    assert desk.status("AKIAONE") is KeyStatus.ACTIVE


async def test_the_other_key_of_the_user_whose_key_signs_is_deactivated() -> None:
    desk = Desk(caller="arn:aws:iam::111111111111:user/amy", signing="AKIASIGNS")

    outcome = await desk.keys.change(ActionKind.DEACTIVATE, AccessKeyId("AKIAONE"))

    assert outcome.result is Result.APPLIED


@pytest.mark.parametrize("change", ["deactivate", "delete", "rotate"])
@pytest.mark.parametrize(
    "protection",
    [
        Protection(patterns=("amy",)),
        Protection(patterns=("arn:aws:iam::*:user/breakglass/*",)),
        Protection(tag="keep"),
    ],
    ids=["by name", "by path", "by tag"],
)
async def test_the_keys_of_a_protected_user_are_left_alone(
    change: str, protection: Protection
) -> None:
    desk = Desk(protection=protection)
    desk.writer.arns["amy"] = "arn:aws:iam::111111111111:user/breakglass/amy"
    desk.writer.tags["amy"] = {"keep": ""}

    work = (
        desk.keys.rotate(desk.sink, desk.told.append)
        if change == "rotate"
        else desk.keys.change(ActionKind(change), AccessKeyId("AKIAONE"))
    )

    with pytest.raises(AuditError, match="amy is left alone: protected by"):
        await work

    assert desk.there == ["AKIAONE"]
    assert desk.status("AKIAONE") is KeyStatus.ACTIVE


async def test_a_key_of_a_protected_user_may_be_activated() -> None:
    desk = Desk(writer=FakeWriter(keys={"amy": [TWO]}), protection=Protection(patterns=("amy",)))

    outcome = await desk.keys.change(ActionKind.ACTIVATE, AccessKeyId("AKIATWO"))

    assert outcome.result is Result.APPLIED


async def test_the_key_that_calls_may_be_activated() -> None:
    desk = Desk(writer=FakeWriter(keys={"amy": [TWO]}), own=frozenset({"AKIATWO"}))

    outcome = await desk.keys.change(ActionKind.ACTIVATE, AccessKeyId("AKIATWO"))

    assert outcome.result is Result.APPLIED


async def test_an_active_key_is_not_deleted(desk: Desk) -> None:
    with pytest.raises(AuditError) as caught:
        await desk.keys.change(ActionKind.DELETE, AccessKeyId("AKIAONE"))

    assert str(caught.value) == "AKIAONE is active"
    assert caught.value.hint == "deactivate it first, and see that nothing breaks"


async def test_a_rotation_makes_a_second_key_and_keeps_the_first(desk: Desk) -> None:
    outcome = await desk.keys.rotate(desk.sink, desk.told.append)

    assert outcome == Outcome(
        result=Result.APPLIED,
        reason="new key AKIANEW1; the old one stays until the new one is used",
        request_id="request-3",
        new_key_id=NEW,
        secret_in="sink/111111111111/amy",
    )
    assert desk.told == ["created AKIANEW1"]
    assert desk.there == ["AKIAONE", NEW]
    assert desk.sink.kept == {NEW: SECRET}


async def test_a_rotation_tells_of_the_key_before_its_secret_is_stored(desk: Desk) -> None:
    desk.sink.failure = AuditError("full", hint="free it")

    outcome = await desk.keys.rotate(desk.sink, desk.told.append)

    assert outcome.result is Result.REFUSED
    assert desk.told == ["created AKIANEW1"]
    assert desk.there == ["AKIAONE"]


async def test_a_throttled_change_is_waited_for(desk: Desk) -> None:
    desk.fail("iam:UpdateAccessKey", THROTTLED)

    outcome = await desk.keys.change(ActionKind.DEACTIVATE, AccessKeyId("AKIAONE"))

    assert outcome.result is Result.APPLIED
    assert desk.clock.slept == [1.0]


async def test_a_throttled_rotation_is_waited_for(desk: Desk) -> None:
    desk.fail("iam:CreateAccessKey", THROTTLED)

    outcome = await desk.keys.rotate(desk.sink, desk.told.append)

    assert outcome.result is Result.APPLIED
    assert desk.clock.slept == [1.0]


async def test_a_rotation_needs_a_free_slot(desk: Desk) -> None:
    desk.writer.keys["amy"].append(TWO)

    outcome = await desk.keys.rotate(desk.sink, desk.told.append)

    assert outcome == Outcome(
        result=Result.REFUSED,
        reason="both key slots are taken: deactivate and delete the key that is not needed",
    )


async def test_the_tour_goes_through_the_life_of_a_key_and_leaves_nothing(desk: Desk) -> None:
    await desk.keys.tour(desk.told.append)

    assert desk.told == [
        "created AKIANEW1 of amy",
        "its secret is not shown, and not kept",
        "listed AKIAONE: Active",
        "listed AKIANEW1: Active",
        "last use of AKIANEW1: never",
        "deactivated AKIANEW1",
        "deleted AKIANEW1",
    ]
    assert desk.there == ["AKIAONE"]


async def test_a_tour_waits_where_aws_throttles(desk: Desk) -> None:
    desk.fail("iam:UpdateAccessKey", THROTTLED)
    desk.fail("iam:DeleteAccessKey", THROTTLED)

    await desk.keys.tour(desk.told.append)

    assert desk.told[-2:] == ["deactivated AKIANEW1", "deleted AKIANEW1"]
    assert desk.clock.slept == [1.0, 1.0]


async def test_a_tour_that_fails_half_way_leaves_nothing_either(desk: Desk) -> None:
    desk.fail("iam:UpdateAccessKey", DENIED)

    with pytest.raises(AuditError) as caught:
        await desk.keys.tour(desk.told.append)

    assert str(caught.value) == ("deactivate AKIANEW1: refused: iam:X: AccessDenied: said AWS")
    assert caught.value.hint == "look at the key"
    assert desk.told[-1] == "deleted AKIANEW1"
    assert desk.there == ["AKIAONE"]


async def test_a_tour_whose_key_can_not_be_deleted_names_it(desk: Desk) -> None:
    desk.fail("iam:DeleteAccessKey", DENIED)

    with pytest.raises(AuditError) as caught:
        await desk.keys.tour(desk.told.append)

    assert str(caught.value) == ("AKIANEW1 could not be deleted: iam:X: AccessDenied: said AWS")
    assert caught.value.hint == "delete it by hand"


async def test_a_key_of_the_tour_that_somebody_deleted_meanwhile_is_gone_as_wanted(
    desk: Desk,
) -> None:
    def told(line: str) -> None:
        desk.told.append(line)
        if line.startswith("deactivated"):
            desk.writer.keys["amy"] = [ONE]

    await desk.keys.tour(told)

    assert desk.told[-1] == "deleted AKIANEW1"


@pytest.mark.parametrize(
    ("use", "told"),
    [
        (
            Used(at=ago(days=1), service="s3", region="eu-west-1"),
            "2026-11-23 12:00 UTC for s3 in eu-west-1",
        ),
        (Used(at=NOW, service="iam", region="N/A"), "2026-11-24 12:00 UTC for iam"),
        (NeverUsed(), "never"),
        (
            Unknown(operation="iam:GetAccessKeyLastUsed", code="Throttling"),
            "unknown (iam:GetAccessKeyLastUsed failed: Throttling)",
        ),
    ],
)
def test_a_last_use_in_words(use: LastUse, told: str) -> None:
    assert say(use) == told
