"""`--template`: the user's own report, its sandbox and its mistakes."""

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest

from auditor.config import FORMATS, parse_templates, report_file
from auditor.errors import AuditError
from auditor.formats.stream import ReportStream, Row
from auditor.formats.user_template import read_template
from auditor.model.account import OutcomeKind
from auditor.store.output import STORE
from auditor.store.runs import SqliteRunStore
from auditor.wiring.policies import policy_source
from tests.builders import a_key, a_run, a_user_with, an_account, an_inventory, used
from tests.command import Run

Make = Callable[..., Row]
MakeDocument = Callable[..., ReportStream]
Render = Callable[..., str]

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def render(tmp_path: Path, a_document: MakeDocument) -> Render:
    """Return a function that renders a template's text, by default over an unremarkable run."""

    def over(text: str, *, name: str = "own.txt.j2", document: ReportStream | None = None) -> str:
        path, out = tmp_path / name, io.StringIO()
        path.write_text(text, encoding="utf-8")
        read_template(path).write(document or a_document(), out)
        return out.getvalue()

    return over


def test_the_example_tells_what_was_found_and_what_was_not_read(
    a_document: MakeDocument, an_account: Make, a_finding: Make
) -> None:
    lost = an_account(id="222222222222", name="lost", outcome="unreachable", keys=0)
    worst = a_finding(rule_id="root-access-key", user_name="<root_account>", access_key_id=None)
    document = a_document(accounts=[an_account(), lost], findings=[worst, a_finding()])
    out = io.StringIO()

    read_template(ROOT / "templates/examples/summary.txt.j2").write(document, out)

    lines = out.getvalue().splitlines()
    assert lines[0] == "2 open findings, 1 critical. 1 of 2 accounts was not read."
    assert "  not audited whole: 222222222222 lost (unreachable)" in lines
    assert "Open findings: 1 critical, 1 medium" in lines
    assert "CRITICAL 111111111111 <root_account> (root key)" in lines


def test_the_documented_fields_exist(  # noqa: PLR0917 -- fixtures
    render: Render, a_document: MakeDocument, a_finding: Make, an_exemption: Make,
    a_control: Make, a_plan: Make, changes_of: Make,
) -> None:  # fmt: skip
    document = a_document(
        findings=[a_finding()],
        exemptions_given=[an_exemption()],
        compliance_given=[a_control()],
        plan_given=a_plan(),
        changes_given=changes_of(),
    )
    lists = {"accounts", "keys", "findings", "exemptions", "compliance", "rules"}
    table = re.findall(r"^\| `(\w+)` \| (.*) \|$", (ROOT / "docs/templates.md").read_text(), re.M)

    for name, told in table:
        outer = re.sub(r"\([^)]*\)", "", told)
        fields = re.findall(r"`(\w+)(?:\[\])?`", outer)
        first = f"({name}|list)[0]" if name in lists else name
        for field in fields:
            assert render(f"{{{{ {first}.{field} }}}}", document=document) != ""
    assert len(table) == 13


def test_members_come_before_the_methods_of_a_mapping(render: Render) -> None:
    assert render("{{ coverage.keys }} {{ summary.open.items()|length }}") == "1 5"


@pytest.mark.parametrize("suffix", ["html", "htm", "xml", "HTML"])
def test_markup_is_escaped_by_the_name(
    suffix: str, render: Render, a_document: MakeDocument, a_key: Make
) -> None:
    document = a_document(keys=[a_key(user_name="<b>\u202e")])

    text = render("{% for key in keys %}{{ key.user_name }}{% endfor %}",
                  name=f"own.{suffix}.j2", document=document)  # fmt: skip

    assert text == "&lt;b&gt;\\u202e"


def test_other_text_is_not_escaped_but_shows_what_is_hidden(
    render: Render, a_document: MakeDocument, a_key: Make
) -> None:
    document = a_document(keys=[a_key(user_name="<b>\x1b[31m")])

    assert render("{{ (keys|first).user_name }}", document=document) == "<b>\\u001b[31m"


def test_lists_can_be_gone_through_again_and_written_as_json(render: Render) -> None:
    assert render("{% for k in keys %}x{% endfor %}{% for k in keys %}y{% endfor %}") == "xy"
    assert render("{{ keys|length }}{% if not findings %} none{% endif %}") == "1 none"
    assert orjson.loads(render("{{ keys|tojson }}"))[0]["user_name"] == "deploy"


@pytest.mark.parametrize(
    "text",
    [
        "{{ run.__class__.__mro__ }}",
        "{{ keys.__init__.__globals__ }}",
        "{{ keys._rows }}",
        "{{ cycler.__init__.__globals__.os }}",
        "{{ run.update({'id': 1}) }}",
        "{{ rules.append(1) }}",
        "{% set x = run.pop('id') %}",
        "{{ self._TemplateReference__context }}",
    ],
)
def test_a_template_reaches_nothing_but_the_document(text: str, render: Render) -> None:
    with pytest.raises(AuditError) as failed:
        render(f"one\n{text}")

    assert "own.txt.j2:2: " in str(failed.value)


def test_parts_come_from_the_templates_own_folder(tmp_path: Path, render: Render) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/head.txt").write_text("Run {{ run.id }}", encoding="utf-8")

    text = render("{% include 'parts/head.txt' %}")

    assert text == "Run 20260601T100000-4f2a"


