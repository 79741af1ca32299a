"""Tags of IAM users: IAM compares their keys without case, and keeps the case of each.

Source: IAM User Guide, "Tags for IAM resources". Tags of accounts (Organizations) and of secrets
(Secrets Manager) are case-sensitive, and not compared by this module.
"""

from collections.abc import Mapping


def values_of(tags: Mapping[str, str], key: str) -> list[str]:
    """Return the values of the tags whose key is `key` in any case.

    IAM allows one such tag. Where an answer has several, each counts.
    """
    wanted = key.casefold()
    return [value for name, value in tags.items() if name.casefold() == wanted]
