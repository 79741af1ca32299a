"""Names in files of accounts, checked as those on the command line are."""

from pydantic import AfterValidator

from auditor.model import names


def Named(*kinds: names.Kind) -> AfterValidator:  # noqa: N802 -- it is written as an annotation
    """Take what is a name of one of the kinds; the message says what to write."""

    def check(text: str) -> str:
        if any(names.fits(kind, text) for kind in kinds):
            return text
        hint = " or ".join(kind.hint for kind in kinds)
        raise ValueError(f"{text!r} is not one that AWS takes: {hint}")

    return AfterValidator(check)
