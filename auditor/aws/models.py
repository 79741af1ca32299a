"""What the SDK knows of services, as far as it is needed: it stays in memory for the whole run."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any

from botocore.loaders import JSONFileLoader

_WANTED = frozenset(
    ("iam", "oidc", "organizations", "portal.sso", "secretsmanager", "securityhub", "signin", "sts")
)
"""What is called, and what the SDK calls for credentials, by the prefix of the endpoint."""


class WantedModels(JSONFileLoader):  # type: ignore[misc]  # the SDK is untyped
    """Loads models without their documentation, and endpoints without those of other services."""

    def _load_file(self, full_path: str, open_method: Callable[..., IO[bytes]]) -> Any:
        path = Path(full_path)
        if not path.is_file():
            return None
        with open_method(full_path, "rb") as file:
            model = json.load(file, object_pairs_hook=_undocumented)
        if path.name.startswith("endpoints."):
            for partition in model["partitions"]:
                services = partition["services"].items()
                partition["services"] = {name: at for name, at in services if name in _WANTED}
        return model


def _undocumented(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    return {
        name: value
        for name, value in pairs
        if name != "documentation" or not isinstance(value, str)
    }
