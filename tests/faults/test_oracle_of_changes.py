"""The oracle of changes finds what is not so: each lie and each loss, by itself."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from auditor.model.access_key import AccessKeyId, KeyStatus, NeverUsed
from auditor.model.account import AccountId
from auditor.model.outcome import JournalLine, Step
from auditor.model.plan import Action, ActionKind, Expected, Held, Plan, Protection
from tests.faults.cloud import MANAGEMENT, Cloud, Key, User
from tests.faults.oracle import Wrong
from tests.faults.oracle_of_changes import (
    Moment,
    mistakes_of_apply,
    mistakes_of_retirement,
    mistakes_of_undo,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OLD, OTHER = "AKIAIOSFODNN7EXAMPLE", "AKIAI44QH8DHBEXAMPLE"


@dataclass
class Scene:
    """A user with one key that a plan changes, and another user with a key of its own."""

    kind: ActionKind
    because: str = "key-unused"
    cloud: Cloud = field(default_factory=lambda: Cloud(3, accounts=1, users=0, now=NOW))
    lines: list[JournalLine] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.account = self.cloud.accounts[MANAGEMENT]
        self.amy, self.bob = self._user("amy", OLD), self._user("bob", OTHER)
        self.before = Moment.of(self.cloud)

    def _user(self, name: str, key: str) -> User:
        keys = [Key(id=key, created=NOW, active=True, used=None)]
        user = User(name, NOW, password=False, admin=False, quarantined=False, keys=keys)
        self.account.users[name] = user
        return user

    @property
    def plan(self) -> Plan:
        expected = Expected(status=KeyStatus.ACTIVE, created_at=NOW, last_use=NeverUsed())
        action = Action(
            id="action-1",
            account_id=AccountId(MANAGEMENT),
            user_name="amy",
            user_arn=f"{self.account.arn}:user/amy",
            access_key_id=AccessKeyId(OLD),
            kind=self.kind,
            because=(self.because,),
            expected=expected,
        )
        return Plan(
            id="plan-1",
            run_id="run-1",
            created_at=NOW,
            expires_at=NOW + timedelta(days=1),
            judged_at=NOW,
            scanned_at=NOW,
            partition="aws",
            policies={},
            protection=Protection(),
            actions=(action,),
            held=(),
        )

    def say(self, result: str, reason: str = "", **more: Any) -> None:
        """Journal an outcome."""
        kind = more.pop("kind", self.kind)
        line = JournalLine(
            sequence=len(self.lines) + 1,
            at=NOW,
            plan_id="plan-1",
            run_id="run-1",
            action_id="action-1",
            account_id=MANAGEMENT,
            user_name="amy",
            access_key_id=OLD,
            kind=kind,
            step=Step.OUTCOME,
            detail={"result": result, "reason": reason, **more},
        )
        self.lines.append(line)

    def delete(self, user: User) -> None:
        self.cloud.deleted.add(user.keys.pop().id)

    def make(self, user: User, *, keep: bool = False) -> str:
        key = self.cloud.make_key(self.account, user)
        if keep:
            self.kept[key.id] = self.cloud.made[key.id].secret
        return key.id

    def applied(self, *, settled: bool = True) -> list[Wrong]:
        return list(
            mistakes_of_apply(
                self.cloud,
                self.plan,
                self.lines,
                before=self.before,
                kept=self.kept,
                settled=settled,
            )
        )

    def retired(self) -> list[Wrong]:
        return list(mistakes_of_retirement(self.cloud, self.plan, self.kept))

    def undone(self, *held: Held) -> list[Wrong]:
        return list(
            mistakes_of_undo(
                self.cloud,
                self.lines,
                applied={OLD: self.kind},
                between=self.before,
                held=held,
            )
        )


def deactivated(scene: Scene) -> None:
    scene.amy.keys[0].active = False
    scene.say("applied")


def deleted(scene: Scene) -> None:
    scene.delete(scene.amy)
    scene.say("applied")


def rotated(scene: Scene) -> None:
    scene.say("applied", new_key_id=scene.make(scene.amy, keep=True))


def lost_and_named(scene: Scene) -> None:
    scene.say("unclear", f"it may be {scene.make(scene.amy)}: look")


@pytest.mark.parametrize(
    ("kind", "happens"),
    [
        (ActionKind.DEACTIVATE, deactivated),
        (ActionKind.DELETE, deleted),
        (ActionKind.ROTATE, rotated),
        (ActionKind.ROTATE, lost_and_named),
    ],
)
def test_what_is_right_is_no_mistake(kind: ActionKind, happens: Callable[[Scene], None]) -> None:
    scene = Scene(kind)

    happens(scene)

    assert scene.applied() == []


def says(result: str, **more: Any) -> Callable[[Scene], None]:
    return lambda scene: scene.say(result, **more)


def deletes_and_says_refused(scene: Scene) -> None:
    scene.delete(scene.amy)
    scene.say("refused")


def deletes_anothers(scene: Scene) -> None:
    deleted(scene)
    scene.delete(scene.bob)


def changes_anothers(scene: Scene) -> None:
    deactivated(scene)
    scene.bob.keys[0].active = False


def makes_anothers(scene: Scene) -> None:
    rotated(scene)
    scene.make(scene.bob)


def makes_and_says_refused(scene: Scene) -> None:
    scene.make(scene.amy)
    scene.say("refused")


def makes_and_stores_nothing(scene: Scene) -> None:
    scene.say("applied", new_key_id=scene.make(scene.amy))


def makes_and_stores_another(scene: Scene) -> None:
    new = scene.make(scene.amy)
    scene.kept[new] = "another"
    scene.say("applied", new_key_id=new)


def makes_and_does_not_name(scene: Scene) -> None:
    scene.make(scene.amy)
    scene.say("unclear", "none shows yet")


def makes_two(scene: Scene) -> None:
    scene.make(scene.amy)
    rotated(scene)


def makes_and_deletes(scene: Scene) -> None:
    new = scene.make(scene.amy, keep=True)
    scene.delete(scene.amy)
    scene.say("applied", new_key_id=new)


def deletes_and_stays_unclear(scene: Scene) -> None:
    new = scene.make(scene.amy)
    scene.delete(scene.amy)
    scene.say("unclear", new_key_id=new)


def rotates_and_takes_the_old(scene: Scene) -> None:
    rotated(scene)
    scene.amy.keys[0].active = False


@pytest.mark.parametrize(
    ("kind", "happens", "mistake"),
    [
        (ActionKind.DEACTIVATE, says("applied"), "claim"),
        (ActionKind.DEACTIVATE, says("unclear"), "wrong"),
        (ActionKind.DEACTIVATE, changes_anothers, "wrong"),
        (ActionKind.DEACTIVATE, deleted, "wrong"),
        (ActionKind.DELETE, says("applied"), "claim"),
        (ActionKind.DELETE, says("unclear"), "wrong"),
        (ActionKind.DELETE, deletes_and_says_refused, "wrong"),
        (ActionKind.DELETE, deletes_anothers, "wrong"),
        (ActionKind.ROTATE, makes_anothers, "wrong"),
        (ActionKind.ROTATE, makes_and_says_refused, "claim"),
        (ActionKind.ROTATE, makes_and_stores_nothing, "lost"),
        (ActionKind.ROTATE, makes_and_stores_another, "lost"),
        (ActionKind.ROTATE, makes_and_does_not_name, "lost"),
        (ActionKind.ROTATE, makes_two, "wrong"),
        (ActionKind.ROTATE, makes_and_deletes, "claim"),
        (ActionKind.ROTATE, deletes_and_stays_unclear, "wrong"),
        (ActionKind.ROTATE, rotates_and_takes_the_old, "wrong"),
        (ActionKind.ROTATE, says("applied", new_key_id="AKIANEVERMADE"), "claim"),
        (ActionKind.ROTATE, lambda _: None, "wrong"),
    ],
)
def test_what_is_not_so_is_found(
    kind: ActionKind, happens: Callable[[Scene], None], mistake: str
) -> None:
    scene = Scene(kind)

    happens(scene)

    assert mistake in {found for found, _ in scene.applied()}


def test_an_old_key_goes_only_for_a_new_one_that_is_used_and_kept() -> None:
    scene = Scene(ActionKind.DEACTIVATE, because="key-too-old")
    new = scene.make(scene.amy)

    assert len(scene.retired()) == 1
    scene.cloud.use_new_keys()
    assert len(scene.retired()) == 1
    scene.kept[new] = scene.cloud.made[new].secret
    assert scene.retired() == []


def a_held(kind: ActionKind) -> Held:
    return Held(
        account_id=AccountId(MANAGEMENT),
        user_name="amy",
        access_key_id=AccessKeyId(OLD),
        kind=kind,
        because=("key-unused",),
        reason="a deletion can't be undone",
    )


@pytest.mark.parametrize("kind", [ActionKind.DELETE, ActionKind.ROTATE])
def test_what_an_undo_leaves_it_must_say(kind: ActionKind) -> None:
    scene = Scene(kind)

    assert scene.undone(a_held(kind)) == []
    assert [found for found, _ in scene.undone()] == ["claim"]


def test_a_deletion_that_is_called_undone_is_found() -> None:
    scene = Scene(ActionKind.DELETE)
    scene.say("applied", kind=ActionKind.ACTIVATE)

    assert [found for found, _ in scene.undone(a_held(ActionKind.DELETE))] == ["claim"]


def test_a_key_that_an_undo_did_not_restore_is_found_with_what_was_said() -> None:
    scene = Scene(ActionKind.DEACTIVATE)
    scene.amy.keys[0].active = False
    scene.say("refused", "it could not be read again", kind=ActionKind.ACTIVATE)

    [(found, what)] = scene.undone()

    assert found == "wrong"
    assert "could not be read again" in what


def test_a_key_that_is_called_restored_and_is_inactive_is_found() -> None:
    scene = Scene(ActionKind.DEACTIVATE)
    scene.amy.keys[0].active = False
    scene.say("applied", kind=ActionKind.ACTIVATE)

    assert {"claim", "wrong"} == {found for found, _ in scene.undone()}


def test_what_an_undo_has_no_part_in_it_must_not_change() -> None:
    scene = Scene(ActionKind.DELETE)
    scene.bob.keys[0].active = False
    scene.delete(scene.amy)

    found = scene.undone(a_held(ActionKind.DELETE))

    assert len(found) == 2
