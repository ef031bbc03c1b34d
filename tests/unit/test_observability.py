"""What is scraped, asked for and documented is what the code counts and logs: compose/, docs/reference/telemetry.md."""

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import jsonschema_rs
import pytest
import yaml
from prometheus_client import REGISTRY, generate_latest

import shoebox.metrics  # noqa: F401  # registers the domain's metrics
from fleet.gateway.authorizer import CacheStatistics
from fleet.limit_registry import LimitRegistry
from fleet.limits.quotas import load_quotas
from fleet.metrics import Metrics
from fleet.queues.depths import Depths
from fleet.statistics import FleetStatistics, show_counts, show_gauges, show_queues
from shoebox.aws.sqs import SqsClient
from shoebox.stack.model import load_stack

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "compose"
NAME = re.compile(r"\b(?:fleet|shoebox)_\w+")
TYPE_LINE = re.compile(r"^# TYPE (\w+) (\w+)$", re.MULTILINE)
EVENT = re.compile(r"[a-z]+[0-9a-z]*(_[a-z0-9]+)+")
LOGGERS = {"_log", "log"}
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
LOGGING_PACKAGES = ("api", "emulator", "fleet", "shoebox", "standalone", "workers")
EMULATORS_OWN_LOG = ROOT / "emulator" / "server"  # runs inside of ministack, whose log is text


def read(path: str) -> Any:
    """Return a YAML file, or a JSON one, which is YAML too."""
    return yaml.safe_load((COMPOSE / path).read_text(encoding="utf-8"))


def panels() -> list[dict[str, Any]]:
    """Return the dashboard's panels."""
    found: list[dict[str, Any]] = json.loads((COMPOSE / "grafana/dashboards/shoebox.json").read_text())["panels"]
    return found


def expressions() -> Iterator[tuple[str, str]]:
    """Every expression in PromQL, with the name of its alert or panel."""
    for group in read("alerts.yml")["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


@pytest.fixture
def series(tmp_path: Path) -> set[str]:
    """Return the names of all series that the fleet and the functions may show."""
    metrics = Metrics(tmp_path / "metrics")
    nothing = FleetStatistics([], [], [], CacheStatistics(0, 0, 0))
    limits = LimitRegistry(load_quotas(), list)
    show_gauges(metrics, lambda: nothing, limits)
    show_counts(metrics, limits)
    show_queues(metrics, Depths(Mock(spec=SqsClient), []), {})
    text = (metrics.exposition() + generate_latest(REGISTRY)).decode()
    return {name for family, kind in TYPE_LINE.findall(text) for name in names_of(family, kind)}


def names_of(family: str, kind: str) -> set[str]:
    """Return a family's series (Prometheus, "Metric types")."""
    return {f"{family}_{part}" for part in ("bucket", "count", "sum")} if kind == "histogram" else {family}


def unknown(expression: str, series: set[str]) -> set[str]:
    """Return the metrics of ours that an expression asks for, and nobody shows."""
    return set(NAME.findall(expression)) - series


def test_every_metric_that_is_asked_for_exists(series: set[str]) -> None:
    """Each alert and panel asks only for metrics that the code registers."""
    assert {where: names for where, expression in expressions() if (names := unknown(expression, series))} == {}


@pytest.mark.parametrize(
    "slip", ["shoebox_photos", "fleet_gateway_seconds", "fleet_invocation_total", "fleet_waitings"]
)
def test_a_metric_that_does_not_exist_is_found(slip: str, series: set[str]) -> None:
    """The check can fail: a counter without `_total`, a histogram without its part, names with a slip."""
    assert unknown(f"sum by (function) (rate({slip}[1m]))", series) == {slip}


def test_every_panel_and_alert_asks_for_something_of_ours() -> None:
    """No expression slips through because none of its names was recognised; `up` is Prometheus's own."""
    assert [where for where, expression in expressions() if not NAME.search(expression)] == ["FleetDown"]


def test_every_function_has_a_container_that_is_reloaded_and_scraped() -> None:
    """A function of stack.yaml is a service of its own name in three files (docs/how-to/add-a-consumer.md)."""
    functions = load_stack(ROOT / "stack.yaml").functions.keys()
    jobs = {job["job_name"]: job for job in read("prometheus.yml")["scrape_configs"]}
    (lookup,) = jobs["functions"]["dns_sd_configs"]

    assert functions <= read("../compose.yaml")["services"].keys()
    assert functions <= read("reload.yaml")["services"].keys()
    assert set(lookup["names"]) == functions


def test_the_dashboard_refers_to_the_provisioned_data_source() -> None:
    """Each panel and each of its targets has the uid of the data source that Grafana is given."""
    (source,) = read("grafana/provisioning/datasources/prometheus.yaml")["datasources"]
    uids = {part["datasource"]["uid"] for panel in panels() for part in (panel, *panel["targets"])}

    assert uids == {source["uid"]}


def schema_errors(dashboard: dict[str, Any]) -> list[str]:
    """Return what Grafana's own schemas find wrong in a dashboard, in its panels' options, and in their queries."""
    found = [("", "dashboard", "Dashboard", dashboard)]
    for panel in dashboard["panels"]:
        assert panel["type"] == "timeseries", "add the schema of this type of panel"
        found.append((panel["title"], "timeseries", "Options", panel["options"]))
        custom = panel["fieldConfig"]["defaults"].get("custom", {})
        found.append((panel["title"], "timeseries", "FieldConfig", custom))
        found += [(panel["title"], "prometheus", "Dataquery", target) for target in panel["targets"]]
    return [
        f"{where}: {error.message}"
        for where, file, definition, value in found
        for error in validator(file, definition).iter_errors(value)
    ]


@cache
def validator(file: str, definition: str) -> jsonschema_rs.Validator:
    """Return a validator of one definition of a schema in tests/data/grafana."""
    schema = json.loads((ROOT / f"tests/data/grafana/{file}.jsonschema.json").read_text())
    return jsonschema_rs.validator_for(schema | {"$ref": f"#/definitions/{definition}"})


def test_the_dashboard_is_as_grafanas_schema_wants() -> None:
    """Dashboard, options and queries have no key that Grafana does not know, and every value has its type."""
    assert schema_errors(read("grafana/dashboards/shoebox.json")) == []


@pytest.mark.parametrize(
    ("slip", "message"),
    [
        ({"refresh_rate": "5s"}, "refresh_rate"),
        ({"schemaVersion": "39"}, '"39" is not of type'),
        ({"panels": [{"options": {"legend": {"placement": "left"}}}]}, "left"),
        ({"panels": [{"targets": [{"expression": "up"}]}]}, "expression"),
        ({"panels": [{"fieldConfig": {"defaults": {"custom": {"fillOpacity": "40"}}}}]}, '"40" is not of type'),
    ],
)
def test_a_slip_in_the_dashboard_is_found(slip: dict[str, Any], message: str) -> None:
    """The check can fail: an unknown key, a wrong type, a word that is none of the allowed."""
    dashboard = read("grafana/dashboards/shoebox.json")
    [changed] = slip.pop("panels", [{}])
    dashboard |= slip
    dashboard["panels"][0] |= changed

    assert any(message in error for error in schema_errors(dashboard))


def test_no_panel_lies_on_another() -> None:
    """Panels have ids and places of their own in Grafana's grid of 24 columns."""
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels())
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]

    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in panels()}) == len(panels())


