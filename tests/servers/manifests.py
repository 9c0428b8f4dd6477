"""The rules of k8s/: each raises AssertionError, or the schema's ValidationError, where it is broken.

Knows rendered manifests alone: not who rendered them, and not which settings there are.
"""

import re
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped, unused-ignore]  # ships no types
import yaml  # type: ignore[import-untyped, unused-ignore]  # ships no types

UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
# The contract's, at BFF_VIEW_LOG__SINK: the file that is being written may stand above the bound of them all.
VIEW_LOG_FILE_BYTES = 64 * 2**20

Manifest = dict[str, Any]
Manifests = dict[str, Manifest]  # by kind


def parsed(rendered: str) -> Manifests:
    """Return the manifests by kind, of which each may occur once."""
    documents = [document for document in yaml.safe_load_all(rendered) if document]
    by_kind = {document["kind"]: document for document in documents}
    assert len(by_kind) == len(documents)
    return by_kind


def pod(manifests: Manifests) -> Manifest:
    spec: Manifest = manifests["Deployment"]["spec"]["template"]["spec"]
    return spec


def container(manifests: Manifests) -> Manifest:
    [only] = pod(manifests)["containers"]
    found: Manifest = only
    return found


def settings(manifests: Manifests) -> dict[str, str]:
    """Return the environment that the manifests give the process."""
    sources = container(manifests)["envFrom"]
    assert sources == [{"configMapRef": {"name": manifests["ConfigMap"]["metadata"]["name"]}}]
    own = {variable["name"]: variable["value"] for variable in container(manifests).get("env", [])}
    return {**manifests["ConfigMap"]["data"], **own}


def port(manifests: Manifests, wanted: int | str) -> int:
    """Return the number of a container port that is given by number or name."""
    by_name = {one["name"]: one["containerPort"] for one in container(manifests)["ports"]}
    return int(by_name.get(wanted, wanted))


def size(quantity: str) -> int:
    return int(quantity[:-2]) * UNITS[quantity[-2:]]


def schema(manifests: Manifests) -> None:
    for manifest in manifests.values():
        kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


def no_service_links(manifests: Manifests) -> None:
    assert pod(manifests).get("enableServiceLinks") is False


def probes(manifests: Manifests) -> None:
    admin = int(settings(manifests)["BFF_ADMIN_PORT"])
    paths = {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
    for name, path in paths.items():
        get = container(manifests)[name]["httpGet"]
        assert (name, get["path"], port(manifests, get["port"])) == (name, path, admin)


def only_the_public_port(manifests: Manifests) -> None:
    served = [port(manifests, one["targetPort"]) for one in manifests["Service"]["spec"]["ports"]]
    assert served == [int(settings(manifests)["BFF_PORT"])]


def the_service_finds_the_pods(manifests: Manifests) -> None:
    labels = manifests["Deployment"]["spec"]["template"]["metadata"]["labels"]
    for selector in (
        manifests["Service"]["spec"]["selector"],
        manifests["Deployment"]["spec"]["selector"]["matchLabels"],
    ):
        assert selector.items() <= labels.items()


def time_to_stop(manifests: Manifests) -> None:
    sleep = container(manifests)["lifecycle"]["preStop"]["sleep"]["seconds"]
    in_flight = float(settings(manifests)["BFF_GRACE_SECONDS"])
    assert sleep > 0
    assert pod(manifests)["terminationGracePeriodSeconds"] > sleep + in_flight


def no_rights(manifests: Manifests) -> None:
    own, whole = container(manifests)["securityContext"], pod(manifests)["securityContext"]
    assert pod(manifests)["automountServiceAccountToken"] is False
    assert whole["runAsNonRoot"] is True
    assert whole["runAsUser"] > 0
    assert whole["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own["readOnlyRootFilesystem"] is True
    assert own["allowPrivilegeEscalation"] is False
    assert own["capabilities"] == {"drop": ["ALL"]}


def the_view_log_fits_its_volume(manifests: Manifests) -> None:
    given = settings(manifests)
    [mount] = [one for one in container(manifests)["volumeMounts"] if one["mountPath"] == given["BFF_DATA_DIR"]]
    [volume] = [one for one in pod(manifests)["volumes"] if one["name"] == mount["name"]]
    most = int(given["BFF_VIEW_LOG__MAX_BYTES"]) + VIEW_LOG_FILE_BYTES
    assert most <= size(volume["emptyDir"]["sizeLimit"])


def the_cache_fits_the_memory(manifests: Manifests) -> None:
    limit = size(container(manifests)["resources"]["limits"]["memory"])
    assert 2 * int(settings(manifests)["BFF_CACHE__MAX_BYTES"]) <= limit


def scraped_on_the_admin_port(manifests: Manifests) -> None:
    annotations = manifests["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == settings(manifests)["BFF_ADMIN_PORT"]


def never_fewer_pods(manifests: Manifests) -> None:
    spec = manifests["Deployment"]["spec"]
    assert spec["replicas"] >= 2
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def a_fixed_image(manifests: Manifests) -> None:
    assert re.fullmatch(r"product-bff:\d+\.\d+\.\d+", container(manifests)["image"])


def unknown_names(manifests: Manifests, known: set[str]) -> set[str]:
    return set(re.findall(r"\bBFF_[A-Z0-9_]+", yaml.safe_dump_all(manifests.values()))) - known
