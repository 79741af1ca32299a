"""What was found for one key holds for others with the same answers, and for no others."""

from collections.abc import Mapping
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.policy.cel import Activation, Conditions, Environment, FactType, Unbound
from auditor.policy.questions import questions
from tests.quick_first import capped

NAMES = {
    "a": FactType.BOOL,
    "k.b": FactType.BOOL,
    "k.age": FactType.DURATION,
    "k.idle": FactType.DURATION,
    "n": FactType.INT,
    "s": FactType.STRING,
    "names": FactType.STRINGS,
    "params.flag": FactType.BOOL,
    "params.most": FactType.DURATION,
    "params.number": FactType.INT,
    "params.text": FactType.STRING,
    "params.texts": FactType.STRINGS,
}
ENVIRONMENT = Environment(NAMES)
FLAGS = ENVIRONMENT.of_type(FactType.BOOL)
COMPARABLE = ENVIRONMENT.of_type(FactType.INT, FactType.STRING, FactType.DURATION)


def asked(*texts: str) -> bool:
    for text in texts:
        ENVIRONMENT.compile(text)
    return questions(texts, flags=FLAGS, comparable=COMPARABLE) is not None


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "!a && (k.b || params.flag)",
        " k.age>params.most ",
        "\n a &&\n k.age >= params.most",
        "k.age <= days(90) && k.idle > days(1)",
        's == "used" || s != "" || s < params.text',
        "n > 1 && n != params.number",
        "a && true",
    ],
)
def test_flags_and_comparisons_with_something_fixed_are_told_apart_by_their_answers(
    text: str,
) -> None:
    assert asked(text)


@pytest.mark.parametrize(
    "text",
    [
        "k.age > k.idle",
        "params.most < k.age",
        "k.age > params.most + days(1)",
        "k.age + days(1) > params.most",
        "k.age - k.idle > params.most",
        "-n > 1",
        "n > -1",
        "n + 1 > params.number",
        "n > 1 + n",
        "n > 0x1",
        "(n) > 1",
        "(n > 1) == a",
        "n > 1 == a",
        "!a == k.b",
        "a == k.b",
        "a == true",
        "true == a",
        "a ? k.b : a",
        's == r"x"',
        r's == "\x78"',
        's == """x"""',
        "s == 'x'",
        's.startsWith("x")',
        '"x" in names',
        "s in names",
        "names == params.texts",
        "size(names) > 1",
        "names.all(a, a == s)",
        "n in [1, 2]",
        "k.age > duration('1h')",
        "k.b // || true",
        "k . b",
        ".k.b",
        "dyn(a) == true",
        "[a][0]",
    ],
)
def test_what_is_written_otherwise_is_asked_for_each_key(text: str) -> None:
    assert not asked(text)
    assert not asked("a", text)


def test_text_that_looks_like_a_condition_is_text() -> None:
    assert asked('s == "k.age > k.idle && (" && a')
    assert asked('s != "// no comment"')


def _comparison(name: str, other: str) -> st.SearchStrategy[str]:
    operators = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
    return operators.map(lambda operator: f"{name} {operator} {other}")


_TERMS = st.one_of(
    st.sampled_from(["a", "k.b", "params.flag", "true", "false"]),
    _comparison("k.age", "params.most"),
    _comparison("k.idle", "params.most"),
    _comparison("k.idle", "days(2)"),
    _comparison("n", "params.number"),
    _comparison("n", "1"),
    _comparison("s", "params.text"),
    _comparison("s", '"b"'),
)
_CONDITIONS = st.recursive(
    _TERMS,
    lambda inner: st.one_of(
        inner.map("!({})".format),
        st.tuples(inner, st.sampled_from(["&&", "||"]), inner).map(
            lambda each: "({} {} {})".format(*each)
        ),
    ),
    max_leaves=6,
)
_SPANS = st.integers(0, 4).map(lambda days: timedelta(days=days))
_KNOWN = st.fixed_dictionaries(
    {
        "params.flag": st.booleans(),
        "params.most": _SPANS,
        "params.number": st.integers(0, 3),
        "params.text": st.sampled_from("abc"),
    },
    optional={
        "a": st.booleans(),
        "k.b": st.booleans(),
        "k.age": _SPANS,
        "k.idle": _SPANS,
        "n": st.integers(0, 3),
        "s": st.sampled_from("abc"),
    },
)


@capped(150)
@given(st.lists(_CONDITIONS, min_size=1, max_size=4), st.lists(_KNOWN, min_size=2, max_size=30))
def test_what_was_told_before_is_what_each_condition_comes_to(
    texts: list[str], keys: list[Mapping[str, object]]
) -> None:
    conditions = [ENVIRONMENT.compile(text) for text in texts]
    together = Conditions(ENVIRONMENT, conditions)
    assert asked(*texts)

    for values in keys * 2:  # the second time all is told from memory
        facts = Activation(ENVIRONMENT, values)
        singly = [condition.decide(facts) for condition in conditions]
        for told, alone in zip(together.decide(facts), singly, strict=True):
            assert told is alone or (told is None and isinstance(alone, bool | Unbound))
            assert told is not None or not all(each.facts <= values.keys() for each in conditions)
