"""What the help of each command ends with."""

from collections.abc import Mapping

EXAMPLES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "scan": (
        ("iamaudit scan", "your own account"),
        ("iamaudit scan --accounts org --exclude 222222222222", "the organization, but for one"),
        ("iamaudit scan --accounts @accounts.yml --policy strict", "the accounts of a file"),
        ("iamaudit scan --accounts org --remediate dry-run", "with a plan of what to change"),
        ("iamaudit scan --quiet --fail-on high --format json", "in a pipeline"),
        ("iamaudit scan --baseline latest --only-new", "fail for what is new alone"),
    ),
    "diff": (
        ("iamaudit diff", "the last two runs"),
        ("iamaudit diff 20260601T100000Z-4f2a91c3 latest", "since then"),
        ("iamaudit diff --format markdown --fail-on high", "in a pipeline"),
    ),
    "prune": (
        ("iamaudit prune --keep 30", "what would go"),
        ("iamaudit prune --keep 30 --keep-days 90 --yes", "kept by either"),
    ),
    "report": (
        ("iamaudit report", "the last run, as html and json"),
        ("iamaudit report --output - --format json | jq .summary", "to another program"),
        ("iamaudit report --policy strict --output strict", "judged again"),
    ),
    "plan": (
        ("iamaudit plan --only key-unused --limit 10", "the ten worst of one rule"),
        ('iamaudit plan --protect "svc-*" --protect-tag critical', "but for some users"),
        ("iamaudit plan --allow-rotate --sink secretsmanager", "with rotations"),
    ),
    "apply": (
        ("iamaudit apply plan-20261124T120000Z-0123abcd", "after a question"),
        ("iamaudit apply plan-20261124T120000Z-0123abcd --show-session-policy", "what it may do"),
        ("iamaudit apply plan-20261124T120000Z-0123abcd --resume", "after it was cut off"),
    ),
    "undo": (
        ("iamaudit undo 20261101T060000Z-4f2a91c3", "what the plans of a run deactivated"),
        ("iamaudit undo 20261101T060000Z-4f2a91c3 --key AKIAIOSFODNN7EXAMPLE", "one key"),
    ),
    "publish": (
        ("iamaudit publish securityhub --dry-run", "what would be sent"),
        ("iamaudit publish securityhub --region eu-west-1", "the last run, to one region"),
        ("iamaudit publish securityhub --min-severity high", "the worst alone"),
    ),
    "accounts": (
        ("iamaudit accounts --accounts org --exclude ou-ab12-cdef3456", "before a scan"),
        ("iamaudit accounts --accounts @accounts.yml --format json", "to another program"),
    ),
}
"""Commands, and what each is for."""


def epilog(name: str) -> str | None:
    """Return the examples of a command, one a line; None where there are none."""
    examples = EXAMPLES.get(name)
    if examples is None:
        return None
    return "\n".join(["Examples:", *(f"  {line}  # {what}" for line, what in examples)])
