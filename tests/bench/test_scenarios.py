"""What the benchmark can't ask the tool without having its memory."""

from auditor.config import FORMATS
from bench import scenarios


def test_every_format_is_measured() -> None:
    assert sorted(scenarios.FORMATS) == sorted(FORMATS)
