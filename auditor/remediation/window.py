"""When keys may be changed: days of the week and hours."""

import re
from dataclasses import dataclass
from datetime import datetime, time
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FORM = re.compile(
    r"(?P<first>[a-z]{3})(?:-(?P<last>[a-z]{3}))?"
    r" (?P<opens>\d\d:\d\d)-(?P<closes>\d\d:\d\d)(?: (?P<zone>\S+))?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A part of each week."""

    text: str
    days: frozenset[int]
    """0 is Monday."""
    opens: time
    closes: time
    """Not in it any more."""
    zone: ZoneInfo

    def open_at(self, at: datetime) -> bool:
        """Whether the instant lies within."""
        there = at.astimezone(self.zone)
        return there.weekday() in self.days and self.opens <= there.time() < self.closes

    def __str__(self) -> str:
        return self.text


def parse_window(text: str) -> Window:
    """Return `Mon-Thu 09:00-16:00 Europe/Berlin`, UTC where no zone is given; raise ValueError."""
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no window")
    try:
        first = _DAYS.index(found["first"].lower())
        last = first if found["last"] is None else _DAYS.index(found["last"].lower())
        opens, closes = time.fromisoformat(found["opens"]), time.fromisoformat(found["closes"])
        zone = ZoneInfo(found["zone"] or "UTC")
    except (OSError, ValueError, ZoneInfoNotFoundError):  # a zone's name is a path to zoneinfo
        raise ValueError(f"{text!r} is no window") from None
    if opens >= closes:
        raise ValueError(f"{text!r} closes before it opens")
    days = range(first, last + 1) if first <= last else (*range(first, 7), *range(last + 1))
    return Window(text=text.strip(), days=frozenset(days), opens=opens, closes=closes, zone=zone)