def test_every_metric_is_documented_and_every_documented_one_exists(series: set[str]) -> None:
    """The reference's table of metrics names those of the code; a histogram stands for its three series."""
    page = section((ROOT / "docs/reference/telemetry.md").read_text(), "## Metrics")
    documented = set()
    for cell in re.findall(r"(?m)^\| ([^|]*) \|", page):
        name = ""
        for written in re.findall(r"`(\w+)`", cell):  # `fleet_limit_used`, `_peak`: the second has the first's stem
            name = f"{name.rsplit('_', 1)[0]}{written}" if written.startswith("_") else written
            documented.add(name)

    ours = {re.sub("_seconds_(bucket|count|sum)$", "_seconds", name) for name in series}
    ours = {name for name in ours if NAME.fullmatch(name) and not name.endswith("_created")}
    assert ours == {name for name in documented if NAME.fullmatch(name)}


def logged_events() -> Iterator[tuple[str, str]]:
    """Yield the first argument of every call of a logger, with its file."""
    for package in LOGGING_PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if path.is_relative_to(EMULATORS_OWN_LOG):
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                match node:
                    case ast.Call(func=ast.Attribute(value=ast.Name(id=logger), attr=level), args=[event, *_]) if (
                        logger in LOGGERS and level in LEVELS
                    ):
                        yield str(path.relative_to(ROOT)), ast.literal_eval(event)


def documented_events() -> set[str]:
    """Return the events of the tables in telemetry.md and runtime.md: what is in backticks in their event columns."""
    telemetry = (ROOT / "docs/reference/telemetry.md").read_text()
    runtime = (ROOT / "docs/reference/runtime.md").read_text()
    first_cell, second_cell = r"(?m)^\| ([^|]*) \|", r"(?m)^\| [^|]*\| ([^|]*) \|"
    cells = re.findall(first_cell, section(telemetry, "### Events of the functions"))
    cells += re.findall(second_cell, section(telemetry, "### Events of the fleet and its hosts"))
    cells += re.findall(first_cell, section(runtime, "## Log events"))
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)} - {"event", "message"}


def section(page: str, heading: str) -> str:
    """Return the text between a heading and the next one."""
    return re.split(r"(?m)^#", page.split(f"{heading}\n")[1])[0]


def test_every_log_event_is_documented_and_every_documented_one_is_logged() -> None:
    """The tables of the reference and the calls of the loggers name the same events."""
    assert {event for _, event in logged_events()} == documented_events()


def test_log_events_are_in_one_dialect() -> None:
    """An event is a name in snake case of at least two words, as in `photo_finished`: no sentence, no format string."""
    assert [(path, event) for path, event in logged_events() if not EVENT.fullmatch(event)] == []
