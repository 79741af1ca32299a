"""Key age and idle time as bars: every key in one, the rules' thresholds where they are."""

import pytest

from auditor.formats.charts import Threshold, charts, thresholds
from auditor.formats.stream import Row
from auditor.model.ageing import EDGES, Ageing, Count, Spread

NOTHING = Count(active=0, inactive=0)
BASELINE = {"max_age": "90d", "max_idle": "45d", "grace": "30d"}
OLD = {"id": "old", "when": "key.active && key.age > params.max_age"}
UNUSED = {"id": "unused", "when": "key.age > params.max_idle && key.idle > params.max_idle"}


def a_spread(*totals: int, never: int = 0, unknown: int = 0) -> Spread:
    bins = [Count(active=total, inactive=0) for total in totals]
    bins += [NOTHING] * (len(EDGES) + 1 - len(bins))
    return Spread(
        bins=tuple(bins),
        never=Count(active=never, inactive=0),
        unknown=Count(active=0, inactive=unknown),
    )


def test_there_is_a_row_for_each_length_of_time_and_for_what_has_none() -> None:
    age = a_spread(1, 2, 3, 4, 5, 6, 7, 8, unknown=9)
    idle = a_spread(10, never=20, unknown=30)

    by_age, by_use = charts(Ageing(age=age, idle=idle), [], [])

    assert [(bar.label, bar.count.total) for bar in by_age.bars] == [
        ("up to 30 days", 1),
        ("31 to 45 days", 2),
        ("46 to 60 days", 3),
        ("61 to 90 days", 4),
        ("91 to 180 days", 5),
        ("181 to 365 days", 6),
        ("366 to 730 days", 7),
        ("over 730 days", 8),
        ("Unknown", 9),
    ]
    assert [(bar.label, bar.count.total) for bar in by_use.bars[-2:]] == [
        ("Never used", 20),
        ("Unknown", 30),
    ]
    assert by_age.sentence == "15 made more than a year ago, 9 unknown"
    assert by_use.sentence == "0 last used more than a year ago, 20 never used, 30 unknown"
    assert (by_age.longest, by_use.longest) == (9, 30)


def test_a_chart_without_keys_can_be_drawn() -> None:
    empty = a_spread()

    assert [chart.longest for chart in charts(Ageing(age=empty, idle=empty), [], [])] == [1, 1]


def test_thresholds_stand_in_the_row_that_they_end_or_lie_in() -> None:
    rules = [OLD, UNUSED, {"id": "ancient", "when": "key.age >= days(100)"}]
    policies = [{"params": BASELINE}]

    by_age, by_use = charts(Ageing(age=a_spread(), idle=a_spread()), rules, policies)

    assert {bar.label: bar.thresholds for bar in by_age.bars if bar.thresholds} == {
        "61 to 90 days": (Threshold(days=90, rules=("old",)),),
        "91 to 180 days": (Threshold(days=100, rules=("ancient",)),),
    }
    assert [bar.label for bar in by_use.bars if bar.thresholds] == ["31 to 45 days"]


@pytest.mark.parametrize(
    ("rules", "params", "days"),
    [
        ([OLD], [{"max_age": "2w"}], [14]),
        ([OLD], [{"max_age": "36h"}], [1.5]),
        ([OLD], [{"max_age": "90d"}, {"max_age": "30d"}], [30, 90]),
        ([OLD], [{"max_age": "whenever"}], []),
        ([OLD], [{}], []),
        ([UNUSED], [BASELINE], []),
        ([{"id": "x", "when": "key.active && user.root"}], [BASELINE], []),
    ],
)
def test_thresholds_of_age_are_read_off_rules_and_parameters(
    rules: list[Row], params: list[dict[str, str]], days: list[float]
) -> None:
    assert [each.days for each in thresholds(rules, params, "age")] == days


def test_rules_with_the_same_threshold_share_it() -> None:
    again = OLD | {"id": "old-too"}

    assert thresholds([OLD, again, OLD], [BASELINE], "age") == [
        Threshold(days=90, rules=("old", "old-too"))
    ]
