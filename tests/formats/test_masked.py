"""Masked key ids: in every format, told apart, and not to be had from what is made of them."""

import io
from collections.abc import Callable, Sequence

import pytest

from auditor.config import FORMATS
from auditor.formats.document import PlanPart, Report
from auditor.formats.masked import NO_DIGEST, MaskedReport, mask, mask_text
from auditor.formats.stream import ChangesStream, ReportStream, Row

Make = Callable[..., Row]
MakeDocument = Callable[..., ReportStream]

KEY, NEW = "AKIAIOSFODNN7EXAMPLE", "AKIAI44QH8DHBEXAMPLE"
LIKE = "AKIAI44QH8DHBEXXMPLE"


@pytest.fixture
def document(  # noqa: PLR0917 -- fixtures
    a_document: MakeDocument,
    an_account: Make,
    an_error: Make,
    a_key: Make,
    a_finding: Make,
    a_gap: Make,
    an_exemption: Make,
    a_plan: Make,
    an_action: Make,
    an_outcome: Make,
    a_change: Make,
    changes_of: Callable[..., ChangesStream],
) -> ReportStream:
    """Return a document that tells a key's id wherever there is room for text."""
    said = f"({KEY}), of {NEW}."
    outcome = an_outcome(new_access_key_id=NEW, reason=said, secret_in=f"/keys/{NEW}.json")
    held = {
        "account_id": "111111111111",
        "user_name": "deploy",
        "access_key_id": KEY,
        "kind": "rotate",
        "because": ["key-too-old"],
        "reason": said,
    }
    return a_document(
        accounts=[
            an_account(outcome="partial", errors=[an_error(subject=KEY, message=said)]),
        ],
        keys=[a_key()],
        findings=[a_finding(message=said, exemption=said, status="exempt")],
        gaps=[a_gap(message=said)],
        exemptions_given=[an_exemption(where={"key": KEY[:14] + "*"}, reason=said)],
        plan_given=a_plan(actions=[an_action(outcome)], held=[held]),
        changes_given=changes_of(a_change(message=said)),
    )


@pytest.mark.parametrize("name", FORMATS)
def test_no_format_tells_a_key_id(name: str, document: ReportStream) -> None:
    whole, masked = io.StringIO(), io.StringIO()

    FORMATS[name](document, whole)
    FORMATS[name](MaskedReport(document), masked)

    assert KEY in whole.getvalue()
    for secret in (KEY, NEW, KEY[4:14]):
        assert secret not in masked.getvalue()
    assert "AKIA************MPLE" in masked.getvalue().replace(r"\*", "*")


def test_a_masked_report_keeps_the_contract(document: ReportStream) -> None:
    out = io.StringIO()

    FORMATS["json"](MaskedReport(document), out)

    report = Report.model_validate_json(out.getvalue())
    assert report.keys[0].user_name == "deploy"
    assert report.findings[0].access_key_id == report.keys[0].access_key_id


def ids(document: ReportStream) -> list[tuple[str, str]]:
    return [(one["access_key_id"], one["id"]) for one in document.findings()]


def test_two_keys_of_a_user_that_look_the_same_are_told_apart(
    a_document: MakeDocument, a_key: Make, a_finding: Make
) -> None:
    both: Sequence[str] = (LIKE, KEY.replace("E", "X", 1)[:-4] + "MPLE")
    document = MaskedReport(
        a_document(
            keys=[a_key(access_key_id=one) for one in sorted(both)],
            findings=[a_finding(access_key_id=one) for one in sorted(both)],
        )
    )

    keys = [key["access_key_id"] for key in document.keys()]  # noqa: SIM118 -- no mapping

    assert keys == ["AKIA************MPLE#1", "AKIA************MPLE#2"]
    assert [name for name, _ in ids(document)] == keys
    assert len({finding_id for _, finding_id in ids(document)}) == 2


def test_a_finding_id_can_not_be_tried_out(
    a_document: MakeDocument, a_key: Make, a_finding: Make
) -> None:
    one, other = (
        a_document(keys=[a_key(access_key_id=name)], findings=[a_finding(access_key_id=name)])
        for name in (KEY, LIKE)
    )

    assert ids(one)[0][1] != ids(other)[0][1]
    assert ids(MaskedReport(one)) == ids(MaskedReport(other))


def test_a_root_key_without_an_id_keeps_its_finding_id(
    a_document: MakeDocument, a_key: Make, a_finding: Make
) -> None:
    root = {"user_name": "<root_account>", "access_key_id": None, "slot": 2}
    document = a_document(keys=[a_key(**root)], findings=[a_finding(**root)])

    assert ids(MaskedReport(document)) == ids(document)


def test_the_plan_is_masked_with_what_was_made_of_its_ids(document: ReportStream) -> None:
    plan, masked = document.plan(), MaskedReport(document).plan()

    assert plan is not None
    assert masked is not None
    part = PlanPart.model_validate(masked)
    assert part.sha256 == NO_DIGEST
    assert part.actions[0].id != plan["actions"][0]["id"]
    assert part.actions[0].access_key_id == part.held[0].access_key_id == mask(KEY)


@pytest.mark.parametrize(
    ("key_id", "shown"),
    [
        (KEY, "AKIA************MPLE"),
        ("AKIAYOUNG", "AKIA*****"),
        ("AKI", "AKI"),
        ("", ""),
    ],
)
def test_an_id_keeps_its_prefix_and_its_end(key_id: str, shown: str) -> None:
    assert mask(key_id) == shown


@pytest.mark.parametrize("text", ["AKIA", "xAKIAIOSFODNN7EXAMPLE", "AKIA-1234-5678-9012", "arn"])
def test_text_that_is_no_key_id_stays(text: str) -> None:
    assert mask_text(text) == text


def test_keys_that_were_taken_away_are_called_as_in_the_findings(
    a_document: MakeDocument, a_key: Make, a_finding: Make
) -> None:
    document = MaskedReport(
        a_document(
            keys=[a_key(), a_key(user_name="other", access_key_id=NEW)],
            findings=[a_finding()],
            taken_given={("111111111111", KEY)},
        )
    )

    assert document.taken() == {("111111111111", ids(document)[0][0])}
