"""report.json as text: rows by line, hostile names, streaming."""

import io
import tracemalloc
from collections.abc import Callable, Iterator

import orjson
import pytest

from auditor.formats import json
from auditor.formats.document import Report
from auditor.formats.stream import ReportStream, Row
from auditor.formats.templates import json_batches

Make = Callable[..., Row]
MakeDocument = Callable[..., ReportStream]


def rendered(document: ReportStream) -> str:
    out = io.StringIO()
    json.write(document, out)
    return out.getvalue()


@pytest.mark.parametrize("number", [0, 1, 2, 63, 64, 65, 128, 200])
def test_every_row_has_its_line_however_many_there_are(
    number: int, a_document: MakeDocument, a_key: Make, a_finding: Make
) -> None:
    keys = [a_key(access_key_id=f"AKIA{n:016d}") for n in range(number)]
    findings = [a_finding(access_key_id=f"AKIA{n:016d}") for n in range(number)]

    text = rendered(a_document(keys=keys, findings=findings))  # of one account

    report = Report.model_validate_json(text)
    assert [key.model_dump() for key in report.keys] == keys
    assert [finding.model_dump() for finding in report.findings] == findings
    starts = [line.partition(":")[0] for line in text.split("\n")]
    assert starts.count('{"account_id"') == starts.count('{"id"') - 1 == number


def test_text_is_json_that_may_stand_in_a_page(a_document: MakeDocument, a_key: Make) -> None:
    name = "</script>&'\"\u202e\n🔑"

    text = rendered(a_document(keys=[a_key(user_name=name)]))

    assert orjson.loads(text)["keys"][0]["user_name"] == name
    assert not set("<>&'") & set(text)


def test_no_more_rows_are_read_ahead_than_a_batch() -> None:
    read: list[int] = []

    def rows() -> Iterator[int]:
        for n in range(1_000):
            read.append(n)
            yield n

    first = next(json_batches(rows(), between=","))

    assert len(read) == len(first.split(",")) <= 100


class Sink(io.StringIO):
    """Keeps nothing of what it is given."""

    def write(self, text: str, /) -> int:
        return len(text)


def peak(document: ReportStream) -> int:
    json.write(document, Sink())  # templates and interned names are not the report's
    tracemalloc.start()
    json.write(document, Sink())
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


def test_memory_does_not_grow_with_the_findings(a_document: MakeDocument, a_finding: Make) -> None:
    def many(number: int) -> Callable[[], Iterator[Row]]:
        one = a_finding()
        return lambda: ({**one, "access_key_id": f"AKIA{n:016d}"} for n in range(number))

    few, lots = (a_document(keys=[], findings=many(number)) for number in (2_000, 20_000))

    assert peak(lots) < 1.5 * peak(few)
