"""k8s/ as `kubectl kustomize` renders it keeps its rules; each guard fails where its rule is broken."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path

import kubernetes_validate  # type: ignore[import-untyped, unused-ignore]  # ships no types
import pytest

from tests.servers import manifests as rules
from tests.servers.manifests import Manifests, container, pod

K8S = Path(__file__).resolve().parents[2] / "k8s"


@pytest.fixture(scope="module")
def rendered() -> str:
    kubectl = shutil.which("kubectl")
    assert kubectl, "no kubectl on PATH: `make test RINGS=servers` fetches one"
    result = subprocess.run([kubectl, "kustomize", str(K8S)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "deprecated" not in result.stderr
    return result.stdout


@pytest.fixture
def manifests(rendered: str) -> Manifests:
    return rules.parsed(rendered)


def bff_check(environment: Mapping[str, str], cwd: Path) -> tuple[int, str]:
    """Run `bff check --settings` with this environment alone; return its exit code and what it said."""
    command = [sys.executable, "-m", "bff", "check", "--settings"]
    result = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    return result.returncode, result.stdout + result.stderr


def known_settings() -> set[str]:
    from bff.environment import setting_names  # here, so that the other rules are told without the service

    return set(setting_names())


def test_kubernetes_knows_every_field(manifests: Manifests) -> None:
    rules.schema(manifests)


def test_kubernetes_adds_no_variables_of_its_own(manifests: Manifests) -> None:
    rules.no_service_links(manifests)


def test_probes_ask_the_admin_port(manifests: Manifests) -> None:
    rules.probes(manifests)


def test_the_service_has_the_public_port_alone(manifests: Manifests) -> None:
    rules.only_the_public_port(manifests)


def test_selectors_match_the_pods(manifests: Manifests) -> None:
    rules.the_service_finds_the_pods(manifests)


def test_a_stop_has_time_for_the_requests_in_flight_and_the_queues(manifests: Manifests) -> None:
    rules.time_to_stop(manifests)


def test_the_pod_has_no_rights_that_it_does_not_need(manifests: Manifests) -> None:
    rules.no_rights(manifests)


def test_the_view_log_stays_below_the_size_of_its_volume(manifests: Manifests) -> None:
    rules.the_view_log_fits_its_volume(manifests)


def test_the_cache_takes_at_most_half_of_the_memory(manifests: Manifests) -> None:
    rules.the_cache_fits_the_memory(manifests)


def test_prometheus_scrapes_the_admin_port(manifests: Manifests) -> None:
    rules.scraped_on_the_admin_port(manifests)


def test_a_rollout_takes_no_pod_away_before_another_is_ready(manifests: Manifests) -> None:
    rules.never_fewer_pods(manifests)


def test_the_image_has_a_fixed_tag(manifests: Manifests) -> None:
    rules.a_fixed_image(manifests)


def test_every_setting_named_is_one_that_the_service_knows(manifests: Manifests) -> None:
    assert rules.unknown_names(manifests, known_settings()) == set()


def test_control_a_setting_that_is_misspelt_is_found(manifests: Manifests) -> None:
    manifests["ConfigMap"]["data"]["BFF_GRACE_SECOND"] = "15"
    assert rules.unknown_names(manifests, known_settings()) == {"BFF_GRACE_SECOND"}


def test_the_service_accepts_its_settings(manifests: Manifests, tmp_path: Path) -> None:
    code, said = bff_check(rules.settings(manifests), tmp_path)
    assert code == 0, said


def test_control_the_service_refuses_a_setting_it_does_not_know(manifests: Manifests, tmp_path: Path) -> None:
    code, said = bff_check({**rules.settings(manifests), "BFF_PORT_8000_TCP": "tcp://10.0.0.1:8000"}, tmp_path)
    assert code in {1, 2}
    assert "BFF_PORT_8000_TCP" in said


# What breaks each rule.


def with_an_unknown_field(broken: Manifests) -> None:
    pod(broken)["enableServiceLink"] = False


def without_service_links_off(broken: Manifests) -> None:
    del pod(broken)["enableServiceLinks"]


def with_a_probe_on_the_public_port(broken: Manifests) -> None:
    container(broken)["livenessProbe"]["httpGet"]["port"] = "public"


def with_a_liveness_that_follows_readiness(broken: Manifests) -> None:
    container(broken)["livenessProbe"]["httpGet"]["path"] = "/readyz"


def with_the_admin_port_in_the_service(broken: Manifests) -> None:
    broken["Service"]["spec"]["ports"].append({"name": "admin", "port": 9000, "targetPort": "admin"})


def with_the_admin_port_behind_80(broken: Manifests) -> None:
    broken["Service"]["spec"]["ports"][0]["targetPort"] = 9000


def with_a_selector_of_no_pod(broken: Manifests) -> None:
    broken["Service"]["spec"]["selector"]["app.kubernetes.io/component"] = "worker"


def with_a_grace_that_is_used_up(broken: Manifests) -> None:
    pod(broken)["terminationGracePeriodSeconds"] = 20


def as_root(broken: Manifests) -> None:
    pod(broken)["securityContext"]["runAsUser"] = 0


def with_the_default_view_log(broken: Manifests) -> None:
    broken["ConfigMap"]["data"]["BFF_VIEW_LOG__MAX_BYTES"] = "1073741824"


def with_a_doubled_cache(broken: Manifests) -> None:
    broken["ConfigMap"]["data"]["BFF_CACHE__MAX_BYTES"] = "536870912"


def with_an_admin_port_moved(broken: Manifests) -> None:
    broken["ConfigMap"]["data"]["BFF_ADMIN_PORT"] = "9001"


def with_one_pod(broken: Manifests) -> None:
    broken["Deployment"]["spec"]["replicas"] = 1


def with_the_latest_image(broken: Manifests) -> None:
    container(broken)["image"] = "product-bff:latest"


CONTROLS: list[tuple[Callable[[Manifests], None], Callable[[Manifests], None]]] = [
    (rules.schema, with_an_unknown_field),
    (rules.no_service_links, without_service_links_off),
    (rules.probes, with_a_probe_on_the_public_port),
    (rules.probes, with_a_liveness_that_follows_readiness),
    (rules.probes, with_an_admin_port_moved),
    (rules.only_the_public_port, with_the_admin_port_in_the_service),
    (rules.only_the_public_port, with_the_admin_port_behind_80),
    (rules.the_service_finds_the_pods, with_a_selector_of_no_pod),
    (rules.time_to_stop, with_a_grace_that_is_used_up),
    (rules.no_rights, as_root),
    (rules.the_view_log_fits_its_volume, with_the_default_view_log),
    (rules.the_cache_fits_the_memory, with_a_doubled_cache),
    (rules.scraped_on_the_admin_port, with_an_admin_port_moved),
    (rules.never_fewer_pods, with_one_pod),
    (rules.a_fixed_image, with_the_latest_image),
]


@pytest.mark.parametrize(
    ("rule", "breaking"),
    CONTROLS,
    ids=[f"{rule.__name__}-{breaking.__name__}" for rule, breaking in CONTROLS],
)
def test_control_a_rule_fails_where_it_is_broken(
    manifests: Manifests, rule: Callable[[Manifests], None], breaking: Callable[[Manifests], None]
) -> None:
    broken = deepcopy(manifests)
    breaking(broken)
    assert broken != manifests
    with pytest.raises((AssertionError, kubernetes_validate.ValidationError)):
        rule(broken)
