"""What the SDK knows of services, as far as it is needed: it stays in memory for the whole run."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any

import orjson
from botocore.exceptions import DataNotFoundError
from botocore.loaders import JSONFileLoader, Loader

_SERVICES = (
    "iam", "organizations", "secretsmanager", "securityhub", "signin", "sso", "sso-oidc", "sts",
)  # fmt: skip
"""What is called, and what the SDK calls for credentials."""
_WANTED = frozenset(
    ("iam", "oidc", "organizations", "portal.sso", "secretsmanager", "securityhub", "signin", "sts")
)
"""The same by the prefix of the endpoint."""


class WantedModels(JSONFileLoader):  # type: ignore[misc]  # the SDK is untyped
    """Loads models without their documentation, and endpoints without those of other services."""

    def _load_file(self, full_path: str, open_method: Callable[..., IO[bytes]]) -> Any:
        path = Path(full_path)
        if not path.is_file():
            return None
        with open_method(full_path, "rb") as file:
            if path.name.startswith("endpoints."):
                return _wanted(orjson.loads(file.read()))
            return json.load(file, object_pairs_hook=_undocumented)


class WantedLoader(Loader):  # type: ignore[misc]  # likewise
    """Finds models where another loader would, of the services that are called."""

    FILE_LOADER_CLASS = WantedModels

    def __init__(self, other: Loader) -> None:
        super().__init__(list(other.search_paths), include_default_search_paths=False)

    def list_available_services(self, type_name: str) -> list[str]:
        """Return the services of which there is such a model.

        The SDK asks before it loads one, and would look into the folders of all four hundred.
        """
        return [name for name in _SERVICES if self._has(name, type_name)]

    def _has(self, service: str, type_name: str) -> bool:
        try:
            return bool(self.list_api_versions(service, type_name))
        except DataNotFoundError:
            return False


def _wanted(endpoints: dict[str, Any]) -> dict[str, Any]:
    for partition in endpoints["partitions"]:
        services = partition["services"].items()
        partition["services"] = {name: at for name, at in services if name in _WANTED}
    return endpoints


def _undocumented(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    return {
        name: value
        for name, value in pairs
        if name != "documentation" or not isinstance(value, str)
    }
