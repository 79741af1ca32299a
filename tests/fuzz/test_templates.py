"""Templates of the operator's: in the sandbox, whatever they try."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.formats.stream import ReportStream
from auditor.formats.user_template import read_template
from auditor.store.report import StoredReport
from auditor.store.runs import SqliteRunStore
from tests.fuzz.stores import a_store
from tests.fuzz.trials import inputs, mangled, trial

GOOD = (
    b"{% for key in keys if key.status == 'Active' %}{{ key.user_name|upper }} {{ loop.index }}\n"
    b"{% endfor %}{{ run.started_at|instant }} {{ coverage.accounts|tojson }} {{ summary.open }}\n"
    b"{% macro m(x) %}{{ x }}{% endmacro %}{{ m(1) }}{% include 'other.j2' ignore missing %}"
)
WORDS = [
    "{{", "}}", "{%", "%}", "for k in keys", "endfor", "if", "endif", "k", "keys", "run", "|", ".",
    "tojson", "number", "instant", "upper", "(", ")", "[", "]", "'", "1", "0", "/", "%", "loop",
    "self", "__class__", "attr('x')", "set x = 1", "x", "include '../x'", "macro m()", "endmacro",
    "range(3)", "rules", "findings", "+", "*", "==", "~", "sum", "sort", "{#", "#}", "\n",
]  # fmt: skip


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReportStream]:
    path = tmp_path_factory.mktemp("store") / "iamaudit.db"
    run_id = a_store(path)
    store = SqliteRunStore(path)
    yield StoredReport(store.connection, run_id, version="0")
    store.close()


def written(document: ReportStream, folder: Path, text: bytes) -> str:
    file = folder / "mine.txt.j2"
    file.write_bytes(text)
    out = io.StringIO()
    with trial("templates"):
        read_template(file).write(document, out)
    return out.getvalue()


_SENTENCES = st.lists(st.sampled_from(WORDS), max_size=16).map(" ".join).map(str.encode)


@inputs(200)
@given(
    text=mangled([GOOD])
    | st.lists(st.sampled_from(WORDS), max_size=16).map(" ".join).map(str.encode)
)
def test_a_mangled_template_is_filled_or_refused(
    document: ReportStream, tmp_path_factory: pytest.TempPathFactory, text: bytes
) -> None:
    written(document, tmp_path_factory.getbasetemp(), text)


@pytest.mark.parametrize(
    "text",
    [
        "{{ run.__class__.__mro__ }}",
        "{{ keys.__init__.__globals__ }}",
        "{{ ''.__class__.__base__.__subclasses__() }}",
        "{{ keys|attr('_rows') }}",
        "{{ (keys|attr('__iter__'))()|attr('gi_frame') }}",
        "{{ '{0.__class__}'.format(run) }}",
        "{{ '{0.__class__}'|format(run) }}",
        "{{ ''.format_map }}{{ ('{x.__class__}').format_map({'x': run}) }}",
        "{% set x = run.update({'id': 'mine'}) %}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ lipsum.__globals__ }}",
        "{{ self._TemplateReference__context }}",
        "{{ instant.__globals__ }}",
        "{% include '/etc/passwd' %}",
        "{% include '../../../../etc/passwd' %}",
        "{% import 'os' as os %}",
        "{% for a in range(10**9) %}{% endfor %}",
    ],
)
def test_a_template_that_tries_to_get_out_is_refused(
    document: ReportStream, tmp_path: Path, text: str
) -> None:
    said = written(document, tmp_path, text.encode())

    for secret in ("<class", "root:", "object at", "uid=", "mine"):
        assert secret not in said
