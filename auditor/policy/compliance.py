"""The controls that rules can answer for.

Ids: CIS AWS Foundations Benchmark, AWS Foundational Security Best Practices (Security Hub).
"""

from collections.abc import Iterable

from auditor.model.compliance import Control, Unit

_ROTATED = {
    "1.2.0": "1.4", "1.4.0": "1.14", "1.5.0": "1.14", "2.0.0": "1.14", "3.0.0": "1.14",
    "4.0.1": "1.14", "5.0.0": "1.13", "6.0.0": "2.13", "7.0.0": "2.12",
}  # fmt: skip
_UNUSED = {
    "1.2.0": "1.3", "1.4.0": "1.12", "1.5.0": "1.12", "2.0.0": "1.12", "3.0.0": "1.12",
    "4.0.1": "1.12", "5.0.0": "1.11", "6.0.0": "2.11", "7.0.0": "2.11",
}  # fmt: skip
_ONE_KEY = {
    "1.4.0": "1.13", "1.5.0": "1.13", "2.0.0": "1.13", "3.0.0": "1.13", "4.0.1": "1.13",
    "5.0.0": "1.12", "6.0.0": "2.12",
}  # fmt: skip
_NO_ROOT_KEY = {
    "1.2.0": "1.12", "1.4.0": "1.4", "1.5.0": "1.4", "2.0.0": "1.4", "3.0.0": "1.4",
    "4.0.1": "1.4", "5.0.0": "1.3", "6.0.0": "2.3", "7.0.0": "2.4",
}  # fmt: skip


def _controls() -> Iterable[Control]:
    for table, unit in (
        (_ROTATED, Unit.KEY),
        (_UNUSED, Unit.KEY),
        (_ONE_KEY, Unit.KEY),
        (_NO_ROOT_KEY, Unit.ACCOUNT),
    ):
        for version, number in table.items():
            yield Control(framework=f"cis-aws-{version}", id=number, unit=unit)
    for number in ("IAM.3", "IAM.8", "IAM.22"):
        yield Control(framework="aws-fsbp", id=number, unit=Unit.KEY)
    yield Control(framework="aws-fsbp", id="IAM.4", unit=Unit.ACCOUNT)


CONTROLS: dict[str, Control] = {control.name: control for control in _controls()}
_FRAMEWORKS = frozenset(control.framework for control in CONTROLS.values())


def control_of(name: str) -> Control:
    """Return the control; one of the user's own framework is counted in keys."""
    framework, _, number = name.partition(":")
    return CONTROLS.get(name) or Control(framework=framework, id=number, unit=Unit.KEY)


def problem_with(name: str) -> str | None:
    """Return what is wrong with a control's name, if anything is."""
    framework, colon, number = name.partition(":")
    if not (framework and colon and number):
        return f"{name!r} is no control: write framework:id, as in cis-aws-5.0.0:1.13"
    if framework in _FRAMEWORKS and name not in CONTROLS:
        return f"{framework} has no control {number!r} about access keys"
    return None
