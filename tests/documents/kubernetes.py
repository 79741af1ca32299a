"""What a resource for Kubernetes is held to: the API's places, and a pod that may do nothing."""

from typing import Any

_VERSIONS = {"CronJob": "batch/v1", "PersistentVolumeClaim": "v1", "ServiceAccount": "v1"}


def check_resource(resource: dict[str, Any]) -> None:
    """Assert that it is one of the kinds that we know, and that a pod of it is confined."""
    kind = resource["kind"]
    assert resource["apiVersion"] == _VERSIONS[kind]
    assert resource["metadata"]["namespace"] == "iamaudit"
    if kind != "CronJob":
        return
    spec = resource["spec"]
    assert set(spec) <= {"schedule", "timeZone", "concurrencyPolicy", "jobTemplate"}
    # Two scans at once would take turns at the store, and ask AWS twice.
    assert spec["concurrencyPolicy"] == "Forbid"
    job = spec["jobTemplate"]["spec"]
    assert job["backoffLimit"] == 0
    pod = job["template"]["spec"]
    assert pod["restartPolicy"] == "Never"
    _check_pod(pod)


def _check_pod(pod: dict[str, Any]) -> None:
    context = pod["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["runAsUser"] == context["fsGroup"] == 65532
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    volumes = {volume["name"] for volume in pod["volumes"]}
    for container in [*pod.get("initContainers", ()), *pod["containers"]]:
        own = container["securityContext"]
        assert own["readOnlyRootFilesystem"] is True
        assert own["allowPrivilegeEscalation"] is False
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
        assert "/data" in {mount["mountPath"] for mount in container["volumeMounts"]}
        assert container["resources"]["limits"]["memory"]
        assert container["command"] == ["/bin/sh", "-c"]


def scripts(resource: dict[str, Any]) -> list[str]:
    """Return what the shells of a CronJob's pod run."""
    if resource["kind"] != "CronJob":
        return []
    pod = resource["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return [script for each in pod["containers"] for script in each["args"]]
