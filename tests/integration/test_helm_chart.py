"""The Helm chart, rendered by the real helm: the objects are those of deploy/kubernetes, for any values."""

import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import kubernetes_validate
import pytest
import yaml

from flashguard import __version__
from tests.support.deploy_files import DEPLOY, ROOT, documents, unknown_settings

CHART: Final = DEPLOY / "helm" / "flashguard"
HELM: Final = shutil.which("helm") or shutil.which(str(ROOT / ".venv" / "bin" / "helm"))
VERSIONS: Final = ("1.31", "1.37")
AS_EXAMPLE: Final = (
    "--set=image.repository=registry.example/flashguard",
    "--set=api.minReplicas=12",
    "--set=ingress.enabled=true",
)
"""The values that make what deploy/kubernetes/example makes."""

pytestmark = pytest.mark.skipif(HELM is None, reason="helm is not here: make helm")
Objects = dict[tuple[str, str], dict[str, Any]]


def helm(*words: str | Path) -> subprocess.CompletedProcess[str]:
    assert HELM is not None
    return subprocess.run([HELM, *words], capture_output=True, text=True, check=False, timeout=60)


def rendered(*values: str, name: str = "flashguard", namespace: str = "flashguard") -> Objects:
    done = helm("template", name, CHART, "--namespace", namespace, *values)
    assert done.returncode == 0, done.stderr
    return by_name([each for each in yaml.safe_load_all(done.stdout) if each])


def by_name(objects: list[dict[str, Any]]) -> Objects:
    found = {(each["kind"], each["metadata"]["name"]): each for each in objects}
    assert len(found) == len(objects)
    return found


def of_kustomize() -> Objects:
    """What `kubectl apply -k deploy/kubernetes/example` applies, but for namespace and label."""
    base, example = DEPLOY / "kubernetes" / "base", DEPLOY / "kubernetes" / "example"
    [listed] = documents(base / "kustomization.yaml")
    objects = by_name([each for name in listed["resources"] for each in documents(base / name)])
    objects |= by_name(documents(example / "ingress.yaml"))
    [patch] = documents(example / "before-a-sale.yaml")
    objects["HorizontalPodAutoscaler", "flashguard-api"]["spec"] |= patch["spec"]
    [image] = documents(example / "kustomization.yaml")[0]["images"]
    for each in objects.values():
        for container in containers(each):
            container["image"] = f"{image['newName']}:{image['newTag']}"
    del objects["Namespace", "flashguard"]
    return objects


def containers(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    if manifest["kind"] not in ("Deployment", "Job"):
        return []
    return manifest["spec"]["template"]["spec"]["containers"]  # type: ignore[no-any-return]


def test_the_chart_makes_the_objects_of_the_manifests() -> None:
    chart, manifests = rendered(*AS_EXAMPLE), of_kustomize()
    migrate = chart.pop(("Job", "flashguard-migrate-1"))  # a revision has a job of its own
    migrate["metadata"]["name"] = "flashguard-migrate"
    chart["Job", "flashguard-migrate"] = migrate
    for each in chart.values():
        for container in containers(each):
            assert container.pop("imagePullPolicy") == "IfNotPresent"
    assert chart.keys() == manifests.keys()
    for name, manifest in manifests.items():
        assert chart[name] == manifest, name


@pytest.mark.parametrize("version", VERSIONS)
def test_what_it_renders_is_valid_with_everything_on_and_everything_off(version: str) -> None:
    everything = rendered(
        "--set=ingress.enabled=true", "--set=monitor.enabled=true", "--set=networkPolicy.payments=true"
    )
    monitors = {name for name in everything if name[0] == "PodMonitor"}
    assert monitors == {("PodMonitor", "flashguard-api"), ("PodMonitor", "flashguard-recorder")}
    least = rendered("--set=networkPolicy.enabled=false", "--set=deliverer.enabled=false")
    assert {kind for kind, _ in everything.keys() - least.keys()} == {
        "NetworkPolicy", "PodMonitor", "Ingress", "Deployment",
    }  # fmt: skip
    for manifest in [*everything.values(), *least.values()]:
        if manifest["kind"] != "PodMonitor":  # an operator's own kind
            kubernetes_validate.validate(manifest, version, strict=True)


def test_a_release_of_another_name_finds_its_own_parts() -> None:
    objects = rendered("--set=secret.name=mine", "--set=ingress.enabled=true", name="shop", namespace="drops")
    assert {each["metadata"]["namespace"] for each in objects.values()} == {"drops"}
    service = objects["Service", "shop-api"]["metadata"]["name"]
    [rule] = objects["Ingress", "shop"]["spec"]["rules"]
    assert rule["http"]["paths"][0]["backend"]["service"]["name"] == service
    assert objects["HorizontalPodAutoscaler", "shop-api"]["spec"]["scaleTargetRef"]["name"] == "shop-api"
    for each in objects.values():
        for container in containers(each):
            spec = each["spec"]["template"]["spec"]
            assert ("ServiceAccount", spec["serviceAccountName"]) in objects
            [source] = container["envFrom"]
            assert ("ConfigMap", source["configMapRef"]["name"]) in objects
            assert spec["volumes"][0]["secret"]["secretName"] == "mine"


def test_the_api_may_call_a_payment_provider_only_where_payments_are_taken() -> None:
    policy = ("NetworkPolicy", "payments")
    [manifest] = documents(DEPLOY / "kubernetes" / "example" / "payments.yaml")
    assert rendered("--set=networkPolicy.payments=true")[policy] == manifest
    assert policy not in rendered()
    off = rendered("--set=networkPolicy.payments=true", "--set=networkPolicy.enabled=false")
    assert policy not in off


def test_an_image_is_named_by_its_digest_where_there_is_one() -> None:
    digest = f"sha256:{'ab' * 32}"
    job = rendered(f"--set=image.digest={digest}", "--set=image.repository=r/f")[
        "Job", "flashguard-migrate-1"
    ]
    assert containers(job)[0]["image"] == f"r/f@{digest}"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("recorder.replicas=1", "recorder/replicas"), ("api.minReplicas=0", "api/minReplicas"),
        ("replicas=3", "replicas"), ("image.digest=latest", "image/digest"),
        ("settings.REDIS_URL=x", "REDIS_URL"), ("networkPolicy.serverPorts={0}", "serverPorts/0"),
        ("networkPolicy.payments=stripe", "networkPolicy/payments"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named(value: str, said: str) -> None:
    done = helm("template", "flashguard", CHART, "--set", value)
    assert done.returncode != 0
    assert said in done.stderr.replace(".", "/")


def test_helm_finds_no_fault_and_the_chart_has_the_versions_of_the_program() -> None:
    linted = helm("lint", "--strict", CHART)
    assert linted.returncode == 0, linted.stdout
    [chart] = documents(CHART / "Chart.yaml")
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)
    for path in CHART.rglob("*.yaml"):
        assert unknown_settings(path.read_text()) == set(), path