@pytest.mark.parametrize("name", ["../secret.txt", "{outside}", "link.txt", "nowhere.txt"])
def test_parts_from_elsewhere_are_refused(name: str, tmp_path: Path, render: Render) -> None:
    outside = tmp_path / "secret.txt"
    outside.write_text("secret")
    (tmp_path / "own").mkdir()
    (tmp_path / "own/link.txt").symlink_to(outside)

    with pytest.raises(AuditError, match="is not in the folder"):
        render(f"{{% include '{name.format(outside=outside)}' %}}", name="own/own.txt.j2")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("one\n{% for %}", "own.txt.j2:2: Expected"),
        ("one\n\n{{ runn.id }}", "own.txt.j2:3: 'runn' is undefined"),
        ("{{ run.idd }}", "own.txt.j2:1: "),
        ("one\n{{ 1 / 0 }}", "own.txt.j2:2: division by zero"),
        ("{{ 'a' + 1 }}", "own.txt.j2:1: "),
        ("{% include 'own.txt.j2' %}", "maximum recursion depth"),
        ("{{ range(999999999)|list }}", "own.txt.j2:1: Range too big"),
    ],
)
def test_a_mistake_is_told_in_one_line_with_its_place(text: str, told: str, render: Render) -> None:
    with pytest.raises(AuditError) as failed:
        render(text)

    assert told in str(failed.value)
    assert "\n" not in str(failed.value)
    assert failed.value.hint


def test_a_template_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match=r"own\.txt\.j2 can't be read"):
        read_template(tmp_path / "own.txt.j2")


@pytest.mark.parametrize("name", ["own.txt", ".j2", "..j2"])
def test_a_template_needs_the_name_of_its_report(name: str, tmp_path: Path) -> None:
    with pytest.raises(AuditError, match=r"does not end in \.j2"):
        read_template(tmp_path / name)


@pytest.mark.parametrize("name", ["report.html.j2", "report.md.j2", "plan.json.j2"])
def test_a_template_does_not_take_the_place_of_a_report(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()

    with pytest.raises(AuditError, match="is taken"):
        parse_templates([tmp_path / name])


def test_two_templates_do_not_write_the_same_file(tmp_path: Path) -> None:
    (tmp_path / "own.txt.j2").touch()

    with pytest.raises(AuditError, match="is taken"):
        parse_templates([tmp_path / "own.txt.j2"] * 2)


def test_a_list_is_rendered_as_it_is_read(
    tmp_path: Path, a_document: MakeDocument, a_finding: Make
) -> None:
    written: list[str] = []
    behind: list[int] = []

    class Sink(io.StringIO):
        def write(self, text: str, /) -> int:
            written.append(text)
            return len(text)

    def many() -> Iterator[Row]:
        behind.clear()  # summary() went through them as well
        for number in range(100):
            behind.append(number - len(written))
            yield a_finding(message=str(number))

    path = tmp_path / "own.txt.j2"
    path.write_text("{% for one in findings %}{{ one.message }}{% endfor %}")

    read_template(path).write(a_document(findings=many), Sink())

    assert len(written) == 100
    assert max(behind) <= 1


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A folder of reports with the store of a run that was read."""
    folder = tmp_path / "reports"
    folder.mkdir()
    store = SqliteRunStore(folder / STORE)
    store.begin(a_run(sources=[policy_source("baseline")]), [an_account()])
    keys = (a_key("AKIA1", days_old=80, last_use=used()), a_key("AKIA2", days_old=5))
    store.save("run-1", an_inventory(a_user_with(*keys), outcome=OutcomeKind.AUDITED))
    store.close()
    return folder


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.txt.j2"
    path.write_text("{{ coverage.keys }} keys\n{{ 1 / summary.open.low }}\n")
    return path


def test_report_writes_every_format_and_the_template(run: Run, stored: Path, own: Path) -> None:
    formats = [f"--format={name}" for name in FORMATS]

    ran = run("report", *formats, "--template", str(own))

    names = {"own.txt", *map(report_file, FORMATS)}
    assert ran.code == 1, ran.stderr
    assert {path.name for path in (stored / "run-1").iterdir()} == names
    assert all(f"reports/run-1/{name}" in ran.stdout for name in names)
    assert (stored / "run-1/own.txt").read_text() == "2 keys\n1.0\n"


def test_report_prints_a_template_alone(run: Run, stored: Path, own: Path) -> None:
    ran = run("report", "--output", "-", "--template", str(own))
    two = run("report", "--output", "-", "--template", str(own), "--format", "csv")

    assert (ran.code, ran.stdout) == (1, "2 keys\n1.0\n")
    assert two.code == 2


def test_a_failing_template_leaves_no_file(run: Run, stored: Path, own: Path) -> None:
    ran = run("report", "--policy", "pci-dss-4.0.1", "--template", str(own))

    assert ran.code == 2
    assert "own.txt.j2:2: division by zero" in ran.stderr
    assert not (stored / "run-1/own.txt").exists()


def test_a_template_that_fills_memory_ends_in_one_line(run: Run, stored: Path, own: Path) -> None:
    own.write_text("{{ coverage.keys }}\n{{ tool.name * 10**12 }}")

    ran = run("report", "--template", str(own))

    assert ran.code == 2
    assert ran.stderr.startswith("iamaudit: --template:")
    assert "own.txt.j2:2: it needs more than 2,147,483,648 bytes" in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert not (stored / "run-1/own.txt").exists()


def test_a_scan_does_not_begin_with_a_template_that_is_none(run: Run, tmp_path: Path) -> None:
    ran = run("scan", "--template", "nowhere.txt.j2")

    assert ran.code == 2
    assert "nowhere.txt.j2 can't be read" in ran.stderr
    assert not (tmp_path / "reports").exists()
