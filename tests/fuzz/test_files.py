"""Files of operators: read, or refused with one line that says where and how to mend it."""

import json
from datetime import UTC, datetime

import orjson
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from auditor.errors import AuditError
from auditor.model.run import PolicySource
from auditor.policy import cases
from auditor.policy.compose import compose
from auditor.policy.loader import load
from auditor.store import plan_file
from auditor.targets.file import read_accounts
from auditor.wiring.policies import read_pack
from tests.builders import NOW, a_key, a_user_with, an_account
from tests.fuzz.trials import PLAIN, iamaudit, inputs, mangled, reshaped, trial
from tests.policy.strategies import Scene, judge

POLICY = """\
apiVersion: iamaudit/v1
id: house
title: House rules
extends: baseline
params: {max_age: 60d, names: [a, b], grace: 3}
classes:
  - {class: human, when: user.password_enabled, params: {max_age: 30d}}
rules:
  - id: key-too-old
    severity: high
    params: {max_age: 20d}
    classes: {human: {max_age: 10d}}
  - id: old-service
    title: Older than {max_age}
    severity: low
    when: |
      key.active && key.age > params.max_age
        && user.groups.exists(g, g in params.names) && size(params.names) > params.grace
    remedy: deactivate
    controls: ["cis-aws-5.0.0:1.13"]
exemptions:
  - {account: "1111*", user: svc-*, tags: {keep: "y*"}, rules: [key-too-old], reason: r, owner: o,
     expires: 2027-01-31}
  - {when: 'user.name == "amy"', reason: r, owner: o, expires: 2027-01-31T10:00:00+02:00}
"""
CASES = """\
apiVersion: iamaudit/v1
policies: [baseline]
now: 2026-11-24
cases:
  - name: an old key
    facts: {key.active: true, key.age: 91d, key.last_used.state: used, key.idle: 1d 2h,
            user.tags: {a: b}, user.groups: [x], key.created: null}
    class: machine
    expect: {key-too-old: violation, key-unused: pass}
"""
ACCOUNTS = [
    b'accounts:\n- id: "111111111111"\n  name: prod\n  role_arn: arn:aws:iam::111111111111:role/r\n'
    b'  external_id: abc\n  tags: {a: b}\n- {id: "222222222222", profile: p}\n',
    b'[{"id": "111111111111", "name": "x"}]',
    b'accounts:\n- account_id: "111111111111"\n  name: x\n  role: [r]\n  tags: ["a:b", "c"]\n'
    b"  regions: [eu-west-1]\n  vars: {x: 1}\nsubscriptions: []\n",
]
SETTINGS = b"""\
accounts = ["org", "@accounts.yaml"]
fail-on = "high"
max_share = 0.5
quiet = true
now = 2026-01-01T00:00:00Z
[scan]
concurrency = 4
[keys.list]
region = "eu-west-1"
"""
TEMPLATE = (
    b"{% for key in keys if key.status == 'Active' %}{{ key.user_name|upper }} {{ loop.index }}\n"
    b"{% endfor %}{{ run.started_at|instant }} {{ coverage.accounts|tojson }} {{ summary.open }}\n"
    b"{% macro m(x) %}{{ x }}{% endmacro %}{{ m(1) }}{% include 'other.j2' ignore missing %}"
)


def a_scene() -> Scene:
    return Scene(account=an_account(), user=a_user_with(a_key(days_old=200), tags={"keep": "yes"}))


def tried_policy(text: str) -> None:
    with trial("policies"):
        policy = load(text, source="house.yaml", read_pack=read_pack)
        judge(a_scene(), policy, now=NOW)


@inputs(250)
@given(text=mangled([POLICY.encode()]))
def test_a_mangled_policy_is_taken_or_refused_with_its_place(text: bytes) -> None:
    tried_policy(text.decode("utf-8", "replace"))


@inputs(80)
@given(data=reshaped(yaml.safe_load(POLICY)))
def test_a_policy_of_another_shape_is_taken_or_refused(data: object) -> None:
    tried_policy(yaml.safe_dump(data, allow_unicode=True))


@inputs(60)
@given(data=PLAIN)
def test_data_that_is_no_policy_is_refused(data: object) -> None:
    tried_policy(yaml.safe_dump(data))


WORDS = [
    "key.age", "key.idle", "params.x", "user.tags", "user.groups", "days(1)", "now", "true", "(",
    ")", "&&", "||", "!", "?", ":", "[", "]", ".map(a,", ".exists(a,", ".all(a,", "a", "+", "-",
    "*", "/", "%", "==", "<", "in", '"x"', "r'\\'", "'''", "//", "1", "9223372036854775807", "1u",
    "1.5", "duration('1s')", "timestamp('x')", ".size()", "has(user.tags.x)", "user.tags['x']", ",",
    "{", "}", "dyn(1)", "null", "b'\\xff'", "matches('(a*)*')", ".", "string(", "int(", "type(",
    "\n",
]  # fmt: skip


@inputs(400)
@given(words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=14))
def test_words_of_cel_in_any_order_are_decided_or_refused(words: list[str]) -> None:
    rule = {"id": "a", "title": "T", "severity": "low", "when": " ".join(words)}
    document = {"apiVersion": "iamaudit/v1", "id": "x", "title": "T", "rules": [rule]}
    tried_policy(json.dumps({**document, "params": {"x": "3d"}}))


