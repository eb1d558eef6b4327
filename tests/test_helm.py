"""The chart's values fit their schema, and its templates use nothing else and are YAML.

Helm itself is run where it is on PATH: it is in no registry that tests install from.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
import yaml

from turnstream.turns import keys
from turnstream.turns.environment import declared
from turnstream.turns.settings import TurnSettings
from turnstream.turns.turn import Tier
from turnstream.workers.settings import WorkerSettings
from turnstream.ws_server.settings import ServerSettings

CHART = Path(__file__).parents[1] / "deploy" / "helm" / "turnstream"
TEMPLATES = sorted((CHART / "templates").glob("*.yaml"))
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())


def rendered(text: str) -> list[dict[str, Any]]:
    """Return a template's documents, with every branch and the text "1" for every value."""
    lines = [line for line in text.splitlines() if not re.fullmatch(r"\s*\{\{-.*\}\}", line)]
    plain = re.sub(r"\{\{.*?\}\}", "1", "\n".join(lines))
    return [each for each in yaml.safe_load_all(plain) if each]


def test_the_values_fit_the_schema_and_a_wrong_one_does_not() -> None:
    jsonschema.validate(VALUES, SCHEMA)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(VALUES | {"keyPrefx": "typo"}, SCHEMA)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_a_template_uses_values_that_there_are(template: Path) -> None:
    text = template.read_text()
    for path in re.findall(r"\$?\.Values\.([A-Za-z.]+)", text):
        at: Any = VALUES
        for part in path.split("."):
            assert part in at, path
            at = at[part]
    if template.name == "workers.yaml":
        actions = " ".join(re.findall(r"\{\{(.*?)\}\}", text))
        for path in re.findall(r"(?:\$model|(?<=\s))\.([a-z]\w*(?:\.[a-z]\w*)?)", actions):
            at = VALUES["models"][0]
            for part in path.split("."):
                assert part in at, path
                at = at[part]


def test_every_container_has_no_rights_and_ends_after_its_drain() -> None:
    documents = [each for path in TEMPLATES for each in rendered(path.read_text())]
    kinds = sorted(each["kind"] for each in documents)
    deployments = [each for each in documents if each["kind"] == "Deployment"]

    assert kinds == [
        *("Deployment", "Deployment", "HorizontalPodAutoscaler"),
        *("PodDisruptionBudget", "PodDisruptionBudget", "ScaledObject", "Service"),
    ]
    for deployment in deployments:
        pod = deployment["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert "terminationGracePeriodSeconds" in pod
        for container in pod["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"]
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_the_variables_of_the_chart_are_settings() -> None:
    classes = (TurnSettings, ServerSettings, WorkerSettings)
    settings = {f"TURNSTREAM_{s.name}" for cls in classes for _, s in declared(cls)}
    text = "".join(path.read_text() for path in TEMPLATES)

    assert set(re.findall(r"name: (TURNSTREAM_\w+)", text)) <= settings


def test_workers_are_started_for_the_queues_that_there_are() -> None:
    text = (CHART / "templates" / "workers.yaml").read_text()
    [tiers] = re.findall(r"range list (.*) \}\}", text)
    [name] = re.findall(r'listName: "\{\{ \$\.Values\.keyPrefix \}\}(.*)"', text)

    assert re.findall(r'"(\w+)"', tiers) == list(get_args(Tier))
    assert re.sub(r"\{\{.*?\}\}", "x", name) == keys.queue("x", "x")


@pytest.mark.parametrize("keda", [False, True])
def test_helm_accepts_the_chart_and_renders_it(keda: bool, tmp_path: Path) -> None:
    helm = shutil.which("helm")
    if helm is None:
        pytest.skip("no helm on PATH")
    models = [VALUES["models"][0] | {"keda": VALUES["models"][0]["keda"] | {"enabled": keda}}]
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump({"models": models}))
    command = (str(CHART), "--values", str(values))
    subprocess.run([helm, "lint", "--strict", *command], check=True, capture_output=True)
    made = subprocess.run(
        [helm, "template", "chat", *command], check=True, capture_output=True, text=True
    )
    kinds = [each["kind"] for each in yaml.safe_load_all(made.stdout) if each]

    assert kinds.count("Deployment") == 2
    assert ("ScaledObject" in kinds) == keda
