"""Policies of somebody who means harm: refused with their place, in little time and memory."""

import subprocess
import sys

import pytest

from auditor.errors import PolicyError
from auditor.policy.growth import growth
from auditor.policy.loader import load
from auditor.policy.parts import without_literals
from auditor.wiring.policies import read_pack
from tests.builders import NOW, a_key, a_policy, a_rule, a_user_with, an_account, compiled
from tests.policy.strategies import Scene, judge

LONG = "[" + ", ".join(["1"] * 300) + "]"


def refused(text: str) -> str:
    with pytest.raises(PolicyError) as caught:
        load(text, source="house.yaml", read_pack=read_pack)
    return str(caught.value)


def doubling(times: int, first: str = '["x"]') -> str:
    return first + ".map(a, a + a)" * times + ".size() > 0"


def test_aliases_that_make_of_a_small_file_an_endless_one_are_refused_where_they_do() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]

    assert refused("\n".join(lines)) == "house.yaml:1:28: its aliases repeat too much"


def test_merges_that_double_each_other_are_refused() -> None:
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 9)]

    assert "its aliases repeat too much" in refused("\n".join(lines))


def test_an_alias_that_saves_writing_is_taken() -> None:
    text = a_policy(
        "  - {id: a, title: T, severity: &s low, when: &w key.active}",
        "  - {id: b, title: T, severity: *s, when: *w}",
    )

    assert [rule.when.text for rule in compiled(text).rules] == ["key.active"] * 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\nbc: \x00", "house.yaml:2:5: the character U+0000 can't be in YAML"),
        ("a: 1\nb: 2\ncd: \x00", "house.yaml:3:5: the character U+0000 can't be in YAML"),
        ("\x1b[31m", "house.yaml:1:1: the character U+001B can't be in YAML"),
        ("[" * 5000, "house.yaml:1:1: not a value"),
        ("!!python/object/apply:os.system [id]", "could not determine a constructor"),
    ],
)
def test_what_no_yaml_may_hold_is_named_with_its_place(text: str, told: str) -> None:
    assert told in refused(text)


def test_more_parameters_than_anybody_needs_are_refused() -> None:
    many = ", ".join(f"p{number}: 1d" for number in range(201))

    text = a_policy().replace("{max_age: 90d}", f"{{max_age: 90d, {many}}}")

    assert "at most 200 items" in refused(text)


@pytest.mark.parametrize(
    "when",
    [
        doubling(9),
        doubling(24, "[[1, 2, 3]]"),
        doubling(9).replace(".map(", " .\n map // (,)\n ("),
        '["x"].exists(a, [a+a+a].exists(b, [b+b+b].exists(c, [c+c+c].all(d, [d+d+d+d].all(e, '
        "[e+e+e].exists_one(f, f == d))))))",
    ],
)
def test_loops_that_multiply_what_they_go_through_are_refused_unseen(when: str) -> None:
    text = a_policy(a_rule(when="true")).replace(
        "'true'", "|\n      " + when.replace("\n", "\n      ")
    )

    assert "house.yaml:11:1: its loops multiply what they go through" in refused(text)


@pytest.mark.parametrize(
    "when",
    [
        doubling(8),
        'user.groups.exists(g, g == "a" || g == "b" || g in ["c", "d"] || g + "x" == "dx")',
        'user.groups.all(g, g != "a.map(b, b + b).map(b, b + b).map(b, b + b).map(b, b + b)")',
        "now - days(1) - days(2) < now + days(3) && [1, 2].exists(n, n == user.active_keys)",
    ],
)
def test_loops_that_people_write_are_taken(when: str) -> None:
    policy = compiled(a_policy(a_rule(when="PLACE")).replace("'PLACE'", f"|\n      {when}"))

    judge(Scene(account=an_account(), user=a_user_with(a_key())), policy, now=NOW)


@pytest.mark.parametrize(
    ("text", "factor"),
    [
        ("key.active", 1),
        ("x.map(a, a + a)", 2),
        ("x.map(a, a == a)", 1),
        ("x.map(a, [a])", 1),
        ("x.map(a, {a: a, 'b': a})", 3),
        ("x.map(a, a + ab + b.a + a_)", 1),
        ("x.filter(a, size(a + a) > 1).map(b, (b + b) + b)", 6),
        ("x.map(a, 'a + a').map(a, a + 'a')", 1),
        ("x.map(a, b) + x.map(a, a)", 1),
        ("x.map(a, a + a", 2),
        ("x.exists(a, size(a + y) > 1) || a == a", 1),
    ],
)
def test_growth_is_how_often_a_loop_puts_its_variable_into_something(
    text: str, factor: int
) -> None:
    assert growth(text) == factor


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('a == "b" && c', "a ==   && c"),
        ("a // b\n&& c", "a  \n&& c"),
        ("a // b", "a  "),
        ("X.map(a, 'a')", "X.map(a,  )"),
        ('r\'\\\' + \'\\\'\' + """a"b""" + d', "r  +   +   + d"),
    ],
)
def test_strings_and_comments_are_no_code(text: str, code: str) -> None:
    assert without_literals(text) == code


def test_a_condition_that_loops_too_long_stops_the_run_and_is_named() -> None:
    endless = f"{LONG}.all(a, {LONG}.all(b, {LONG}.all(c, a == b && b == c)))"
    rules = a_rule("good", "key.active"), a_rule("endless", endless)

    with pytest.raises(PolicyError, match=r"rule 'endless' of policy 'house' failed: .*budget"):
        judge(Scene(account=an_account(), user=a_user_with(a_key())), compiled(a_policy(*rules)))


def test_the_worst_condition_that_is_taken_stays_small() -> None:
    """In a process of its own, which may have half a gigabyte for all it does."""
    when = doubling(8, f'["{"x" * 3800}"]')
    text = a_policy(*(a_rule(f"r{number}", when.replace("'", '"')) for number in range(50)))
    code = (
        "import re, sys\n"
        "from pathlib import Path\n"
        "from tests.policy.test_hostile import *\n"
        "scene = Scene(account=an_account(), user=a_user_with(a_key()))\n"
        "judge(scene, compiled(sys.stdin.read()))\n"
        # Its own: what getrusage tells may be the peak of the process that began it.
        "peak = re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())\n"
        "print(int(peak[1]) // 1024)"
    )

    ran = subprocess.run(
        [sys.executable, "-c", code],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert int(ran.stdout) < 512
