"""What is left out of the SDK's models is nothing that a call here depends on."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import create_loader
from botocore.regions import EndpointResolver

from auditor.aws.models import WantedLoader

CALLED = ["iam", "organizations", "secretsmanager", "securityhub", "sts", "sso", "sso-oidc"]
PREFIXES = ["iam", "organizations", "secretsmanager", "securityhub", "sts", "portal.sso", "oidc",
            "signin"]  # fmt: skip


def loaders() -> tuple[Any, Any]:
    """This package's, and the SDK's own."""
    return WantedLoader(create_loader()), create_loader()


def documented(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if name == "documentation" and isinstance(inner, str):
                yield inner
            yield from documented(inner)


def undocumented(value: Any) -> Any:
    if isinstance(value, Mapping):
        kept = {name: undocumented(inner) for name, inner in value.items()}
        return {n: v for n, v in kept.items() if n != "documentation" or not isinstance(v, str)}
    return [undocumented(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize("service", CALLED)
@pytest.mark.parametrize("kind", ["service-2", "paginators-1", "endpoint-rule-set-1"])
def test_a_model_lacks_its_documentation_and_nothing_else(service: str, kind: str) -> None:
    ours, theirs = (each.load_service_model(service, kind) for each in loaders())

    assert not list(documented(ours))
    assert ours == undocumented(theirs)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_an_endpoint_is_the_sdks_in_every_region(prefix: str) -> None:
    ours, theirs = (EndpointResolver(each.load_data("endpoints")) for each in loaders())
    partitions = theirs.get_available_partitions()

    assert ours.get_available_partitions() == partitions
    for partition in partitions:
        regions = theirs.get_available_endpoints(prefix, partition, allow_non_regional=True)
        assert regions == ours.get_available_endpoints(prefix, partition, allow_non_regional=True)
        every = theirs.get_available_endpoints("sts", partition, allow_non_regional=True)
        for region in {*regions, *every, "xx-new-1"}:
            found = [each.construct_endpoint(prefix, region) for each in (ours, theirs)]
            assert found[0] == found[1]


def test_a_model_is_looked_for_where_the_sdk_would(tmp_path: Path) -> None:
    folder = tmp_path / "iam" / "2999-01-01"
    folder.mkdir(parents=True)
    (folder / "service-2.json").write_text('{"operations": {"Newest": {}}}')
    ours = WantedLoader(create_loader(str(tmp_path)))

    assert ours.load_service_model("iam", "service-2")["operations"].keys() == {"Newest"}
    assert ours.load_service_model("sts", "service-2")["operations"].keys() > {"AssumeRole"}


def test_what_is_no_file_is_not_found_as_with_the_sdk() -> None:
    with pytest.raises(Exception, match="nothing"):
        loaders()[0].load_data("nothing")
