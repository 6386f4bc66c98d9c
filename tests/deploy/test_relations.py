"""What files of deploy/ say about the program and about each other holds."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from outboxd import telemetry
from outboxd.api.routes import ROUTES
from outboxd.config.settings import SETTINGS, Config

DEPLOY = Path(__file__).parents[2] / "deploy"
UNITS = ("systemd/outboxd-serve.service", "systemd/outboxd-work.service")
GRACE = 10
"""Seconds that a supervisor grants beyond what a drain may take."""
NAMES = {setting.name for setting in SETTINGS} | {
    f"{setting.name}_FILE" for setting in SETTINGS if setting.secret
}
PLAIN = Config()


@pytest.fixture(scope="module")
def compose() -> Any:
    return documents("compose.yaml")[0]


@pytest.fixture(scope="module")
def manifests() -> Any:
    return [each for name in ("migrate", "serve", "work") for each in documents(f"kubernetes/{name}.yaml")]


def documents(name: str) -> list[Any]:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed here")
    return list(yaml.safe_load_all((DEPLOY / name).read_text()))


def deployments(manifests: Any) -> dict[str, Any]:
    return {each["metadata"]["name"]: each["spec"] for each in manifests if each["kind"] == "Deployment"}


def containers(manifests: Any) -> Iterator[tuple[Any, Any]]:
    """Pod, container."""
    for each in manifests:
        if "template" in each.get("spec", {}):
            pod = each["spec"]["template"]["spec"]
            yield from ((pod, container) for container in pod["containers"])


def test_supervisors_wait_longer_than_a_drain_takes(compose: Any, manifests: Any) -> None:
    needed = (PLAIN.drain_delay + PLAIN.drain).total_seconds() + GRACE
    graces = [compose["services"][name]["stop_grace_period"] for name in ("serve", "work")]
    graces += [
        f"{spec['template']['spec']['terminationGracePeriodSeconds']}s"
        for spec in deployments(manifests).values()
    ]
    graces += [
        re.findall(r"^TimeoutStopSec=(.*)$", (DEPLOY / unit).read_text(), re.MULTILINE)[0] + "s"
        for unit in UNITS
    ]
    assert 6 == len(graces)
    assert all(float(grace.removesuffix("s")) > needed for grace in graces), graces


def test_settings_that_are_named_exist() -> None:
    files = [
        path
        for path in DEPLOY.rglob("*")
        if path.suffix in {".yaml", ".service", ".conf"} or path.name == "Dockerfile"
    ]
    named = {(path.name, name) for path in files for name in re.findall(r"OUTBOXD_\w+", path.read_text())}
    assert len(named) > 10
    assert [] == sorted(pair for pair in named if pair[1] not in NAMES)


def test_probes_ask_what_is_served_where_it_is_served(manifests: Any) -> None:
    asked = 0
    for _, container in containers(manifests):
        ports = {port["name"]: port["containerPort"] for port in container.get("ports", ())}
        env = {each["name"]: each["value"] for each in container["env"]}
        ops = env.get("OUTBOXD_METRICS_LISTEN", "").rpartition(":")[2]
        assert set(ports.items()) <= {("http", PLAIN.port), ("ops", int(ops or 0))}
        for probe in (value for key, value in container.items() if key.endswith("Probe")):
            asked += 1
            assert probe["httpGet"]["port"] in ports
            assert probe["httpGet"]["path"] in {"/livez", "/readyz"} & set(ROUTES)
    assert 6 == asked


def test_pods_are_as_restricted_as_can_be(manifests: Any) -> None:
    found = list(containers(manifests))
    assert 3 == len(found)
    for pod, container in found:
        assert (pod["enableServiceLinks"], pod["automountServiceAccountToken"]) == (False, False)
        assert pod["securityContext"]["runAsNonRoot"]
        assert {"type": "RuntimeDefault"} == pod["securityContext"]["seccompProfile"]
        inner = container["securityContext"]
        assert (False, True) == (inner["allowPrivilegeEscalation"], inner["readOnlyRootFilesystem"])
        assert ["ALL"] == inner["capabilities"]["drop"]


def test_a_rollout_never_goes_below_what_is_asked_for_and_a_drain_takes_one(manifests: Any) -> None:
    for name, spec in deployments(manifests).items():
        assert 0 == spec["strategy"]["rollingUpdate"]["maxUnavailable"]
        [budget] = [
            each["spec"]
            for each in manifests
            if (each["kind"], each["metadata"]["name"]) == ("PodDisruptionBudget", name)
        ]
        assert (1, spec["selector"]) == (budget["maxUnavailable"], budget["selector"])


def test_workers_are_scaled_by_the_age_of_the_backlog(manifests: Any) -> None:
    [scaler] = [each["spec"] for each in manifests if each["kind"] == "HorizontalPodAutoscaler"]
    assert scaler["scaleTargetRef"]["name"] in deployments(manifests)
    [metric] = scaler["metrics"]
    name = metric["external"]["metric"]["name"]
    assert "outboxd_queue_oldest_seconds" == name
    assert f"# TYPE {name} gauge" in telemetry.render().decode()
    assert 300 == scaler["behavior"]["scaleDown"]["stabilizationWindowSeconds"]


def test_all_connections_fit_into_the_server(manifests: Any) -> None:
    [most] = re.findall(r"^max_connections = (\d+)$", (DEPLOY / "postgres.conf").read_text(), re.MULTILINE)
    [scaler] = [each["spec"] for each in manifests if each["kind"] == "HorizontalPodAutoscaler"]
    processes = deployments(manifests)["outboxd-serve"]["replicas"] + scaler["maxReplicas"]
    assert processes * (PLAIN.pool_max + 3) <= 0.8 * int(most)


def test_compose_has_no_default_secret_and_no_open_port(compose: Any) -> None:
    assert {"postgres", "migrate", "serve", "work"} == set(compose["services"])
    assert all(set(secret) == {"file"} for secret in compose["secrets"].values())
    ports = [port for service in compose["services"].values() for port in service.get("ports", ())]
    assert [f"127.0.0.1:{PLAIN.port}:{PLAIN.port}"] == ports
    given = [
        (name, value)
        for service in compose["services"].values()
        for name, value in service["environment"].items()
    ]
    assert [] == [
        pair
        for pair in given
        if re.search("PASSWORD|SECRET|DATABASE_URL", pair[0]) and not pair[0].endswith("_FILE")
    ]
    for name in ("serve", "work"):
        depends = compose["services"][name]["depends_on"]
        assert "service_healthy" == depends["postgres"]["condition"]
        assert "service_completed_successfully" == depends["migrate"]["condition"]


def test_the_image_runs_as_nobody_and_is_asked_for_its_health() -> None:
    said = (DEPLOY / "Dockerfile").read_text()
    for line in ("USER 10001:10001", 'ENTRYPOINT ["outboxd"]', 'CMD ["serve"]', f"EXPOSE {PLAIN.port}"):
        assert f"\n{line}\n" in said
    assert 'CMD ["outboxd", "health"]' in said
    assert "postgres" not in (DEPLOY / "runtime.lock").read_text()


@pytest.mark.parametrize("unit", UNITS)
def test_units_give_secrets_as_credentials_and_notify(unit: str) -> None:
    said = (DEPLOY / unit).read_text()
    for name, variable in (("database_url", "DATABASE_URL"), ("secret_keys", "SECRET_KEYS")):
        assert f"\nLoadCredential={name}:" in said
        assert f"\nEnvironment=OUTBOXD_{variable}_FILE=%d/{name}\n" in said
    for line in (
        "Type=notify",
        "WatchdogSec=30",
        "DynamicUser=yes",
        "Restart=always",
        "Environment=SHIV_ROOT=%C/outboxd",
    ):
        assert f"\n{line}\n" in said


def test_every_advised_line_of_postgres_has_its_why() -> None:
    groups = (DEPLOY / "postgres.conf").read_text().split("\n\n")[1:]
    assert all(group.startswith("# ") and "\n" in group for group in groups)