@inputs(150)
@given(text=mangled([CASES.encode()]))
def test_a_mangled_file_of_cases_is_taken_or_refused(text: bytes) -> None:
    with trial("tests of policies"):
        document, placed = cases.parse(text.decode("utf-8", "replace"), source="cases.yaml")
        source = PolicySource(name="baseline", text=read_pack("baseline"))
        policies = compose([source], read_pack)
        at = cases.instant_of(document, NOW)
        for case in cases.read(document, placed, policies, source="cases.yaml", now=at):
            cases.differences(case, policies, now=at)


@inputs(400)
@given(text=mangled(ACCOUNTS) | st.binary(max_size=60))
def test_a_mangled_list_of_accounts_is_read_or_refused(
    text: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.getbasetemp() / "accounts.yaml"
    file.write_bytes(text)

    with trial("accounts files"):
        assert read_accounts(file)


@inputs(150)
@given(data=st.sampled_from([yaml.safe_load(each) for each in ACCOUNTS]).flatmap(reshaped))
def test_a_list_of_accounts_of_another_shape_is_read_or_refused(
    data: object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.getbasetemp() / "accounts.yaml"
    file.write_text(yaml.safe_dump(data))

    with trial("accounts files"):
        assert read_accounts(file)


@inputs(80)
@given(text=mangled([SETTINGS]) | st.binary(max_size=60))
def test_a_mangled_iamaudit_toml_is_read_or_refused(
    text: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.getbasetemp() / "settings.toml"
    file.write_bytes(text)

    said = iamaudit("iamaudit.toml", "--config", str(file), "policy", "list")

    assert said.code in {0, 2}
    assert said.code == 0 or len(said.err.splitlines()) == 1


PLAN = {
    "schema_version": 1,
    "id": "plan-1",
    "run": "run-1",
    "created_at": "2026-11-24T12:00:00Z",
    "expires_at": "2026-11-25T12:00:00Z",
    "judged_at": "2026-11-24T12:00:00Z",
    "scanned_at": "2026-11-24T12:00:00Z",
    "partition": "aws",
    "policies": {"baseline": "0" * 64},
    "protection": {"patterns": ["break-glass*"], "tag": None},
    "actions": [
        {
            "id": "a" * 16,
            "account_id": "111111111111",
            "user_name": "amy",
            "user_arn": "arn:aws:iam::111111111111:user/amy",
            "access_key_id": "AKIAIOSFODNN7EXAMPLE",
            "kind": "deactivate",
            "because": ["key-unused"],
            "expected": {
                "status": "Active",
                "created_at": "2025-01-01T00:00:00Z",
                "last_used": {
                    "state": "used",
                    "at": "2025-02-01T00:00:00Z",
                    "service": "s3",
                    "region": "eu-west-1",
                    "operation": None,
                    "code": None,
                },
            },
            "reversible": True,
        }
    ],
    "held": [],
    "undoes": None,
}


def signed(document: object) -> bytes:
    """A plan with a digest that fits, as somebody who means harm would write it."""
    if isinstance(document, dict):
        text = json.dumps(document)
        document = {**orjson.loads(text), "sha256": plan_file.digest(orjson.loads(text))}
    return json.dumps(document).encode()


@inputs(250)
@given(document=reshaped(PLAN))
def test_a_plan_of_another_shape_with_a_digest_that_fits_is_read_or_refused(
    document: object,
) -> None:
    try:
        text = signed(document)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):  # what JSON can't hold
        return

    with trial("plans"):
        plan, _ = plan_file.parse(text, source="plan.json")
        assert plan_file.render(plan)
        assert plan.expires_at > datetime(1, 1, 2, tzinfo=UTC)


@inputs(250)
@given(text=mangled([signed(PLAN)]) | st.binary(max_size=60))
def test_a_mangled_plan_is_read_or_refused(text: bytes) -> None:
    with trial("plans"):
        plan_file.parse(text, source="plan.json")


@inputs(60)
@given(text=mangled([signed(PLAN)]))
def test_a_mangled_plan_is_never_applied(
    text: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.getbasetemp() / "plan.json"
    file.write_bytes(text)

    said = iamaudit("plans", "apply", str(file), "--yes", "--store", str(file) + ".db")

    assert said.code == 2
    assert len(said.err.splitlines()) == 1


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/null", "/", "/proc/self/mem"])
@pytest.mark.parametrize(
    "arguments",
    [["policy", "check"], ["policy", "test"], ["accounts", "--accounts"], ["policy", "list"]],
    ids=["policy", "cases", "accounts", "settings"],
)
def test_a_path_that_leads_to_no_file_of_ours_is_refused_at_once(
    name: str, arguments: list[str]
) -> None:
    if arguments == ["policy", "list"]:
        arguments = ["--config", name, *arguments]
    else:
        arguments = [*arguments, f"@{name}" if "--accounts" in arguments else name]

    said = iamaudit("paths", *arguments)

    assert said.code == 2 or name == "/dev/null"
    assert len(said.err.splitlines()) <= 1


@pytest.mark.parametrize("member", ["created_at", "expires_at", "judged_at", "scanned_at"])
def test_a_time_without_a_zone_is_no_time_of_a_plan(member: str) -> None:
    text = signed({**PLAN, member: "2026-11-24T12:00:00"})

    with pytest.raises(AuditError, match="is no plan"):
        plan_file.parse(text, source="plan.json")
