"""The secret of a new key as every sink keeps it: a JSON object."""

import json


def content(*, key_id: str, secret: str, user_name: str, account_id: str) -> dict[str, str]:
    """Return the object; whoever holds it holds the key."""
    return {
        "access_key_id": key_id,
        "secret_access_key": secret,
        "user_name": user_name,
        "account_id": account_id,
    }


def is_of(text: str | bytes, key_id: str) -> bool:
    """Whether the text is the secret of this key, and whole."""
    try:
        kept = json.loads(text)
    except ValueError:
        return False
    return (
        isinstance(kept, dict)
        and kept.get("access_key_id") == key_id
        and bool(kept.get("secret_access_key"))
    )
