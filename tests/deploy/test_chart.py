"""The Helm chart: linted, rendered in each of its shapes, valid for Kubernetes, and as confined as it says."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from service.settings import PREFIX, Settings
from tests.deploy.tools import run

pytestmark = pytest.mark.long

CHART = "deploy/chart"
VERSIONS = ("1.27", "1.31", "1.37")  # the oldest that Chart.yaml allows, and the newest there are schemas for
ROLES = ("api", "worker", "keeper", "profiler")
EXTERNAL = "stores.bundled=false,stores.existingSecret=shop,stores.existingCa=true"
SHAPES = {
    "as it is": "",
    "everything": "stores.tls=true,bundle.claim=models,models.enabled=true,keysSecret=keys,profiler.chatKeySecret=chat,"
    "api.ingress.enabled=true,api.ingress.host=shop.example,api.ingress.tlsSecret=tls,api.ingress.className=nginx",
    "stores elsewhere": EXTERNAL,
    "archive by URL": "archive.url=s3://bucket/peregrine",
    "as little as possible": "archive.enabled=false,ui.enabled=false,networkPolicy.enabled=false,"
    "api.autoscaling.enabled=false,apiKeySecret=mine",
}


def render(values: str = "") -> list[dict[str, Any]]:
    shown = run("helm", "template", "shop", CHART, *(["--set", values] if values else [])).stdout
    return [document for document in yaml.safe_load_all(shown) if document]


@pytest.fixture(scope="module", params=SHAPES.values(), ids=SHAPES.keys())
def rendered(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    return render(request.param)


def pods(documents: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for document in documents:
        if document["kind"] in {"Deployment", "StatefulSet"}:
            yield document["metadata"]["name"], document["spec"]["template"]["spec"]


def of(documents: list[dict[str, Any]], kind: str, end: str) -> dict[str, Any]:
    (found,) = [one for one in documents if one["kind"] == kind and one["metadata"]["name"].endswith(end)]
    return found


@pytest.mark.parametrize("values", SHAPES.values(), ids=SHAPES.keys())
def test_helm_has_nothing_to_complain_of(values: str) -> None:
    run("helm", "lint", "--strict", CHART, *(["--set", values] if values else []))


def test_every_object_is_one_that_kubernetes_knows(rendered: list[dict[str, Any]], tmp_path: Any) -> None:
    manifest = tmp_path / "rendered.yaml"
    manifest.write_text(yaml.safe_dump_all(rendered))
    for version in VERSIONS:
        run("kubernetes-validate", "--strict", "--kubernetes-version", version, str(manifest))


def test_no_container_is_root_writes_to_its_own_image_or_has_a_capability(rendered: list[dict[str, Any]]) -> None:
    for name, pod in pods(rendered):
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            confined = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True}
            assert container["securityContext"] == confined | {"capabilities": {"drop": ["ALL"]}}, name
            assert container["resources"]["limits"]["memory"], name
            assert {mount["name"] for mount in container["volumeMounts"]} == {v["name"] for v in pod["volumes"]} | (
                {"data"} if name.endswith(("-log", "-state")) else set()
            )


def test_what_answers_is_probed_and_what_selects_finds_its_pods(rendered: list[dict[str, Any]]) -> None:
    labels = {}
    for document in rendered:
        if document["kind"] in {"Deployment", "StatefulSet"}:
            template = document["spec"]["template"]
            labels[document["metadata"]["name"]] = template["metadata"]["labels"]
            assert document["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
            if template["spec"]["containers"][0].get("ports"):
                for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                    assert probe in template["spec"]["containers"][0], document["metadata"]["name"]
    for document in rendered:
        if document["kind"] in {"Service", "PodDisruptionBudget", "NetworkPolicy"}:
            spec = document["spec"]
            asked = spec["podSelector"] if document["kind"] == "NetworkPolicy" else spec["selector"]
            asked = asked.get("matchLabels", asked)
            assert any(asked.items() <= found.items() for found in labels.values()), document["metadata"]["name"]


def test_the_environment_holds_settings_that_there_are_and_no_secret(rendered: list[dict[str, Any]]) -> None:
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    variables = [variable for _, pod in pods(rendered) for one in pod["containers"] for variable in one.get("env", [])]
    assert variables
    for variable in variables:
        assert variable["name"] in known or variable["name"].removesuffix("_FILE") in known, variable
        assert "://" not in variable["value"] or variable["name"].endswith("ARCHIVE_URL")


def test_a_standby_is_there_and_the_api_scales_and_is_not_taken_down_whole() -> None:
    documents = render()
    assert of(documents, "Deployment", "-worker")["spec"]["replicas"] == 2
    assert of(documents, "HorizontalPodAutoscaler", "-api")["spec"]["minReplicas"] == 2
    assert "replicas" not in of(documents, "Deployment", "-api")["spec"]  # the autoscaler's to say
    assert of(documents, "PodDisruptionBudget", "-api")["spec"]["minAvailable"] == 1


def test_each_process_has_the_passwords_of_its_own_role_alone() -> None:
    documents = render("stores.tls=true")
    secret = {
        key: base64.b64decode(value).decode() for key, value in of(documents, "Secret", "-stores")["data"].items()
    }
    for server in ("log", "state"):
        lines = secret[f"{server}.acl"].splitlines()
        assert [line.split()[1] for line in lines] == ["default", "probe", "admin", *sorted(ROLES, key=_order(lines))]
        assert not [line for line in lines if "{" in line or line.startswith("#")]
        for role in ROLES:
            password = secret[f"{role}_{server}_password"]
            assert f"user {role} on #{hashlib.sha256(password.encode()).hexdigest()} " in secret[f"{server}.acl"]
            assert secret[f"{role}_{server}_url"] == f"rediss://{role}:{password}@shop-peregrine-{server}:6379/0"
    for role in ROLES:
        pod = of(documents, "Deployment", f"-{role}")["spec"]["template"]["spec"]
        (items,) = [volume["secret"]["items"] for volume in pod["volumes"] if volume["name"] == "stores"]
        assert {item["key"] for item in items} == {f"{role}_log_url", f"{role}_state_url", "ca.crt"}


def _order(lines: list[str]) -> Any:
    names = [line.split()[1] for line in lines]
    return names.index


def test_the_stores_are_reached_by_the_processes_alone() -> None:
    documents = render()
    for server in ("log", "state"):
        policy = of(documents, "NetworkPolicy", f"-{server}")["spec"]
        (rule,) = policy["ingress"]
        (peer,) = rule["from"]
        (asked,) = peer["podSelector"]["matchExpressions"]
        assert set(asked["values"]) == set(ROLES)
        assert "egress" not in policy  # nowhere
        assert policy["policyTypes"] == ["Ingress", "Egress"]


def test_the_servers_are_configured_as_everywhere_else() -> None:
    documents = render()
    for server in ("log", "state"):
        with open(f"deploy/valkey/{server}.conf", encoding="utf-8") as file:
            assert of(documents, "ConfigMap", f"-{server}")["data"]["valkey.conf"].strip() == file.read().strip()


def test_stores_elsewhere_leave_none_in_the_release() -> None:
    documents = render(EXTERNAL)
    assert not [one for one in documents if one["kind"] == "StatefulSet"]
    pod = of(documents, "Deployment", "-worker")["spec"]["template"]["spec"]
    assert [v["secret"]["secretName"] for v in pod["volumes"] if v["name"] == "stores"] == ["shop"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ("worker.replica=3", "additional properties 'replica' not allowed"),
        ("api.replicas=many", "got string, want integer"),
        ("settings.INDEX=exact", "INDEX"),
        ("stores.prefix=a b", "does not match pattern"),
        ("stores.bundled=false", "stores.existingSecret must name a secret"),
        ("api.ingress.enabled=true,api.ingress.host=h", "keys do not travel in the clear"),
    ],
)
def test_values_that_mean_nothing_are_refused_by_name(values: str, said: str) -> None:
    done = run("helm", "template", "shop", CHART, "--set", values, check=False)
    assert done.returncode != 0
    assert said in done.stderr


def test_the_schema_names_every_value_and_no_other() -> None:
    with open(f"{CHART}/values.yaml", encoding="utf-8") as file:
        values = yaml.safe_load(file)
    with open(f"{CHART}/values.schema.json", encoding="utf-8") as file:
        schema = json.load(file)
    assert set(values) == set(schema["properties"]) - {"global"}
