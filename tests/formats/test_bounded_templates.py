"""`--template`: one that never ends, or fills memory, is ended in one line."""

import io
import resource
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from auditor.errors import AuditError
from auditor.formats.bounded import Bounds
from auditor.formats.stream import ReportStream
from auditor.formats.user_template import read_template

SMALL = Bounds(seconds=1.0, memory=200_000_000, text=1_000_000)
LONG = "takes more than 1 seconds of the processor"
LARGE = "needs more than 200,000,000 bytes"
MANY = "writes more than 1,000,000 characters"


def rendered(text: str, folder: Path, document: ReportStream) -> str:
    path, out = folder / "own.txt.j2", io.StringIO()
    path.write_text(text)
    read_template(path, SMALL).write(document, out)
    return out.getvalue()


NESTED = "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}"
TEMPLATES = {
    "one loop": ("{% for i in range(10**9) %}{% endfor %}", "Range too big"),
    "nested loops": (f"{NESTED}{'{% endfor %}' * 3}", LONG),
    "nested loops over keys": (
        "{% for a in range(99999) %}{% for b in range(99999) %}{{ '' if keys|length }}"
        "{% endfor %}{% endfor %}",
        LONG,
    ),
    "loops that write": (
        "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
        MANY,
    ),
    "a power": ("{{ 9 ** (9 ** 9) }}", LONG),
    "a power that is not constant": ("{{ (coverage.keys + 8) ** (9 ** 9) }}", LONG),
    "much of a letter": ("{{ 'x' * 10**9 }}", LARGE),
    "much of a letter, at run time": ("{{ tool.name * 10**9 }}", LARGE),
    "a width": ("{{ '%0999999999d' % 1 }}", LARGE),
    "a width, at run time": ("{{ '%0999999999d'|format(coverage.keys) }}", LARGE),
    "a width in braces": ("{{ '{:>999999999}'.format(coverage.keys) }}", LARGE),
    "a text that doubles": (
        "{% set n = namespace(x='ab') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}"
        "{% endfor %}",
        LARGE,
    ),
    "a list that grows": ("{% for x in [[0] * 10**9] %}{% endfor %}", LARGE),
    "words": ("{{ lipsum(n=9**6) }}", ""),
    "an indent": ("{{ tool|tojson(indent=10**9) }}", LARGE),
    "a centre": ("{{ tool.name|center(10**9) }}", LARGE),
    "a macro that calls itself": (
        "{% macro m(x) %}{{ m(x + 1) }}{% endmacro %}{{ m(1) }}",
        "maximum recursion depth",
    ),
    "two macros that double": (
        "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}"
        "{{ m(50) }}",
        LONG,
    ),
    "a file that includes itself": ("{% include 'own.txt.j2' %}", "maximum recursion depth"),
    "deep brackets": ("{{ " + "(" * 9999 + "1" + ")" * 9999 + " }}", "recursion"),
    "deep blocks": ("{% if 1 %}" * 9999 + "{% endif %}" * 9999, ""),
    "a long number": ("{{ " + "1" * 9999 + " }}", "digits"),
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_that_goes_on_for_ever_or_fills_memory_is_ended_in_one_line(
    name: str, tmp_path: Path, a_document: Callable[..., ReportStream]
) -> None:
    text, told = TEMPLATES[name]
    with pytest.raises(AuditError) as failed:
        rendered(text, tmp_path, a_document())

    assert "own.txt.j2" in str(failed.value)
    assert told in str(failed.value)
    assert "\n" not in str(failed.value)


def test_what_is_bounded_while_it_lasts_is_as_it_was_before(
    tmp_path: Path, a_document: Callable[..., ReportStream]
) -> None:
    kinds = (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_CORE)
    before = [resource.getrlimit(each) for each in kinds]
    for text in ("{{ 1 }}", "{{ 9 ** (9 ** 9) }}", "{{ tool.name * 10**9 }}"):
        try:
            rendered(text, tmp_path, a_document())
        except AuditError:
            continue

    assert [resource.getrlimit(each) for each in kinds] == before
    assert signal.getsignal(signal.SIGPROF) == signal.SIG_DFL
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)


def test_a_step_that_never_comes_back_is_ended_by_the_system(tmp_path: Path) -> None:
    """Lists that hold themselves many times over: 2**60 comparisons in one step."""
    code = """
        from auditor.formats.bounded import Bounds, bounded
        a, b = [1], [1]
        for _ in range(60):
            a, b = [a, a], [b, b]
        with bounded(Bounds(seconds=0.5)):
            a == b
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=tmp_path, check=False, timeout=120
    )

    assert ended.returncode == -signal.SIGXCPU
    assert not list(tmp_path.iterdir())
