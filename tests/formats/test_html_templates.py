"""The Jinja environment and its filters."""

from pathlib import Path

import jinja2
import pytest

import auditor
from auditor.formats import html, templates


def test_the_templates_are_found() -> None:
    assert (templates.template_root() / "report.html.j2").is_file()


def test_templates_in_the_package_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "auditor"
    monkeypatch.setattr(auditor, "__file__", str(package / "__init__.py"))

    with pytest.raises(FileNotFoundError):
        templates.template_root()
    for folder in (tmp_path / "templates", package / "templates"):
        folder.mkdir(parents=True)
        (folder / "report.html.j2").touch()
        assert templates.template_root() == folder


def test_html_is_escaped_and_made_printable_without_being_asked() -> None:
    page = templates.environment().from_string("<i>{{ name }}{{ none }}</i>{{ name|tojson }}")

    assert page.render(name="<b>\u202e", none=None) == (
        '<i>&lt;b&gt;\\u202e—</i>"\\u003cb\\u003e\u202e"'
    )


def test_json_templates_are_left_as_they_are() -> None:
    environment = templates.environment()
    environment.loader = jinja2.DictLoader({"x.json.j2": "{{ text }} {{ rows|tojson }}"})

    text = environment.get_template("x.json.j2").render(text="<a>", rows={"b": 1, "a": [None]})

    assert text == '<a> {"b":1,"a":[null]}'


def test_a_missing_name_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        templates.environment().from_string("{{ nobody }}").render()


@pytest.mark.parametrize("code", [0x00, 0x1B, 0x7F, 0x85, 0x200B, 0x200E, 0x202E, 0x2069, 0xFEFF])
def test_hidden_characters_become_escapes(code: int) -> None:
    assert templates.printable(f"a{chr(code)}b") == f"a\\u{code:04x}b"


def test_a_lone_surrogate_is_shown_and_an_emoji_stays() -> None:
    assert templates.printable("\ud83d 🔑 שלום") == "\\ud83d 🔑 שלום"


def test_pretty_json_keeps_its_lines_and_shows_the_rest() -> None:
    text = templates.pretty_json({"a": "<\u202e\n\x1b"})

    assert text == "{\n  &#34;a&#34;: &#34;&lt;\\u202e\\n\\u001b&#34;\n}"


def test_numbers_and_times_read_well() -> None:
    assert templates.count(1, "key") == "1 key"
    assert templates.count(2000, "key") == "2,000 keys"
    assert templates.count(2, "policy", "policies") == "2 policies"
    assert templates.instant("2026-06-01T10:00:00.123Z") == "2026-06-01 10:00:00 UTC"
    assert templates.instant(None) == "—"


def test_sorted_json_on_request() -> None:
    assert templates.dumps({"b": 1, "a": 2}, sort_keys=True) == '{"a":2,"b":1}'


def test_the_scripts_can_stand_in_a_page() -> None:
    for name in (*html.SCRIPTS, html.STYLE):
        text = templates.source(name).lower()
        assert not {"</script", "<!--", "</style"} & {part for part in text.split() if "<" in part}
        for forbidden in (
            "innerhtml",
            "outerhtml",
            "insertadjacenthtml",
            "document.write",
            "eval(",
        ):
            assert forbidden not in text
