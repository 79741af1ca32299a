"""The controls that rules can answer for.

Ids: CIS AWS Foundations Benchmark, AWS Foundational Security Best Practices (Security Hub), and
the requirements of PCI DSS and NIST SP 800-53 that Security Hub relates to those.
"""

import re
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
_FSBP = ("IAM.3", "IAM.8", "IAM.22")
_PCI = ("8.2.6", "8.3.9", "8.6.3")
_NIST = ("AC-2", "AC-2(1)", "AC-2(3)", "AC-3", "AC-3(7)", "AC-3(15)", "AC-6")
_NIST_OF_ROOT = ("AC-6(2)", "AC-6(10)")


def _about_root() -> Iterable[Control]:
    for version, number in _NO_ROOT_KEY.items():
        yield Control(framework=f"cis-aws-{version}", id=number, unit=Unit.ACCOUNT)
    yield Control(framework="aws-fsbp", id="IAM.4", unit=Unit.ACCOUNT)
    for number in _NIST_OF_ROOT:
        yield Control(framework="nist-800-53-r5", id=number, unit=Unit.ACCOUNT)


def _about_users() -> Iterable[Control]:
    for table in (_ROTATED, _UNUSED, _ONE_KEY):
        for version, number in table.items():
            yield Control(framework=f"cis-aws-{version}", id=number, unit=Unit.KEY)
    for number in _FSBP:
        yield Control(framework="aws-fsbp", id=number, unit=Unit.KEY)
    for number in _PCI:
        yield Control(framework="pci-dss-4.0.1", id=number, unit=Unit.KEY)
    for number in _NIST:
        yield Control(framework="nist-800-53-r5", id=number, unit=Unit.ACCOUNT)


_ROOT_ONLY = frozenset(_about_root())
CONTROLS: dict[str, Control] = {
    control.name: control for control in (*_about_users(), *_about_root())
}
_FRAMEWORKS = frozenset(control.framework for control in CONTROLS.values())


def control_of(name: str) -> Control:
    """Return the control; one of the user's own framework is counted in keys."""
    framework, _, number = name.partition(":")
    return CONTROLS.get(name) or Control(framework=framework, id=number, unit=Unit.KEY)


def root_only(control: Control) -> bool:
    """Whether it asks about keys of the root user alone.

    Of the controls counted in accounts the others ask about every key of the account.
    """
    return control in _ROOT_ONLY


def problem_with(name: str) -> str | None:
    """Return what is wrong with a control's name, if anything is."""
    framework, colon, number = name.partition(":")
    if not (framework and colon and number):
        return f"{name!r} is no control: write framework:id, as in cis-aws-5.0.0:1.13"
    if framework in _FRAMEWORKS and name not in CONTROLS:
        known = ", ".join(_numbers(framework))
        return f"{framework} has no control {number!r} about access keys (it has {known})"
    return None


def _numbers(framework: str) -> list[str]:
    """Return the ids of a framework, 1.3 before 1.11."""
    numbers = [control.id for control in CONTROLS.values() if control.framework == framework]
    return sorted(numbers, key=lambda number: [int(part) for part in re.findall(r"\d+", number)])
