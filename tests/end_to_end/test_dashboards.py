"""The dashboard and the alerts ask for metrics that a running service has."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from harness.service import ROOT, Service

GRAFANA = ROOT / "docs" / "grafana"
DASHBOARD = json.loads((GRAFANA / "turnstream.json").read_text())
ALERTS = yaml.safe_load((GRAFANA / "alerts.yml").read_text())
#: What Prometheus adds to each series.
ADDED = {"job", "instance"}


def expressions() -> Iterator[tuple[str, str]]:
    """Yield each expression, after the name of its panel or alert."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            # Grafana puts a time in place of its variable.
            yield panel["title"], target["expr"].replace("$__rate_interval", "5m")
    for group in ALERTS["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


def nodes(expression: Any) -> Iterator[Any]:
    yield expression
    for name in ("expr", "lhs", "rhs", "args", "param", "vector_selector"):
        inner = getattr(expression, name, None)
        for each in inner if isinstance(inner, list) else [inner]:
            if each is not None:
                yield from nodes(each)


@pytest.fixture(scope="module")
def labels_of(service: Service) -> dict[str, set[str]]:
    """The labels of each sample that a node and a worker report, by its name."""
    service.ask("Hello")
    with pytest.raises(urllib.error.HTTPError):
        # Of refusals there is a series for each code that was told.
        service.get("/nowhere")
    found: dict[str, set[str]] = {}
    for url in (service.url, f"http://127.0.0.1:{service.worker_metrics_port}"):
        with urllib.request.urlopen(f"{url}/metrics", timeout=20) as answer:
            for family in text_string_to_metric_families(answer.read().decode()):
                for sample in family.samples:
                    found.setdefault(sample.name, set()).update(sample.labels, ADDED)
    return found


@pytest.mark.parametrize(("name", "text"), list(expressions()))
def test_an_expression_asks_for_metrics_and_labels_that_there_are(
    name: str, text: str, labels_of: dict[str, set[str]]
) -> None:
    asked = list(nodes(promql_parser.parse(text)))
    selectors = [each for each in asked if isinstance(each, promql_parser.VectorSelector)]

    assert selectors
    assert {each.name for each in selectors} <= set(labels_of)
    known = set.union(*(labels_of[each.name] for each in selectors))
    for each in selectors:
        assert {matcher.name for matcher in each.matchers.matchers} <= labels_of[each.name]
    for each in asked:
        if isinstance(each, promql_parser.AggregateExpr) and each.modifier is not None:
            assert set(each.modifier.labels) <= known


def test_the_dashboard_shows_each_metric_of_ours(labels_of: dict[str, set[str]]) -> None:
    text = " ".join(expression for _, expression in expressions())
    suffixes = ("_bucket", "_sum", "_count", "_created", "_total")
    families = {
        name.removesuffix(next((each for each in suffixes if name.endswith(each)), ""))
        for name in labels_of
        if name.startswith("turnstream_")
    }

    assert {family for family in families if family not in text} == set()


def test_each_alert_says_how_bad_it_is_and_what_is_the_matter() -> None:
    rules = [rule for group in ALERTS["groups"] for rule in group["rules"]]

    assert {rule["labels"]["severity"] for rule in rules} <= {"warning", "critical"}
    assert all({"summary", "description"} <= set(rule["annotations"]) for rule in rules)
    wanted = {"NoWorker", "OldestWait", "Takeovers", "RedisNotWritable"}
    assert wanted <= {rule["alert"].removeprefix("Turnstream") for rule in rules}


def test_the_dashboard_has_each_panel_once_and_in_its_place() -> None:
    panels = DASHBOARD["panels"]
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]

    assert len({panel["id"] for panel in panels}) == len(set(places)) == len(panels)
    assert DASHBOARD["uid"] == "turnstream"
