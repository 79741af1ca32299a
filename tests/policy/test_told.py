"""What the policy language says of facts, mistakes and verdicts, to the letter."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from importlib.util import find_spec, module_from_spec
from typing import Any

import pytest

from auditor.errors import PolicyError
from auditor.model.access_key import AccessKey, NeverUsed, Used
from auditor.model.finding import Remedy, Severity, VerdictKind
from auditor.model.identity import ROOT_USER_NAME
from auditor.model.run import PolicySource
from auditor.model.unknown import Unknown
from auditor.policy import cases, compliance, document, loader, parameters, places
from auditor.policy.catalogue import FACTS
from auditor.policy.cel import (
    Activation,
    CelSyntaxError,
    Conditions,
    Environment,
    FactType,
    Unbound,
)
from auditor.policy.compose import compose
from auditor.policy.evaluate import (
    Verdict,
    judge,
    judge_user,
    rules_that_root_keys_could_break,
)
from auditor.policy.exemptions import applies
from auditor.policy.explain import explain, shown
from auditor.policy.facts import Case, age, facts_of_keys, idle, shared_values, why_unknown
from auditor.policy.loader import load, rule_ids
from auditor.policy.parts import parts_of
from auditor.wiring.policies import load_policies, read_pack
from tests.builders import (
    ACCOUNT_ID,
    DENIED,
    KEY_ID,
    NOW,
    a_key,
    a_policy,
    a_rule,
    a_user_with,
    an_account,
    an_identity,
    compiled,
    used,
)

HINT = "mend the policy file; the language is described in docs/policies.md"
BASELINE = load_policies(["baseline"])
NO_DETAILS = Unknown(operation="iam:GetAccountAuthorizationDetails", code="AccessDenied")


def fresh(name: str) -> Any:
    """The module as an import for the first time makes it."""
    spec = find_spec(name)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def refusal(text: str) -> tuple[list[str], str]:
    with pytest.raises(PolicyError) as caught:
        load(text, source="house.yaml", read_pack=read_pack)
    return str(caught.value).splitlines(), caught.value.hint


def verdicts(policy: Any, *keys: AccessKey, **user: Any) -> list[Verdict]:
    owner = a_user_with(*(keys or (a_key(days_old=400),)), **user)
    return list(next(judge_user(an_account(), "aws", owner, policy, now=NOW)).verdicts)


@pytest.fixture
def tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose own time is nine hours ahead."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


# --- controls -------------------------------------------------------------------------------

_CIS = ("1.4", "1.12", "1.13", "1.14")
CONTROLS: dict[str, dict[str, str]] = {
    "aws-fsbp": {"IAM.4": "account, root", "IAM.3": "key", "IAM.8": "key", "IAM.22": "key"},
    "cis-aws-1.2.0": {"1.12": "account, root", "1.3": "key", "1.4": "key"},
    **{
        f"cis-aws-{version}": {each: "account, root" if each == "1.4" else "key" for each in _CIS}
        for version in ("1.4.0", "1.5.0", "2.0.0", "3.0.0", "4.0.1")
    },
    "cis-aws-5.0.0": {"1.3": "account, root", "1.11": "key", "1.12": "key", "1.13": "key"},
    "cis-aws-6.0.0": {"2.3": "account, root", "2.11": "key", "2.12": "key", "2.13": "key"},
    "cis-aws-7.0.0": {"2.4": "account, root", "2.11": "key", "2.12": "key"},
    "nist-800-53-r5": {
        **dict.fromkeys(
            ("AC-2", "AC-2(1)", "AC-2(3)", "AC-3", "AC-3(7)", "AC-3(15)", "AC-6"), "account"
        ),
        "AC-6(2)": "account, root",
        "AC-6(10)": "account, root",
    },
    "pci-dss-4.0.1": dict.fromkeys(("8.2.6", "8.3.9", "8.6.3"), "key"),
}


def test_the_controls_are_those_of_the_frameworks_counted_as_they_ask() -> None:
    module = fresh("auditor.policy.compliance")
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for name, control in module.CONTROLS.items():
        assert name == f"{control.framework}:{control.id}"
        root = ", root" if module.root_only(control) else ""
        found[control.framework][control.id] = f"{control.unit.value}{root}"

    assert found == CONTROLS


def test_a_control_of_a_framework_of_ones_own_is_counted_in_keys() -> None:
    control = compliance.control_of("our-own:4:2")

    assert (control.framework, control.id, control.unit.value) == ("our-own", "4:2", "key")
    assert not compliance.root_only(control)
    assert compliance.control_of("aws-fsbp:IAM.4").unit.value == "account"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("our-own:4:2", None),
        ("cis-aws-5.0.0:1.13", None),
        ("nothing", "'nothing' is no control: write framework:id, as in cis-aws-5.0.0:1.13"),
        (":1", "':1' is no control: write framework:id, as in cis-aws-5.0.0:1.13"),
        ("a:", "'a:' is no control: write framework:id, as in cis-aws-5.0.0:1.13"),
        (
            "cis-aws-5.0.0:9",
            "cis-aws-5.0.0 has no control '9' about access keys (it has 1.3, 1.11, 1.12, 1.13)",
        ),
        (
            "cis-aws-5.0.0:1.3:1",
            "cis-aws-5.0.0 has no control '1.3:1' about access keys (it has 1.3, 1.11, 1.12, 1.13)",
        ),
    ],
)
def test_a_control_that_is_none_is_told_with_those_there_are(
    name: str, problem: str | None
) -> None:
    assert compliance.problem_with(name) == problem


# --- schemas --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "members"),
    [
        (
            document.json_schema,
            {"apiVersion", "id", "title", "description", "extends", "params", "classes", "rules",
             "exemptions"},
        ),
        (cases.json_schema, {"apiVersion", "policies", "now", "cases"}),
    ],
)  # fmt: skip
def test_a_schema_names_members_as_files_write_them(
    made: Callable[[], Mapping[str, Any]], members: set[str]
) -> None:
    schema = made()

    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert set(schema["properties"]) == members
    assert "class" in str(schema["$defs"])


# --- the user's own tests -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "more"),
    [
        ({}, {}),
        ({"key.active": True}, {"key.status": "Active"}),
        ({"key.active": False}, {"key.status": "Inactive"}),
        ({"key.status": "Active"}, {"key.active": True}),
        ({"key.status": "Expired"}, {"key.active": False}),
        ({"key.age": timedelta(days=2)}, {"key.created": NOW - timedelta(days=2)}),
        ({"key.created": NOW - timedelta(days=2)}, {"key.age": timedelta(days=2)}),
        ({"key.created": NOW + timedelta(days=2)}, {"key.age": timedelta()}),
        (
            {"key.age": timedelta(days=2), "key.last_used.state": "never"},
            {
                "key.created": NOW - timedelta(days=2),
                "key.idle": timedelta(days=2),
                "key.last_used.service": "",
                "key.last_used.region": "",
            },
        ),
        (
            {"key.last_used.at": NOW - timedelta(hours=5)},
            {"key.last_used.state": "used", "key.idle": timedelta(hours=5)},
        ),
        (
            {"key.last_used.at": NOW + timedelta(hours=5)},
            {"key.last_used.state": "used", "key.idle": timedelta()},
        ),
        (
            {"key.last_used.state": "used", "key.idle": timedelta(hours=5)},
            {"key.last_used.at": NOW - timedelta(hours=5)},
        ),
        (
            {"user.root": True},
            {"user.name": ROOT_USER_NAME, "user.admin": True, "user.tags": {}},
        ),
        ({"account.partition": "aws-cn"}, {}),
        ({"user.root": True, "user.name": "x", "user.admin": False, "user.tags": {"a": "b"}}, {}),
        (
            {"key.last_used.state": "never", "key.last_used.service": "s3"},
            {"key.last_used.region": ""},
        ),
    ],
)
def test_what_follows_from_facts_is_exactly_this(
    given: Mapping[str, Any], more: Mapping[str, Any]
) -> None:
    always = {"user.root": False, "account.partition": "aws", "now": NOW}

    assert cases.complete(dict(given), NOW) == {**always, **given, **more}


def read(module: Any, facts: str, *, head: str = "") -> Any:
    text = (
        f"apiVersion: iamaudit/v1\npolicies: [baseline]\n{head}cases:\n"
        f"  - name: first\n    facts: {{{facts}}}\n    class: human\n"
        "    expect: {key-too-old: pass, key-unused: pass}\n"
    )
    parsed, placed = module.parse(text, source="cases.yaml")
    return module.read(parsed, placed, BASELINE, source="cases.yaml", now=NOW)


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ("key.active: 1", "key.active must be a true or false"),
        ("user.active_keys: true", "user.active_keys must be a whole number"),
        ("user.active_keys: '1'", "user.active_keys must be a whole number"),
        ("user.name: 1", "user.name must be a text"),
        ("key.age: 90", 'key.age must be a duration, as in 90d or "90d 1s"'),
        ("key.age: ''", 'key.age must be a duration, as in 90d or "90d 1s"'),
        ("key.age: 1d x", 'key.age must be a duration, as in 90d or "90d 1s"'),
        ("key.created: soon", "key.created must be a time, as in 2026-01-31T12:00:00Z"),
        ("key.created: 1969-12-31T00:00:00Z", "key.created must be a time, as in"),
        ("key.created: 9001-01-01T00:00:00Z", "key.created must be a time, as in"),
        ("user.groups: a", "user.groups must be a list of texts"),
        ("user.groups: [a, 1]", "user.groups must be a list of texts"),
        ("user.tags: [a]", "user.tags must be a mapping of texts"),
        ("user.tags: {a: 1}", "user.tags must be a mapping of texts"),
        ("user.tags: {1: a}", "user.tags must be a mapping of texts"),
        ("key.status: Aktiv", 'key.status must be "Active", "Inactive" or "Expired"'),
        (
            "key.status: Active, key.active: false",
            "key.status and key.active contradict each other",
        ),
        (
            "key.last_used.state: no",
            "key.last_used.state must be a text",
        ),
        (
            "key.last_used.state: 'no'",
            'key.last_used.state must be "used" or "never"; leave it out where it is unknown',
        ),
        (
            "key.last_used.state: never, key.last_used.at: 2026-01-01",
            "a never-used key has no key.last_used.at",
        ),
        (
            "key.age: 1d, key.created: 2026-01-01",
            "key.age and key.created, or key.idle and key.last_used.at, contradict each other",
        ),
        (
            "key.last_used.state: used, key.idle: 1d, key.last_used.at: 2026-01-01",
            "key.age and key.created, or key.idle and key.last_used.at, contradict each other",
        ),
        (
            "key.age: 1d, key.idle: 2d",
            "key.idle is greater than key.age: no key is idle for longer than it exists",
        ),
        (
            "key.age: 99999w 99999w",
            "a time or duration is beyond what can be reckoned with",
        ),
    ],
)
def test_a_fact_that_can_not_be_is_one_line(facts: str, told: str) -> None:
    with pytest.raises(PolicyError) as caught:
        read(fresh("auditor.policy.cases"), facts)

    [line] = str(caught.value).splitlines()
    assert line.startswith("cases.yaml:5:")
    assert line.partition(": ")[2].startswith(told)
    assert "  " not in line
    assert caught.value.hint == HINT


def test_facts_are_read_by_their_kinds() -> None:
    [case] = read(
        fresh("auditor.policy.cases"),
        "key.active: true, user.active_keys: 2, user.name: amy, key.age: 1d 2h 3m,"
        " user.created: '2026-01-01T02:00:00+02:00', user.groups: [a, b], user.tags: {a: b},"
        " account.name: null",
    )

    assert case.name == "first"
    assert case.place == "cases.yaml:4:11"
    assert case.user_class == "human"
    assert case.expect == {"key-too-old": "pass", "key-unused": "pass"}
    known = case.facts.known
    assert known["key.active"] is True
    assert (known["user.active_keys"], known["user.name"]) == (2, "amy")
    assert known["key.age"] == timedelta(days=1, hours=2, minutes=3)
    assert known["user.created"] == datetime(2026, 1, 1, tzinfo=UTC)
    assert (known["user.groups"], known["user.tags"]) == (["a", "b"], {"a": "b"})
    assert "account.name" not in known


@pytest.mark.usefixtures("tokyo")
@pytest.mark.parametrize(
    ("written", "at"),
    [
        ("2026-01-02", datetime(2026, 1, 2, tzinfo=UTC)),
        ("2026-01-02T03:04:05", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05+03:00", datetime(2026, 1, 2, 0, 4, 5, tzinfo=UTC)),
    ],
)
def test_the_instant_of_a_file_is_in_utc(written: str, at: datetime) -> None:
    head = f"apiVersion: iamaudit/v1\npolicies: [b]\nnow: {written}\n"
    parsed, _ = cases.parse(head + "cases: [{name: n, facts: {}, expect: {}}]", source="x")

    found = cases.instant_of(parsed, NOW)

    assert found == at
    assert found.utcoffset() == timedelta()


def test_a_fact_that_a_test_leaves_out_is_unknown_for_want_of_its_source() -> None:
    [never] = read(cases, "key.last_used.state: never")
    [plain] = read(cases, "key.active: true")

    assert never.facts.missing("key.last_used.at") is None
    assert plain.facts.missing("key.last_used.at") == Unknown(
        operation="iam:GetAccessKeyLastUsed", code="NotInAnswer"
    )
    assert never.facts.missing("user.tags") == Unknown(
        operation="iam:GetAccountAuthorizationDetails", code="NotInAnswer"
    )


@pytest.mark.parametrize("status", ["Active", "Inactive", "Expired"])
def test_a_test_may_give_every_status_that_a_key_has(status: str) -> None:
    [case] = read(cases, f"key.status: {status}")

    assert case.facts.known["key.active"] is (status == "Active")


def test_what_came_out_otherwise_is_told_class_first() -> None:
    [case] = read(cases, "key.active: true, key.age: 91d, key.idle: 1d, key.last_used.state: used")

    assert cases.differences(case, BASELINE, now=NOW) == [
        cases.Difference(what="class", expected="human", found="unknown"),
        cases.Difference(what="key-too-old", expected="pass", found="violation"),
    ]
    text = a_policy(head="classes: [{class: bot, when: key.active}]").replace("house", "other")
    both = [*BASELINE, compiled(text)]
    assert cases.differences(case, both, now=NOW)[0].found == "bot or unknown"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [", "cases.yaml:1:5: while parsing a flow node expected the node content"),
        ("a: 1", "cases.yaml:1:1: apiVersion: Field required"),
    ],
)
def test_a_file_of_tests_that_is_none_is_told(text: str, told: str) -> None:
    with pytest.raises(PolicyError) as caught:
        cases.parse(text, source="cases.yaml")

    lines = str(caught.value).splitlines()
    assert lines[0].startswith(told)
    assert {line.partition(":")[0] for line in lines} == {"cases.yaml"}
    assert caught.value.hint == HINT


# --- facts ----------------------------------------------------------------------------------


def test_the_facts_of_a_key_are_exactly_these() -> None:
    account = an_account(name="prod", ou="Root/Prod", tags={"env": "prod"})
    user = a_user_with(
        a_key(days_old=10, last_use=used(days=1)),
        tags={"a": "b"},
        groups=("g",),
        policies=("p",),
        mfa=NO_DETAILS,
        created_at=None,
    )

    [(case, facts)] = facts_of_keys(account, "aws-cn", user, NOW)

    assert facts.known == {
        "user.name": "alice",
        "user.arn": f"arn:aws:iam::{ACCOUNT_ID}:user/alice",
        "user.path": "/",
        "user.root": False,
        "user.tags": {"a": "b"},
        "user.password_enabled": False,
        "user.groups": ["g"],
        "user.policies": ["p"],
        "user.admin": False,
        "user.quarantined": False,
        "user.active_keys": 1,
        "account.id": ACCOUNT_ID,
        "account.name": "prod",
        "account.ou": "Root/Prod",
        "account.tags": {"env": "prod"},
        "account.partition": "aws-cn",
        "now": NOW,
        "key.id": KEY_ID,
        "key.active": True,
        "key.status": "Active",
        "key.created": NOW - timedelta(days=10),
        "key.age": timedelta(days=10),
        "key.idle": timedelta(days=1),
        "key.newest": True,
        "key.last_used.state": "used",
        "key.last_used.at": NOW - timedelta(days=1),
        "key.last_used.service": "s3",
        "key.last_used.region": "eu-west-1",
    }
    assert case == Case(
        account=account,
        partition="aws-cn",
        identity=user.identity,
        key=user.keys[0],
        active_keys=1,
        newest=True,
    )
    assert facts.missing("user.mfa") == NO_DETAILS


def test_a_never_used_key_has_a_state_and_no_instant() -> None:
    [(_, facts)] = facts_of_keys(an_account(), "aws", a_user_with(a_key(days_old=3)), NOW)

    known = {name: each for name, each in facts.known.items() if name.startswith("key.last_used")}
    assert known == {
        "key.last_used.state": "never",
        "key.last_used.service": "",
        "key.last_used.region": "",
    }
    assert facts.known["key.idle"] == timedelta(days=3)


def test_of_a_user_without_keys_there_is_nothing_to_say() -> None:
    assert facts_of_keys(an_account(), "aws", a_user_with(), NOW) == []


@pytest.mark.parametrize(
    ("key", "old", "unused"),
    [
        (a_key(days_old=3), timedelta(days=3), timedelta(days=3)),
        (a_key(days_old=3, last_use=used(days=1)), timedelta(days=3), timedelta(days=1)),
        (a_key(days_old=3, last_use=DENIED), timedelta(days=3), None),
        (a_key(days_old=-1, last_use=used(days=-1)), timedelta(), timedelta()),
        (a_key(days_old=-3, last_use=used(days=-2)), None, None),
        (replace(a_key(), created_at=None), None, None),
    ],
)
def test_ages_are_counted_from_what_is_known(
    key: AccessKey, old: timedelta | None, unused: timedelta | None
) -> None:
    assert (age(key, NOW), idle(key, NOW)) == (old, unused)


def test_ages_are_elapsed_time_in_whatever_zone_now_is() -> None:
    east = NOW.astimezone(timezone(timedelta(hours=9)))

    assert age(a_key(days_old=3), east) == timedelta(days=3)


def a_case(**values: Any) -> Case:
    defaults: dict[str, Any] = {
        "account": an_account(),
        "partition": "aws",
        "identity": an_identity(),
        "key": a_key(),
        "active_keys": 1,
        "newest": True,
    }
    return Case(**(defaults | values))


def without(fact: str) -> Any:
    values: dict[str, Any] = {fact: NO_DETAILS}
    return an_identity(**values)


ROOT = an_identity(ROOT_USER_NAME, mfa=NO_DETAILS, created_at=None)
REPORT = Unknown(operation="iam:GetCredentialReport", code="NotInAnswer")


@pytest.mark.parametrize(
    ("fact", "case", "why"),
    [
        *((fact, a_case(identity=ROOT), REPORT) for fact in (
            "key.id", "key.created", "key.age", "key.newest", "user.created")),
        ("key.id", a_case(), Unknown(operation="iam:ListAccessKeys", code="NotInAnswer")),
        ("key.idle", a_case(key=a_key(last_use=DENIED)), DENIED),
        ("key.last_used.at", a_case(key=a_key(last_use=DENIED)), DENIED),
        ("key.last_used.at", a_case(), None),
        ("key.idle", a_case(), Unknown(operation="iam:GetAccessKeyLastUsed", code="Later")),
        (
            "key.last_used.region",
            a_case(),
            Unknown(operation="iam:GetAccessKeyLastUsed", code="NotInAnswer"),
        ),
        (
            "account.ou",
            a_case(),
            Unknown(operation="organizations:ListAccountsForParent", code="NotAsked"),
        ),
        ("account.ou", a_case(account=an_account(ou_unknown=NO_DETAILS)), NO_DETAILS),
        (
            "account.tags",
            a_case(),
            Unknown(operation="organizations:ListTagsForResource", code="NotAsked"),
        ),
        ("account.tags", a_case(account=an_account(tags_unknown=NO_DETAILS)), NO_DETAILS),
        *((f"user.{name}", a_case(identity=without(name)), NO_DETAILS)
          for name in ("tags", "password_enabled", "mfa", "groups", "policies", "admin",
                       "quarantined")),
        ("user.created", a_case(), Unknown(operation="iam:ListUsers", code="NotInAnswer")),
        (
            "account.name",
            a_case(),
            Unknown(operation="organizations:ListAccountsForParent", code="NotInAnswer"),
        ),
        ("user.mfa", a_case(identity=ROOT), NO_DETAILS),
    ],
)  # fmt: skip
def test_why_a_fact_is_not_known(fact: str, case: Case, why: Unknown | None) -> None:
    assert why_unknown(fact, case) == why


@pytest.mark.parametrize("name", ["tags", "groups", "policies", "mfa"])
def test_what_is_unknown_of_a_user_is_not_among_the_facts(name: str) -> None:
    told = set(shared_values(an_account(), "aws", an_identity(), NOW))

    assert set(shared_values(an_account(), "aws", without(name), NOW)) == told - {f"user.{name}"}


def test_of_root_keys_made_at_once_the_second_slot_is_the_newest() -> None:
    keys = [replace(a_key(), id=None, slot=slot) for slot in (1, 2)]
    user = a_user_with(*keys, name=ROOT_USER_NAME)

    told = facts_of_keys(an_account(), "aws", user, NOW)

    assert [facts.known["key.newest"] for _, facts in told] == [False, True]


def test_of_root_keys_without_a_date_none_is_the_newest_and_an_inactive_one_never_is() -> None:
    undated = replace(a_key(), id=None, slot=1, created_at=None)
    keys = undated, replace(a_key(), id=None, slot=2), replace(a_key(active=False), slot=3)

    told = facts_of_keys(an_account(), "aws", a_user_with(*keys, name=ROOT_USER_NAME), NOW)

    assert [case.newest for case, _ in told] == [None, None, False]
    alone = facts_of_keys(an_account(), "aws", a_user_with(undated, name=ROOT_USER_NAME), NOW)
    assert [case.newest for case, _ in alone] == [True]


def test_each_fact_has_a_type_and_is_shared_or_of_the_key() -> None:
    shared = shared_values(an_account(), "aws", an_identity(), NOW)

    assert {name for name in shared if name.startswith("key.")} == set()
    assert shared["now"] == NOW
    assert set(shared) <= set(FACTS)


# --- root keys of which nothing is known ----------------------------------------------------


@pytest.mark.parametrize(
    ("when", "could"),
    [
        ("user.root", True),
        ("!user.root", False),
        ('user.name == "<root_account>"', True),
        ('user.path == "/"', True),
        ('user.path != "/"', False),
        (f'user.arn == "arn:aws-cn:iam::{ACCOUNT_ID}:root"', True),
        ('user.arn == "arn:aws:iam::1:root"', False),
        ('user.class == "root"', True),
        ('user.class == "machine"', False),
        ("user.admin", True),
        ("!user.admin", False),
        ("user.quarantined", False),
        ("user.password_enabled", True),
        ("!user.password_enabled", True),
        ("user.mfa", True),
        ("size(user.tags) > 0", False),
        ("size(user.groups) + size(user.policies) > 0", False),
        ("key.active", True),
        ("key.age > params.max_age", True),
        ('now < timestamp("2026-11-24T12:00:01Z")', True),
        ('now < timestamp("2026-11-24T11:59:59Z")', False),
        (f'account.id == "{ACCOUNT_ID}" && account.partition == "aws-cn"', True),
        ("params.max_age == days(90)", True),
        ('account.partition == "aws"', False),
        ('user.name == "amy"', False),
    ],
)
def test_what_a_root_key_of_which_nothing_is_known_could_break(when: str, could: bool) -> None:
    policy = compiled(a_policy(a_rule(when="PLACE")).replace("'PLACE'", f"|\n      {when}"))

    found = rules_that_root_keys_could_break(an_account(), "aws-cn", policy, now=NOW)

    assert [rule.id for rule in found] == (["old"] if could else [])


def test_a_rule_that_fails_for_a_root_key_of_which_nothing_is_known_is_named() -> None:
    policy = compiled(a_policy(a_rule(when='user.tags.team == "x"')))

    with pytest.raises(PolicyError) as caught:
        rules_that_root_keys_could_break(an_account(), "aws", policy, now=NOW)

    assert str(caught.value) == "rule 'old' of policy 'house' failed: there is no tag 'team'"


# --- verdicts -------------------------------------------------------------------------------

CLASSES = (
    "classes:\n"
    "  - {class: human, when: user.password_enabled, params: {max_age: 300d}}\n"
    "  - {class: bot, when: user.mfa}"
)


def titled(title: str, *, head: str = CLASSES, **user: Any) -> Verdict:
    rule = a_rule(when="key.age > params.max_age").replace("Too old", title)
    return verdicts(compiled(a_policy(rule, head=head)), **user)[0]


def test_a_verdict_of_several_possible_classes_has_the_title_that_holds_in_all() -> None:
    unsure: dict[str, Any] = {"password_enabled": NO_DETAILS, "mfa": False}
    same, other = titled("Too old", **unsure), titled("Older than {max_age}", **unsure)

    assert (same.kind, same.title) == (VerdictKind.VIOLATION, "Too old")
    assert (other.kind, other.title) == (VerdictKind.VIOLATION, "Older than 90d")
    assert titled("Older than {max_age}", password_enabled=True).title == "Older than 300d"
    machine = titled("Older than {max_age}", password_enabled=False, mfa=NO_DETAILS)
    assert machine.title == "Older than 90d"
    as_bot = CLASSES.replace("user.mfa}", "user.mfa, params: {max_age: 300d}}")
    both = titled("Older than {max_age}", head=as_bot, password_enabled=NO_DETAILS, mfa=True)
    assert (both.kind, both.title) == (VerdictKind.VIOLATION, "Older than 300d")


def test_each_rule_is_judged_by_its_own_threshold() -> None:
    rules = [a_rule(f"r{days}", params=f"{{max_age: {days}d}}") for days in (30, 90, 60)]

    found = verdicts(compiled(a_policy(*rules)), a_key(days_old=61))

    assert [each.kind.value for each in found] == ["violation", "pass", "violation"]


def test_a_key_is_judged_in_its_partition() -> None:
    policy = compiled(a_policy(a_rule(when='account.partition == "aws-cn"')))

    [found] = judge_user(an_account(), "aws-cn", a_user_with(a_key()), policy, now=NOW)

    assert [each.kind for each in found.verdicts] == [VerdictKind.VIOLATION]


def test_a_verdict_that_needs_what_is_unknown_says_what() -> None:
    policy = compiled(a_policy(a_rule(when="user.mfa")))

    assert verdicts(policy, mfa=NO_DETAILS) == [
        Verdict(
            rule=policy.rules[0],
            kind=VerdictKind.INDETERMINATE,
            title="Too old",
            unknown=NO_DETAILS,
        )
    ]


def test_a_verdict_that_differs_between_classes_is_open_for_want_of_the_class() -> None:
    rule = a_rule(when="key.age > params.max_age").replace("Too old", "Older than {max_age}")
    policy = compiled(a_policy(rule, head=CLASSES))

    [found] = verdicts(policy, a_key(days_old=100), password_enabled=NO_DETAILS)

    assert found == Verdict(
        rule=policy.rules[0],
        kind=VerdictKind.INDETERMINATE,
        title="Older than 90d",
        unknown=NO_DETAILS,
    )
    user = a_user_with(a_key(days_old=100), password_enabled=NO_DETAILS)
    [(_, facts)] = facts_of_keys(an_account(), "aws", user, NOW)
    assert judge(facts, policy, now=NOW) == (None, (found,))


@pytest.mark.parametrize("user_class", ["human", "machine"])
def test_what_a_rule_lacks_itself_is_told_before_what_the_class_lacks(user_class: str) -> None:
    policy = compiled(
        a_policy(a_rule(when=f'user.class == "{user_class}" && key.idle > days(1)'), head=CLASSES)
    )

    [found] = verdicts(policy, a_key(last_use=DENIED), password_enabled=NO_DETAILS, mfa=False)

    assert (found.kind, found.unknown) == (VerdictKind.INDETERMINATE, DENIED)


def exempting(*selectors: str, head: str = CLASSES) -> Any:
    items = "".join(
        f"\n  - {{{selector}, reason: r, owner: o, expires: 2027-01-31}}" for selector in selectors
    )
    return compiled(a_policy(head=f"{head}\nexemptions:{items}"))


def test_an_exemption_of_every_possible_class_stands_and_leaves_nothing_in_doubt() -> None:
    policy = exempting("user: alice")

    [found] = verdicts(policy, password_enabled=NO_DETAILS)

    assert found.exemption is policy.exemptions[0]
    assert found.unread is None
    assert found.title == "Too old"


@pytest.mark.parametrize(
    ("selectors", "unread"),
    [
        (["when: 'user.class == \"human\"'"], 0),
        (["when: 'user.class == \"machine\"'"], 0),
        (["tags: {a: b}"], 0),
        (["tags: {a: b}", "when: 'user.class == \"machine\"'"], 0),
        (["when: 'user.class == \"human\"'", "tags: {a: b}"], 1),
    ],
)
def test_what_exempts_in_some_classes_only_is_left_in_doubt(
    selectors: list[str], unread: int
) -> None:
    policy = exempting(*selectors)

    [found] = verdicts(policy, password_enabled=NO_DETAILS, mfa=False, tags=NO_DETAILS)

    assert found.exemption is None
    assert found.unread is policy.exemptions[unread]


@pytest.mark.usefixtures("tokyo")
def test_an_exemption_ends_at_the_very_moment_it_expires() -> None:
    def covered(expires: str) -> bool:
        policy = compiled(
            a_policy(
                head=f"exemptions:\n  - {{user: alice, reason: r, owner: o, expires: {expires}}}"
            )
        )
        return verdicts(policy)[0].exemption is not None

    assert not covered("2026-11-24T12:00:00Z")
    assert covered("2026-11-24T12:00:01Z")
    assert covered("2026-11-24T14:00:01+02:00")
    assert not covered("2026-11-24T14:00:00+02:00")
    assert not covered("2026-11-24T12:00:00")
    assert covered("2026-11-24T12:00:01")
    assert covered("2026-11-24")
    assert not covered("2026-11-23")
    assert covered("9999-12-31")
    each = "{{user: alice, reason: r, owner: o, expires: {}-01-01}}"
    policy = compiled(a_policy(head=f"exemptions: [{each.format(2026)}, {each.format(2027)}]"))
    assert verdicts(policy)[0].exemption is policy.exemptions[1]


def broken(policy: Any, *keys: AccessKey, **user: Any) -> tuple[str, str]:
    with pytest.raises(PolicyError) as caught:
        verdicts(policy, *keys, **user)
    return str(caught.value), caught.value.hint


def test_a_condition_that_fails_is_told_with_its_mend() -> None:
    tag = a_rule(when='user.tags["a:b c"] == "x"')
    date = a_rule(when="key.last_used.at < now")
    zero = a_rule(when="1 / user.active_keys > 0")

    assert broken(compiled(a_policy(a_rule(when='user.tags.team == "x"')))) == (
        "rule 'old' of policy 'house' failed: there is no tag 'team'",
        "guard it with has(user.tags.team) &&",
    )
    assert broken(compiled(a_policy(tag))) == (
        "rule 'old' of policy 'house' failed: there is no tag 'a:b c'",
        'guard it with "a:b c" in user.tags &&',
    )
    assert broken(compiled(a_policy(date))) == (
        "rule 'old' of policy 'house' failed: a never-used key has no key.last_used.at",
        'guard it with key.last_used.state == "used" &&',
    )
    told, hint = broken(compiled(a_policy(zero)), a_key(active=False))
    assert told.startswith("rule 'old' of policy 'house' failed: ")
    assert told.endswith("divide by zero")
    assert hint == "mend its condition"
    exemption = exempting("when: 'key.last_used.at < now'")
    assert broken(exemption) == (
        "exemption 1 of policy 'house' failed: a never-used key has no key.last_used.at",
        'guard it with key.last_used.state == "used" &&',
    )
    old = a_key(active=False, days_old=400)
    told, hint = broken(exempting("when: '1 / user.active_keys > 0'"), old)
    assert told == "exemption 1 of policy 'house' failed: INVALID_ARGUMENT: divide by zero"
    assert hint == "mend its condition"
    by_class = compiled(a_policy(head="classes: [{class: x, when: key.last_used.at < now}]"))
    assert broken(by_class)[0].startswith("class 'x' of policy 'house' failed: a never-used key")


# --- exemptions -----------------------------------------------------------------------------


def test_an_exemption_names_the_fact_that_it_could_not_look_at() -> None:
    policy = exempting("user: alice, tags: {a: b}", 'ou: "Root/*"', 'when: "user.mfa"', "key: A*")
    by_tag, by_ou, by_condition, by_key = policy.exemptions

    def asked(exemption: Any, values: Mapping[str, Any]) -> object:
        return applies("old", exemption, dict(values), lambda _: Unbound("user.mfa"))

    assert asked(by_tag, {"user.name": "alice"}) == Unbound("user.tags")
    assert asked(by_tag, {"user.tags": {"a": "b"}}) == Unbound("user.name")
    assert asked(by_tag, {}) == Unbound("user.name")
    assert asked(by_tag, {"user.name": "bob"}) is False
    assert asked(by_tag, {"user.tags": {"a": "c"}}) is False
    assert asked(by_tag, {"user.name": "alice", "user.tags": {"a": "b"}}) is True
    assert asked(by_ou, {}) == Unbound("account.ou")
    assert asked(by_condition, {}) == Unbound("user.mfa")
    assert asked(by_key, {}) == Unbound("key.id")
    assert applies("old", by_condition, {}, lambda _: False) is False
    assert applies("old", by_condition, {}, lambda _: True) is True


def test_an_exemption_keeps_what_was_written() -> None:
    text = (
        'account: "1*", ou: Root/*, user: a*, path: /x/*, key: AKIA*, tags: {a: b},'
        " when: user.mfa, rules: [old]"
    )
    [exemption] = exempting(text, head="").exemptions

    assert exemption.where == {
        "account": "1*",
        "ou": "Root/*",
        "user": "a*",
        "path": "/x/*",
        "key": "AKIA*",
        "tags": {"a": "b"},
        "when": "user.mfa",
    }
    assert exemption.globs == {
        "account.id": "1*",
        "account.ou": "Root/*",
        "user.name": "a*",
        "user.path": "/x/*",
        "key.id": "AKIA*",
    }
    assert (exemption.tags, exemption.rules) == ({"a": "b"}, frozenset({"old"}))
    assert (exemption.policy_id, exemption.position) == ("house", 0)
    assert (exemption.reason, exemption.owner, exemption.expires) == ("r", "o", "2027-01-31")
    assert exemption.ends_at == datetime(2027, 2, 1, tzinfo=UTC)
    assert exemption.when is not None
    assert exemption.when.facts == {"user.mfa"}


# --- mistakes -------------------------------------------------------------------------------


def with_exemption(item: str) -> str:
    return a_policy(head=f"exemptions:\n  - {{{item}, reason: r, owner: o, expires: 2027-01-31}}")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            with_exemption("user: a, rules: [odl]"),
            "house.yaml:6:23: there is no rule 'odl' (did you mean old?)",
        ),
        (
            with_exemption("user: a, when: user.mfaa"),
            "house.yaml:6:25: undeclared reference to 'user.mfaa' (did you mean user.mfa?)",
        ),
        (
            a_policy(a_rule(when="user.name")),
            "house.yaml:10:12: a condition must be true or false, not a STRING",
        ),
        (
            a_policy(a_rule(), a_rule()),
            "house.yaml:11:5: 'old' is defined twice",
        ),
        (
            a_policy(head="classes: [{class: root, when: user.mfa}]"),
            "house.yaml:5:19: the class 'root' is built in",
        ),
        (
            a_policy(head="classes: [{class: a, when: 'user.class == \"b\"'}]"),
            "house.yaml:5:28: a class can't look at user.class",
        ),
        (
            a_policy(a_rule(params="{max_agge: 1d}")),
            "house.yaml:11:24: the policy has no parameter 'max_agge' (did you mean max_age?)",
        ),
        (
            a_policy(a_rule(params="{max_age: 3}")),
            "house.yaml:11:23: max_age must be a duration, not a int",
        ),
        (
            a_policy(a_rule(classes="{human: {}}")),
            "house.yaml:11:22: there is no class 'human'",
        ),
        (
            a_policy(a_rule(controls="[nothing]")),
            "house.yaml:11:16: 'nothing' is no control:"
            " write framework:id, as in cis-aws-5.0.0:1.13",
        ),
        (
            a_policy(a_rule().replace("Too old", "Older than {maxage}")),
            "house.yaml:8:12: the title names no parameter 'maxage'",
        ),
        (
            a_policy("  - {id: old, when: key.active}"),
            "house.yaml:7:5: the rule 'old' lacks title, severity",
        ),
        (
            "apiVersion: iamaudit/v1\nid: x\ntitle: T\n",
            "house.yaml:1:1: a policy needs rules, of its own or of a pack that it extends,"
            " or exemptions",
        ),
        (
            "apiVersion: iamaudit/v1\nid: x\ntitle: T\nextends: baseline\nparams: {max_agee: 1d}",
            "house.yaml:5:20: nothing looks at the parameter 'max_agee' (did you mean max_age?)",
        ),
        (
            "apiVersion: iamaudit/v1\nid: x\ntitle: T\nextends: baseline\n"
            "rules: [{id: key-to-old, remedy: none}]",
            "house.yaml:5:9: the rule 'key-to-old' lacks title, severity, when"
            " (did you mean key-too-old?)",
        ),
        ("[1]", "house.yaml:1:1: Input should be a valid dictionary or instance of PolicyDocument"),
        ("", "house.yaml:1:1: the file is empty"),
        ("a: 1\na: 2", "house.yaml:2:1: 'a' is given twice"),
    ],
)
def test_a_mistake_is_one_line_with_its_place_and_the_mend(text: str, told: str) -> None:
    assert refusal(text) == ([told], HINT)


def test_every_mistake_is_told_where_there_is_no_reading_on_either() -> None:
    tags = "{user: a, tags: {expires: 5}, reason: r, owner: o, expires: soon}"
    told, _ = refusal(extended(f"exemptions: [{tags}]"))

    assert told == [
        "house.yaml:5:40: exemptions.0.tags.expires: Input should be a valid string",
        "house.yaml:5:74: exemptions.0.expires.date: Input should be a valid date",
        "house.yaml:5:74: exemptions.0.expires.datetime: Input should be a valid datetime",
    ]


def test_every_mistake_of_a_mapping_is_told() -> None:
    told, _ = refusal(a_policy(a_rule(params="{max_agge: 1d, max_age: 3}")))

    assert [line.partition(": ")[2] for line in told] == [
        "the policy has no parameter 'max_agge' (did you mean max_age?)",
        "max_age must be a duration, not a int",
    ]


def test_a_suggestion_is_the_closest_name_and_none_where_none_is_close() -> None:
    assert loader.meant("abc", ["xbc", "abcd", "zz"]) == " (did you mean abcd?)"
    assert loader.meant("ab", ["zzzz"]) == ""
    assert loader.meant("abcdef", {"abcxyz": 1}) == ""
    assert loader.meant("abcdefg", {"abcdexx": 1}) == " (did you mean abcdexx?)"


def test_a_pack_with_mistakes_of_its_own_names_itself() -> None:
    text = "apiVersion: iamaudit/v1\nid: x\ntitle: T\nextends: ours"

    def packs(name: str) -> str:
        return {"ours": "apiVersion: iamaudit/v1\nid: [", "odd": "id: 1"}[name]

    with pytest.raises(PolicyError) as caught:
        load(text, source="house.yaml", read_pack=packs)
    assert str(caught.value).startswith("ours:2:6: while parsing a flow")
    assert caught.value.hint == HINT
    with pytest.raises(PolicyError) as caught:
        load(text.replace("ours", "odd"), source="house.yaml", read_pack=packs)
    assert "odd:1:5: id: Input should be a valid string" in str(caught.value).splitlines()
    assert caught.value.hint == HINT
    assert rule_ids(text, source="house.yaml", read_pack=packs) == frozenset()


def test_packs_are_extended_three_deep_and_no_deeper() -> None:
    def packs(name: str) -> str:
        number = int(name[1:])
        text = f"apiVersion: iamaudit/v1\nid: {name}\ntitle: T\n"
        if number:
            return f"{text}extends: p{number - 1}"
        return f"{text}rules: [{{id: a, title: T, severity: low, when: key.active}}]"

    def house(depth: int) -> str:
        return f"apiVersion: iamaudit/v1\nid: x\ntitle: T\nextends: p{depth}"

    policy = load(house(2), source="house.yaml", read_pack=packs)
    assert [rule.id for rule in policy.rules] == ["a"]
    assert list(policy.source.packs) == ["p2", "p1", "p0"]
    assert rule_ids(house(2), source="house.yaml", read_pack=packs) == {"a"}
    with pytest.raises(PolicyError) as caught:
        load(house(3), source="house.yaml", read_pack=packs)
    assert str(caught.value) == "p1:4:10: extends too deep"
    assert caught.value.hint == HINT
    with pytest.raises(PolicyError) as caught:
        load(house(1).replace("p1", "none"), source="house.yaml", read_pack=read_pack)
    assert str(caught.value).startswith("house.yaml:4:10: there is no pack 'none' (there are aws-")
    assert caught.value.hint == "extend one of our packs"


def composed(*texts: str) -> tuple[str, str]:
    sources = [PolicySource(name=f"p{at}.yaml", text=text) for at, text in enumerate(texts)]
    with pytest.raises(PolicyError) as caught:
        compose(sources, read_pack)
    return str(caught.value), caught.value.hint


def test_policies_that_do_not_go_together_are_told_with_the_mend() -> None:
    one, other = a_policy(), a_policy(a_rule("other"))

    assert composed(one, one.replace("house", "second")) == (
        "the policies house and second both have a rule 'old'",
        "rename one of the rules, or give one policy only",
    )
    assert composed(one, other) == (
        "two of the policies are called 'house'",
        "give each policy once, or change the id of one",
    )
    alone = (
        "apiVersion: iamaudit/v1\nid: x\ntitle: T\n"
        "exemptions: [{user: a, reason: r, owner: o, expires: 2027-01-31}]"
    )
    assert composed(alone) == (
        "there are only exemptions, and no rules to judge by",
        "give a policy with rules",
    )
    assert composed("a: [", "b: [")[0].splitlines() == [
        "p0.yaml:1:5: while parsing a flow node expected the node content,"
        " but found '<stream end>'",
        "p1.yaml:1:5: while parsing a flow node expected the node content,"
        " but found '<stream end>'",
    ]
    assert composed("a: [", one)[1] == HINT


# --- the runtime ----------------------------------------------------------------------------

NAMES = {"a": FactType.BOOL, "d": FactType.DURATION, "t": FactType.TIMESTAMP, "s": FactType.STRING}


def problems(text: str) -> list[tuple[int, int, str]]:
    with pytest.raises(CelSyntaxError) as caught:
        Environment(NAMES).compile(text)
    told = [(each.line, each.column, each.message) for each in caught.value.problems]
    assert str(caught.value) == "; ".join(message for *_, message in told)
    return told


def test_what_does_not_compile_is_told_in_the_words_of_the_language() -> None:
    assert problems("b &&\n  c") == [
        (1, 1, "undeclared reference to 'b'"),
        (2, 3, "undeclared reference to 'c'"),
    ]
    assert problems("d > 3") == [
        (1, 3, "found no matching overload for '_>_' applied to '(duration, int)'")
    ]
    assert problems("t > 3") == [
        (1, 3, "found no matching overload for '_>_' applied to '(timestamp, int)'")
    ]
    assert problems("d") == [(1, 1, "a condition must be true or false, not a DURATION")]
    [deep] = problems("(" * 200 + "a" + ")" * 200)
    assert deep[:2] == (1, 1)
    assert "recursion" in deep[2]
    assert "\n" not in deep[2]


def test_a_condition_knows_the_names_it_can_not_do_without() -> None:
    compiled_ = Environment(NAMES).compile('a || s == "t" // d')

    spaced = Environment({"k.l.at": FactType.BOOL}).compile("k . l . at")
    assert spaced.facts == {"k.l.at"}
    assert compiled_.facts == {"a", "s"}
    assert compiled_.text == 'a || s == "t" // d'


def test_conditions_that_are_too_long_together_are_left_to_be_asked_one_by_one() -> None:
    environment = Environment(NAMES)
    condition = environment.compile(f's != "{"x" * 4000}"')
    few, many = (Conditions(environment, [condition] * number) for number in (3, 30))
    facts = Activation(environment, {"s": "y"})

    assert list(few.decide(facts)) == [True] * 3
    assert list(many.decide(facts)) == [None] * 30


# --- places and parts -----------------------------------------------------------------------


def test_every_part_of_a_file_has_its_place() -> None:
    placed = places.parse("a:\n  - b: 1\n    c: |\n      x\n      y\nd: 'z'\ne: >\n  f\n")

    def at(*path: str | int) -> str:
        return str(placed.at(path))

    assert [at(), at("a"), at("a", 0), at("a", 0, "b"), at("d")] == [
        "1:1", "2:3", "2:5", "2:8", "6:4"
    ]  # fmt: skip
    assert [at("none"), at("a", 0, "none", 3)] == ["1:1", "2:5"]
    keys: tuple[places.Path, ...] = ("a",), ("a", 0, "b"), ("x",), ("a", 0, "x")
    assert [str(placed.key_at(each)) for each in keys] == ["1:1", "2:5", "1:1", "2:5"]

    def inside(*path: str | int, line: int, column: int) -> str:
        return str(placed.inside(path, line=line, column=column))

    assert inside("a", 0, "b", line=1, column=1) == "2:8"
    assert inside("a", 0, "b", line=1, column=4) == "2:11"
    assert inside("a", 0, "c", line=2, column=7) == "5:7"
    assert inside("d", line=1, column=2) == "6:6"
    assert inside("d", line=2, column=2) == "6:4"
    assert inside("e", line=1, column=2) == "7:4"
    assert inside("e", line=2, column=2) == "7:4"


@pytest.mark.parametrize(
    ("text", "told", "place"),
    [
        ("a: 2026-13-01", "not a value: month must be in 1..12", "1:4"),
        ("a: 1\nb:\n  - x\n  - 2026-02-30", "not a value: day is out of range for month", "4:5"),
        ("a: &x {k: [y]}\nb: *x\nc: 2026-02-30", "not a value: day is out of range", "3:4"),
        ("a: [x]\nb: 2026-02-30", "not a value: day is out of range", "2:4"),
        ("a: !!int x", "not a value: invalid literal for int() with base 10: 'x'", "1:4"),
        ("{2026-02-30: 1}", "not a value: day is out of range for month", "1:2"),
        ("a: *b", "found undefined alias 'b'", "1:4"),
        ("a: 1\n--- \nb: 2", "expected a single document in the stream but found another", "2:1"),
        ("? [a]\n: 1\n? [b]\n: 2", "'tag:yaml.org,2002:seq' is given twice", "3:3"),
        ("? [a]\n: 1", "while constructing a mapping found unhashable key", "1:3"),
    ],
)
def test_yaml_that_is_none_is_told_with_its_place(text: str, told: str, place: str) -> None:
    with pytest.raises(places.YamlError) as caught:
        places.parse(text)

    assert str(caught.value).startswith(told)
    assert str(caught.value.place) == place


def texts(part: Any) -> object:
    return [part.joined_by, *map(texts, part.parts)] if part.parts else part.text


@pytest.mark.parametrize(
    ("condition", "parts"),
    [
        ("'a' == b && c", ["&&", "'a' == b", "c"]),
        ("r'\\' == b && c", ["&&", "r'\\' == b", "c"]),
        ("a == R'\\' && c", ["&&", "a == R'\\'", "c"]),
        ("a == '\\\\' && c", ["&&", "a == '\\\\'", "c"]),
        ("a == 'X' && c", ["&&", "a == 'X'", "c"]),
        ("X && c", ["&&", "X", "c"]),
        ("// a\nb && // c\nd", ["&&", "// a\nb", "// c\nd"]),
        ("b && c // d", ["&&", "b", "c // d"]),
        ("b && c // d && e", ["&&", "b", "c // d && e"]),
        ("(a && b) && (c && d)", ["&&", ["&&", "a", "b"], ["&&", "c", "d"]]),
        ("((a && b))", ["&&", "a", "b"]),
        ("(a) && '('", ["&&", "a", "'('"]),
        ("'a\\'' == b && c == r", ["&&", "'a\\'' == b", "c == r"]),
        ("a && b && c", ["&&", "a", "b", "c"]),
        ("a || b && c || d", ["||", "a", ["&&", "b", "c"], "d"]),
        ("{'a': b && c}.a && d", ["&&", "{'a': b && c}.a", "d"]),
        ("a == '''x'y && ''' && z", ["&&", "a == '''x'y && '''", "z"]),
        ("a == 'unfinished", "a == 'unfinished"),
        ("a | b", "a | b"),
        ("", ""),
    ],
)
def test_parts_are_split_where_the_language_splits_them(condition: str, parts: object) -> None:
    assert texts(parts_of(condition)) == parts


# --- explanations ---------------------------------------------------------------------------


def test_an_explanation_tells_each_part_at_its_depth_with_what_it_looked_at() -> None:
    when = 'user.class == "machine" && (user.mfa || key.age > params.max_age && !user.root)'
    policy = compiled(a_policy(a_rule(when="PLACE")).replace("'PLACE'", f"|\n      {when}"))
    user = a_user_with(a_key(days_old=100), mfa=NO_DETAILS)
    [(_, facts)] = facts_of_keys(an_account(), "aws", user, NOW)

    found = explain(facts, policy, now=NOW)

    assert (found.classes, found.class_unknown) == (("machine",), None)
    told = found.rules[0].parts["machine"]
    assert [(each.depth, each.text, each.value, each.decides) for each in told] == [
        (0, when, "true", True),
        (1, 'user.class == "machine"', "true", True),
        (1, "user.mfa || key.age > params.max_age && !user.root", "true", True),
        (2, "user.mfa", "unknown", False),
        (2, "key.age > params.max_age && !user.root", "true", True),
        (3, "key.age > params.max_age", "true", True),
        (3, "!user.root", "true", True),
    ]
    assert [dict(each.facts) for each in told] == [
        {},
        {"user.class": '"machine"'},
        {},
        {"user.mfa": "unknown (iam:GetAccountAuthorizationDetails denied)"},
        {},
        {"key.age": "100d", "params.max_age": "90d"},
        {"user.root": "false"},
    ]


def test_a_part_that_asks_a_never_used_key_for_its_use_is_told_as_it_is() -> None:
    when = "user.root && key.last_used.at < now"
    policy = compiled(a_policy(a_rule(when=when)))
    [(_, facts)] = facts_of_keys(an_account(), "aws", a_user_with(a_key()), NOW)

    *_, last = explain(facts, policy, now=NOW).rules[0].parts["machine"]

    assert (last.value, last.decides) == ("unknown", False)
    assert last.facts == {"key.last_used.at": "none", "now": "2026-11-24T12:00:00Z"}


def test_an_explanation_has_the_verdicts_of_the_judgement() -> None:
    policy = exempting("user: bob", "tags: {a: b}")
    user = a_user_with(a_key(days_old=100), password_enabled=NO_DETAILS)
    [(_, facts)] = facts_of_keys(an_account(), "aws", user, NOW)

    found = explain(facts, policy, now=NOW)

    assert (found.classes, found.class_unknown) == (("human", "machine"), NO_DETAILS)
    assert found.rules[0].verdict.unknown == NO_DETAILS
    assert (None, tuple(each.verdict for each in found.rules)) == judge(facts, policy, now=NOW)
    [(_, known)] = facts_of_keys(an_account(), "aws", a_user_with(a_key(), mfa=False), NOW)
    told = explain(known, policy, now=NOW)
    assert (told.classes, told.class_unknown) == (("machine",), None)


def test_a_condition_whose_parts_do_not_stand_alone_is_told_as_a_whole() -> None:
    when = "dyn(user.root) || key.active"
    [(_, facts)] = facts_of_keys(an_account(), "aws", a_user_with(a_key()), NOW)

    [told] = (
        explain(facts, compiled(a_policy(a_rule(when=when))), now=NOW).rules[0].parts["machine"]
    )

    assert (told.text, told.value) == (when, "true")
    assert told.facts == {"key.active": "true", "user.root": "false"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (3, "3"),
        ("a", '"a"'),
        (["a", "b"], '["a", "b"]'),
        ({"a": "b", "c": "d"}, '{"a": "b", "c": "d"}'),
        (datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=2))), "2026-01-02T01:00:00Z"),
        (timedelta(days=1, hours=2, minutes=3, seconds=4), "1d 2h 3m 4s"),
        (timedelta(microseconds=5), "0.000005s"),
        (timedelta(seconds=60), "1m"),
        (timedelta(), "0s"),
    ],
)
def test_values_are_told_as_the_language_writes_them(value: object, text: str) -> None:
    assert shown(value) == text


@pytest.mark.usefixtures("tokyo")
def test_instants_are_told_in_utc_wherever_the_machine_stands() -> None:
    assert shown(NOW) == "2026-11-24T12:00:00Z"


def test_the_uses_of_a_key_are_of_three_kinds() -> None:
    assert {Used, NeverUsed, Unknown} == {type(each) for each in (used(), NeverUsed(), DENIED)}


# --- parameters -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (False, "false"), (3, "3"), ("90d", "90d"), (["a", "b"], "a, b")],
)
def test_a_parameter_is_told_as_the_policy_writes_it(value: object, text: str) -> None:
    assert parameters.written(value) == text
    assert parameters.fill("so {x}!", {"x": value}) == f"so {text}!"


def test_a_parameter_has_the_type_that_its_value_looks_like() -> None:
    params = "{max_age: 90d, flag: true, number: 3, text: abc, names: [alice]}"
    whens = (
        "params.flag",
        "params.number + 1 == 4",
        'params.text.startsWith("ab")',
        "user.name in params.names",
        "key.age > params.max_age",
    )
    rules = [
        a_rule(f"r{at}", "PLACE").replace("'PLACE'", f"|\n      {when}")
        for at, when in enumerate(whens)
    ]

    found = verdicts(compiled(a_policy(*rules).replace("{max_age: 90d}", params)))

    assert {each.kind for each in found} == {VerdictKind.VIOLATION}


@pytest.mark.parametrize("title", ["{x!r}", "{x:>9}", "{x.y}", "{x[0]}", "{y}", "{}"])
def test_a_title_takes_plain_names_alone(title: str) -> None:
    with pytest.raises(KeyError):
        parameters.fill(title, {"x": "1"})


def test_a_title_that_is_not_well_formed_names_nothing() -> None:
    assert parameters.named_in("{a} and {b}") == ["a", "b"]
    assert parameters.named_in("{a") == []
    assert parameters.fill("{{x}} {x}", {"x": 1}) == "{x} 1"


# --- extended policies ----------------------------------------------------------------------


def extended(more: str) -> str:
    return f"apiVersion: iamaudit/v1\nid: x\ntitle: T\nextends: strict\n{more}"


def test_a_parameter_beside_the_packs_that_a_condition_or_title_looks_at_is_taken() -> None:
    rule = "{id: r, title: 'Ask {team}', severity: low, when: key.age > params.mine}"
    text = extended(f"params: {{mine: 5d, team: ops}}\nrules: [{rule}]")

    assert load(text, source="house.yaml", read_pack=read_pack).rules[-1].title == "Ask ops"


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("params: {max_age: 3}", "house.yaml:5:19: max_age must be a duration, not a int"),
        (
            "classes: [{class: a, when: user.mfa}, {class: a, when: user.mfa}]",
            "house.yaml:5:39: 'a' is defined twice",
        ),
        (
            "classes: [{class: a, when: user.mfa, params: {max_age: 1}}]",
            "house.yaml:5:56: max_age must be a duration, not a int",
        ),
        (
            "classes: [{class: a, when: user.mfaa}]",
            "house.yaml:5:32: undeclared reference to 'user.mfaa' (did you mean user.mfa?)",
        ),
        (
            "rules: [{id: key-too-old, classes: {root: {max_age: 1}}}]",
            "house.yaml:5:53: max_age must be a duration, not a int",
        ),
        (
            "rules: [{id: fresh, title: T, severity: low}]",
            "house.yaml:5:9: the rule 'fresh' lacks when",
        ),
        (
            "rules: [{id: fresh, title: T, when: key.active}]",
            "house.yaml:5:9: the rule 'fresh' lacks severity",
        ),
        (
            "exemptions: [{title: x, user: a, reason: r, owner: o, expires: 2027-01-31}]\n"
            "params: {max_agee: 1d}",
            "house.yaml:5:15: exemptions.0.title: Extra inputs are not permitted",
        ),
    ],
)
def test_a_mistake_in_what_a_policy_changes_is_told_in_its_place(more: str, told: str) -> None:
    assert told in refusal(extended(more))[0]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (
            "exemptions: [{title: x, user: a, reason: r, owner: o, expires: 2027-01-31}]",
            "exemptions.0.title: Extra inputs are not permitted",
        ),
        (
            "rules: [{id: key-too-old, params: {1: 2}}]",
            "rules.0.params.1.[key]: Input should be a valid string",
        ),
        (
            "rules: [{id: key-too-old, params: {A: 2}}]",
            "rules.0.params.A.[key]: String should match pattern",
        ),
        (
            "classes: [{class: 1.5, when: user.mfa}]",
            "classes.0.class: Input should be a valid string",
        ),
        ("rules: [5]", "rules.0: Input should be a valid dictionary"),
    ],
)
def test_a_member_that_is_none_hides_no_other_mistake(more: str, told: str) -> None:
    first, *_, last = refusal(extended(f"{more}\nparams: {{max_age: 1.5, max_agee: 1d}}"))[0]

    assert first.partition(": ")[2].startswith(told)
    assert first.startswith("house.yaml:5:")
    assert last == (
        "house.yaml:6:34: nothing looks at the parameter 'max_agee' (did you mean max_age?)"
    )


def test_a_rule_of_the_pack_that_a_change_breaks_is_told_where_it_extends() -> None:
    def packs(_: str) -> str:
        return a_policy(a_rule().replace("Too old", "Older than {x}")).replace(
            "{max", "{x: 1d, max"
        )

    text = "apiVersion: iamaudit/v1\nid: x\ntitle: T\nextends: ours\nparams: {x: 3}"

    with pytest.raises(PolicyError) as caught:
        load(text, source="house.yaml", read_pack=packs)
    assert str(caught.value) == "house.yaml:5:13: x must be a duration, not a int"


def test_mistakes_in_what_is_taken_over_are_told_where_the_pack_is_named() -> None:
    def packs(_: str) -> str:
        return a_policy(a_rule(controls="[odd]"), head="classes: [{class: root, when: user.mfa}]")

    with pytest.raises(PolicyError) as caught:
        load(
            "apiVersion: iamaudit/v1\nid: x\ntitle: T\nextends: ours",
            source="house.yaml",
            read_pack=packs,
        )

    assert str(caught.value).splitlines() == [
        "house.yaml:4:10: the class 'root' is built in",
        "house.yaml:4:10: 'odd' is no control: write framework:id, as in cis-aws-5.0.0:1.13",
    ]


def test_a_pack_with_thresholds_by_class_keeps_its_controls_where_nothing_is_changed() -> None:
    def packs(_: str) -> str:
        return a_policy(
            a_rule(controls="['our-own:1']"),
            head="classes: [{class: human, when: user.mfa, params: {max_age: 300d}}]",
        )

    def controls(more: str) -> tuple[str, ...]:
        text = f"apiVersion: iamaudit/v1\nid: x\ntitle: T\nextends: ours\n{more}"
        return load(text, source="house.yaml", read_pack=packs).rules[0].controls

    assert controls("") == ("our-own:1",)
    assert controls("classes: [{class: human, when: user.mfa, params: {max_age: 1d}}]") == ()


def test_a_rule_keeps_those_values_of_the_pack_that_it_does_not_change() -> None:
    def packs(_: str) -> str:
        classes = "{root: {max_age: 3d}, machine: {max_age: 4d}}"
        rule = a_rule(params="{max_age: 1d, least: 2d}", classes=classes)
        return a_policy(rule).replace("{max_age: 90d}", "{max_age: 90d, least: 9d}")

    rule = "{id: old, params: {max_age: 5d}, classes: {root: {max_age: 6d}}}"
    text = f"apiVersion: iamaudit/v1\nid: x\ntitle: T\nextends: ours\nrules: [{rule}]"
    [found] = load(text, source="house.yaml", read_pack=packs).rules

    day = timedelta(days=1)
    assert {
        name: [values["params.max_age"], values["params.least"]]
        for name, values in found.values.items()
    } == {"root": [6 * day, 2 * day], "machine": [4 * day, 2 * day]}


def test_a_pack_that_a_policy_brings_along_stands_for_the_one_of_that_name() -> None:
    text = "apiVersion: iamaudit/v1\nid: x\ntitle: T\nextends: baseline"
    source = PolicySource(
        name="house.yaml", text=text, packs={"baseline": a_policy(a_rule("mine"))}
    )

    [policy] = compose([source], read_pack)

    assert [rule.id for rule in policy.rules] == ["mine"]


def test_what_a_policy_says_of_itself_is_kept() -> None:
    policy = compiled(a_policy().replace("title: House", "description: Why\ntitle: House"))

    assert policy.description == "Why"
    assert (policy.stamp.id, policy.stamp.title) == ("house", "House rules")
    assert policy.stamp.params == {"max_age": "90d"}
    assert policy.source.name == "house.yaml"
    assert (policy.rules[0].severity, policy.rules[0].remedy) == (Severity.MEDIUM, Remedy.NONE)
    told = compiled(a_policy(a_rule(remedy="deactivate")))
    assert told.rules[0].remedy is Remedy.DEACTIVATE


def test_a_policy_is_known_by_the_hash_of_its_text_and_of_its_packs() -> None:
    pack = a_policy(a_rule("mine"))
    text = "apiVersion: iamaudit/v1\nid: x\ntitle: T\nextends: ours"

    alone = load(pack, source="house.yaml", read_pack=read_pack)
    over = load(text, source="house.yaml", read_pack=lambda _: pack)

    assert alone.stamp.sha256 == sha256(pack.encode()).hexdigest()
    assert over.stamp.sha256 == sha256(f"{text}\0{pack}".encode()).hexdigest()


def test_controls_that_are_given_with_a_threshold_stay() -> None:
    rule = "{id: key-too-old, controls: ['our-own:1'], params: {max_age: 5d}}"
    other = "{id: key-too-old, params: {max_age: 5d}}"

    def controls(written: str) -> tuple[str, ...]:
        policy = load(extended(f"rules: [{written}]"), source="x", read_pack=read_pack)
        return next(each.controls for each in policy.rules if each.id == "key-too-old")

    assert controls(rule) == ("our-own:1",)
    assert controls(other) == ()


def test_a_test_of_a_policy_may_expect_an_exemption() -> None:
    policy = exempting("user: alice", head="")
    text = (
        "apiVersion: iamaudit/v1\npolicies: [x]\ncases:\n"
        "  - {name: n, facts: {user.name: alice, key.age: 100d}, expect: {old: exempt}}"
    )
    parsed, placed = cases.parse(text, source="x")
    [case] = cases.read(parsed, placed, [policy], source="x", now=NOW)

    assert cases.differences(case, [policy], now=NOW) == []
    [late] = cases.differences(case, [policy], now=NOW + timedelta(days=900))
    assert (late.expected, late.found) == ("exempt", "violation")


def test_a_class_that_can_not_be_decided_names_itself() -> None:
    head = "classes: [{class: odd, when: 1 / user.active_keys > 0}]"

    told, hint = broken(compiled(a_policy(head=head)), a_key(active=False))

    assert told == "class 'odd' of policy 'house' failed: INVALID_ARGUMENT: divide by zero"
    assert hint == "mend its condition"
