"""The Kubernetes manifests: valid for several versions, and true where a schema can't look."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from flashguard.cli.api import GRACEFUL_SECONDS
from flashguard.settings import Settings
from tests.support.deploy_files import DEPLOY, commands, documents, unknown_settings

BASE = DEPLOY / "kubernetes" / "base"
EXAMPLE = DEPLOY / "kubernetes" / "example"
FILES = sorted([*BASE.glob("*.yaml"), *EXAMPLE.glob("*.yaml")])
MANIFESTS = [path for path in FILES if path.name not in ("kustomization.yaml", "before-a-sale.yaml")]
APP, PART = "app.kubernetes.io/name", "app.kubernetes.io/component"


def of_kind(*kinds: str) -> list[dict[str, Any]]:
    return [each for path in MANIFESTS for each in documents(path) if each["kind"] in kinds]


def pods() -> dict[str, dict[str, Any]]:
    """The pod templates, by component."""
    return {
        each["spec"]["template"]["metadata"]["labels"][PART]: each["spec"]["template"]
        for each in of_kind("Deployment", "Job")
    }


def fits(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    return selector.get("matchLabels", selector).items() <= labels.items()


@pytest.mark.parametrize("version", ["1.31", "1.37"])
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_every_manifest_is_valid_and_names_no_field_that_does_not_exist(path: Path, version: str) -> None:
    for each in documents(path):
        kubernetes_validate.validate(each, version, strict=True)


def test_a_field_that_does_not_exist_is_noticed() -> None:
    [account] = of_kind("ServiceAccount")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(account | {"replica": 1}, "1.37", strict=True)


def test_the_base_lists_every_file_but_the_example_of_a_secret() -> None:
    [base] = documents(BASE / "kustomization.yaml")
    assert {*base["resources"], "kustomization.yaml", "secret.example.yaml"} == {
        path.name for path in BASE.iterdir()
    }
    [example] = documents(EXAMPLE / "kustomization.yaml")
    for name in [*example["resources"], *(patch["path"] for patch in example["patches"])]:
        assert (EXAMPLE / name).exists(), name
    images = {image["name"] for image in example["images"]}
    assert images == {pod["spec"]["containers"][0]["image"] for pod in pods().values()}
    [patch] = documents(EXAMPLE / "before-a-sale.yaml")
    [patched] = of_kind("HorizontalPodAutoscaler")
    assert (patch["kind"], patch["metadata"]) == (patched["kind"], patched["metadata"])
    assert patched["spec"]["minReplicas"] < patch["spec"]["minReplicas"] < patched["spec"]["maxReplicas"]


def test_every_pod_is_held_to_the_least() -> None:
    assert set(pods()) == {"api", "recorder", "deliverer", "migrate"}
    for part, pod in pods().items():
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False, part
        assert spec["enableServiceLinks"] is False, part
        assert spec["securityContext"]["runAsNonRoot"] is True, part
        assert spec["securityContext"]["runAsUser"] == 10001, part
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, part
        [container] = spec["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, part
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), part
        assert "memory" in container["resources"]["limits"], part
        for each in spec["volumes"]:
            assert "secret" in each or each["emptyDir"]["sizeLimit"], part
    user = (DEPLOY / "docker" / "Dockerfile").read_text()
    assert "USER 10001:10001" in user


def test_selectors_find_their_pods() -> None:
    for each in of_kind("Deployment"):
        assert fits(each["spec"]["selector"], each["spec"]["template"]["metadata"]["labels"])
    for each in of_kind("Service", "PodDisruptionBudget"):
        found = [
            part for part, pod in pods().items() if fits(each["spec"]["selector"], pod["metadata"]["labels"])
        ]
        assert found == [each["metadata"]["name"].removeprefix("flashguard-")]
    for each in of_kind("NetworkPolicy"):
        assert any(fits(each["spec"]["podSelector"], pod["metadata"]["labels"]) for pod in pods().values())
    for pod in pods().values():
        for each in pod["spec"].get("topologySpreadConstraints", []):
            assert fits(each["labelSelector"], pod["metadata"]["labels"])


def test_a_part_never_takes_anothers_calls() -> None:
    """A selector of `name` alone would have the service send buyers to recorders."""
    [service] = of_kind("Service")
    assert service["spec"]["selector"][PART] == "api"


def test_ports_lead_somewhere() -> None:
    named = {
        part: {port["name"]: port["containerPort"] for port in pod["spec"]["containers"][0].get("ports", [])}
        for part, pod in pods().items()
    }
    [service] = of_kind("Service")
    assert service["spec"]["ports"][0]["targetPort"] in named["api"]
    assert named["api"]["http"] == Settings.model_fields["port"].default
    [ingress] = of_kind("Ingress")
    backend = ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    assert backend == {
        "name": service["metadata"]["name"],
        "port": {"name": service["spec"]["ports"][0]["name"]},
    }
    recorder = pods()["recorder"]["spec"]["containers"][0]
    env = {each["name"]: each["value"] for each in recorder["env"]}
    assert int(env["FLASHGUARD_RECORDER_METRICS_PORT"]) == named["recorder"]["metrics"]
    for each in of_kind("NetworkPolicy"):
        for rule in each["spec"].get("ingress", []):
            [part] = [
                part
                for part, pod in pods().items()
                if fits(each["spec"]["podSelector"], pod["metadata"]["labels"])
            ]
            assert all(port["port"] in named[part] for port in rule["ports"])


def test_probes_ask_what_they_are_for() -> None:
    for part, port in (("api", "http"), ("recorder", "metrics")):
        container = pods()[part]["spec"]["containers"][0]
        for probe in ("startupProbe", "livenessProbe"):
            assert container[probe]["httpGet"] == {"path": "/healthz", "port": port}, (
                "away servers restart no pod"
            )
    ready = pods()["api"]["spec"]["containers"][0]["readinessProbe"]
    assert ready["httpGet"] == {"path": "/readyz", "port": "http"}
    assert ready["failureThreshold"] * ready["periodSeconds"] >= 30, "a rebuild of seconds takes no pod out"


def test_a_pod_has_the_time_to_answer_what_it_took() -> None:
    spec = pods()["api"]["spec"]
    before = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert spec["terminationGracePeriodSeconds"] >= before + GRACEFUL_SECONDS + 5
    hook = Settings.model_fields["webhook_timeout_seconds"].default
    assert pods()["deliverer"]["spec"]["terminationGracePeriodSeconds"] > hook


def test_no_disruption_budget_blocks_a_drain() -> None:
    replicas = {each["metadata"]["name"]: each["spec"].get("replicas") for each in of_kind("Deployment")}
    [scaler] = of_kind("HorizontalPodAutoscaler")
    replicas[scaler["spec"]["scaleTargetRef"]["name"]] = scaler["spec"]["minReplicas"]
    for each in of_kind("PodDisruptionBudget"):
        assert "minAvailable" not in each["spec"]
        assert each["spec"]["maxUnavailable"] >= 1
        assert replicas[each["metadata"]["name"]] >= 2, "one that goes leaves another"


def test_the_autoscaler_and_a_release_do_not_fight_over_a_number() -> None:
    [scaler] = of_kind("HorizontalPodAutoscaler")
    [api] = [each for each in of_kind("Deployment") if each["metadata"]["name"] == "flashguard-api"]
    assert scaler["spec"]["scaleTargetRef"] == {
        "apiVersion": api["apiVersion"], "kind": api["kind"], "name": api["metadata"]["name"],
    }  # fmt: skip
    assert "replicas" not in api["spec"]
    assert "cpu" in api["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]


def test_nothing_passes_that_no_policy_lets_pass() -> None:
    policies = {each["metadata"]["name"]: each["spec"] for each in of_kind("NetworkPolicy")}
    payments = policies.pop("payments")  # only where payments are taken
    assert payments["podSelector"]["matchLabels"][PART] == "api"
    assert payments["egress"] == policies["webhooks"]["egress"]
    assert policies["nothing"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    leaving = {
        part: sorted(
            port["port"]
            for spec in policies.values()
            if fits(spec["podSelector"], pod["metadata"]["labels"])
            for rule in spec.get("egress", [])
            for port in rule["ports"]
        )
        for part, pod in pods().items()
    }
    servers = [53, 53, 5432, 6379, 6543]
    assert leaving == {
        "api": servers,
        "recorder": servers,
        "migrate": servers,
        "deliverer": sorted([443, *servers]),
    }


def test_no_file_names_a_setting_a_command_or_a_secret_that_does_not_exist() -> None:
    for path in FILES:
        assert unknown_settings(path.read_text()) == set(), path
    for pod in pods().values():
        [container] = pod["spec"]["containers"]
        assert container["args"][0] in commands()
    [settings] = of_kind("ConfigMap")
    [secret] = of_kind("Secret")
    names = {name.removeprefix("flashguard_") for name in secret["stringData"]}
    assert names <= set(Settings.model_fields)
    assert {"admin_key", "redis_url", "database_url"} == names
    for pod in pods().values():
        [mounted] = [each["secret"] for each in pod["spec"]["volumes"] if "secret" in each]
        assert mounted["secretName"] == secret["metadata"]["name"]
        [container] = pod["spec"]["containers"]
        [mount] = [each for each in container["volumeMounts"] if each["name"] == "secrets"]
        assert mount["mountPath"] == settings["data"]["FLASHGUARD_SECRETS_DIR"]
        assert container["envFrom"] == [{"configMapRef": {"name": settings["metadata"]["name"]}}]


def test_the_settings_are_ones_that_can_be(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    [settings] = of_kind("ConfigMap")
    for name, value in settings["data"].items():
        monkeypatch.setenv(name, value if name != "FLASHGUARD_SECRETS_DIR" else str(tmp_path))
    assert Settings().trusted_proxies == ("10.0.0.0/8",)
