"""Alert rules: required labels, annotations, runbook and test cases. promtool runs the test cases, in tests/stack."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import promql_parser as promql
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from pulumi.runtime import rpc

from infra.logins import CERTIFICATE_RENEWAL
from infra.services.alertmanager import CONFIG as ALERTMANAGER_CONFIG
from infra.services.alertmanager import HOST_AUTHORITIES
from infra.services.node_exporter import TEXT_FILES
from infra.services.prometheus import CONFIG as PROMETHEUS_CONFIG
from infra.services.prometheus import RULES
from tests.support.promql import rule_test_cases, selectors
from tests.support.pulumi_program import ImageSource, declare

GIB = 2**30
OPERATIONS = RULES.parents[2] / "docs" / "operations.md"

ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule
    for group in yaml.safe_load(RULES.read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
}

EXPRESSIONS: dict[str, str] = {
    rule.get("alert") or rule["record"]: rule["expr"]
    for group in yaml.safe_load(RULES.read_text())["groups"]
    for rule in group["rules"]
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_each_selector_of_a_rule_has_the_scrape_job(name: str) -> None:
    """A service could hide or forge an alert with a metric of the same name. Its scrape job is not its own choice."""
    without = {
        selector.name
        for selector in selectors(EXPRESSIONS[name])
        if not any(matcher.name == "job" for matcher in selector.matchers.matchers)
    }
    assert without <= {"up", *EXPRESSIONS}, "neither Prometheus's own metric nor a recorded one"


@pytest.mark.parametrize("name", ALERTS)
def test_command_of_a_runbook_names_the_stack_and_what_it_requires(name: str) -> None:
    """Typed without, it would act on the stack `dev`, or on none. Prometheus fills in its external label."""
    runbook = ALERTS[name]["annotations"]["runbook"]
    commands = re.findall(r"`((?:make|curl|GET|pulumi|docker\s+\w+)\b[^`]*)`", runbook)
    # The first is a mention of what somebody has done; the others are of the whole machine.
    commands = [each for each in commands if each not in ("docker stop", "docker system df", "docker system df -v")]
    assert [command for command in commands if "{{ $externalLabels.stack }}" not in command] == []
    assert [command for command in commands if command.startswith("make backfill") and " FROM=" not in command] == []
    assert [command for command in commands if "\n" in command] == [], "not one line to paste"
    if any("credentials/" in command for command in commands):
        assert "make credentials STACK={{ $externalLabels.stack }}" in commands
        assert [command for command in commands if "PORT" in command] == [], "no command prints it"
    if any("pulumi " in command for command in commands):
        assert "`source tools/env.sh`" in runbook


def test_external_label_of_prometheus_is_the_stack() -> None:
    uploads = declare("build", generatorEnabled=True).containers["prometheus"]["uploads"]
    uploads = uploads if isinstance(uploads, list) else uploads["value"]  # of a secret
    (config,) = [yaml.safe_load(each["content"]) for each in uploads if each["file"] == PROMETHEUS_CONFIG]
    assert config["global"]["external_labels"] == {"stack": "unit"}


@pytest.mark.parametrize("name", ALERTS)
def test_alert_has_severity_component_and_runbook(name: str) -> None:
    alert = ALERTS[name]
    assert alert["labels"]["severity"] in ("critical", "warning")
    assert alert["labels"]["component"]
    assert {"summary", "description", "runbook"} == set(alert["annotations"])
    assert alert["annotations"]["runbook"].startswith("Look: ")
    assert "\nDo: " in alert["annotations"]["runbook"]


@pytest.mark.parametrize("name", ALERTS)
def test_alert_has_test_cases_in_which_it_fires_and_does_not_fire(name: str) -> None:
    cases = [
        bool(case["exp_samples"])
        for case in rule_test_cases()
        if re.search(rf'alertname=~?"[^"]*\b{name}\b', case["expr"])
    ]
    assert True in cases, "no test case in which it fires"
    assert False in cases, "no test case in which it does not fire"


@pytest.mark.parametrize("name", [name for name, alert in ALERTS.items() if "for" in alert])
def test_alert_with_a_duration_does_not_fire_after_a_short_disturbance(name: str) -> None:
    """A disturbance of a moment is in every window that contains it: in a range as long as `for` it would last that
    long, and the alert would fire after its end."""
    assert is_of_the_present(promql.parse(ALERTS[name]["expr"]), promql.parse_duration(ALERTS[name]["for"]))


@pytest.mark.parametrize(
    ("expression", "of_the_present"),
    [
        ("lag > 100", True),
        ("rate(failures[1m]) > 0", True),
        ("rate(failures[5m]) > 0", False),
        ("deriv(sum(lag)[5m:10s]) > 0", False),
        ("lag > 100 and deriv(lag[5m]) > 0", True),
        ("lag > 100 and deriv(lag[5m]) > 0 or backlog > 100 and deriv(backlog[5m]) > 0", True),
        ("lag > 100 and deriv(lag[5m]) > 0 or deriv(backlog[5m]) > 0", False),
        ("rate(failures[1m]) > 0 or rate(errors[5m]) > 0", False),
        ("sum(rate(failures[5m]) or rate(errors[1m])) > 0", False),
    ],
)
def test_expression_of_the_present_has_a_condition_with_a_short_range(expression: str, of_the_present: bool) -> None:
    assert is_of_the_present(promql.parse(expression), timedelta(minutes=5)) == of_the_present


def is_of_the_present(expression: promql.Expr, duration: timedelta) -> bool:
    """Whether the expression ends with a disturbance, or less than `duration` later: its ranges are shorter than that,
    or one of its conditions is so, for each alternative."""
    match expression:
        case promql.ParenExpr():
            return is_of_the_present(expression.expr, duration)
        case promql.BinaryExpr() if str(expression.op) == "and":
            return is_of_the_present(expression.lhs, duration) or is_of_the_present(expression.rhs, duration)
        case promql.BinaryExpr() if str(expression.op) == "or":
            return is_of_the_present(expression.lhs, duration) and is_of_the_present(expression.rhs, duration)
    ranges: list[timedelta] = []

    def visit(node: promql.Expr) -> None:
        if isinstance(node, promql.MatrixSelector | promql.SubqueryExpr) and node.range is not None:
            ranges.append(node.range)

    promql.walk(expression, visit)
    return max(ranges, default=timedelta()) < duration


def test_alert_table_of_the_documentation_has_each_alert_by_component_and_severity() -> None:
    section = OPERATIONS.read_text().split("\n## Alerts and runbooks\n")[1].split("\n## ")[0]
    header, *rows = re.findall(r"^\| (.+?) \|(.*?)\|(.*?)\|$", section, re.MULTILINE)
    documented = {
        (component, severity.strip(), name)
        for component, *cells in rows
        for severity, cell in zip(header[1:], cells, strict=True)
        for name in re.findall(r"(?:[A-Z][a-z]+){2,}", cell)
    }
    labels = {name: alert["labels"] for name, alert in ALERTS.items()}
    assert documented == {
        ("*the scrape job*" if "{{" in each["component"] else each["component"], each["severity"], name)
        for name, each in labels.items()
    }


def test_disk_alert_fires_at_the_low_watermark_and_names_those_at_which_something_fails() -> None:
    environment = declare("build").containers["elasticsearch"]["envs"]
    prefix = "cluster.routing.allocation.disk.watermark."
    settings = dict(value.removeprefix(prefix).split("=") for value in environment if value.startswith(prefix))
    alert = ALERTS["ElasticsearchDiskAboveWatermark"]
    limit = int(alert["expr"].split("<")[1])
    assert settings.pop("low") == f"{limit // GIB}gb"
    assert limit % GIB == 0
    for watermark, size in settings.items():
        words = size.replace("gb", " GiB").replace("mb", " MiB"), watermark.replace("_", " ")
        assert all(word in alert["annotations"]["description"] for word in words)


def test_critical_alert_inhibits_the_warnings_of_its_component_only() -> None:
    uploads = declare("build").containers["alertmanager"]["uploads"]["value"]
    (config,) = [yaml.safe_load(each["content"]) for each in uploads if each["file"] == ALERTMANAGER_CONFIG]
    (rule,) = config["inhibit_rules"]
    assert rule == {
        "source_matchers": ['severity = "critical"'],
        "target_matchers": ['severity = "warning"'],
        "equal": ["component"],
    }
    assert all(alert["labels"].get("component") for alert in ALERTS.values()), "an alert without one inhibits others"


def test_alert_of_expiring_certificates_is_inhibited_by_no_critical_alert() -> None:
    """It warns of a date, whatever is wrong with the servers today, and for however long."""
    critical = {alert["labels"]["component"] for alert in ALERTS.values() if alert["labels"]["severity"] == "critical"}
    assert ALERTS["CertificateExpiring"]["labels"]["component"] not in critical


def test_rejected_documents_inhibit_no_warning() -> None:
    """They say nothing about the job, whose lag and statistics can be at fault at the same time."""
    component = ALERTS["DocumentsRejected"]["labels"]["component"]
    assert [name for name, alert in ALERTS.items() if alert["labels"]["component"] == component] == [
        "DocumentsRejected"
    ]


def test_certificates_are_renewed_by_up_before_the_alert() -> None:
    days, seconds = ALERTS["CertificateExpiring"]["expr"].split("<")[1].split("*")
    assert timedelta(seconds=int(days) * int(seconds)) < CERTIFICATE_RENEWAL


@pytest.mark.parametrize("security", ["guarded", "strict"])
def test_expiry_of_certificates_is_a_metric_where_they_are_in_use(
    security: str,
) -> None:
    exporter = declare("build", security=security).containers["node-exporter"]
    uploads = exporter["uploads"] if security == "guarded" else exporter["uploads"]["value"]
    metrics = {each["file"]: each["content"] for each in uploads if each["file"].startswith(TEXT_FILES)}
    if security == "guarded":
        assert metrics == {}
        return
    ((file, text),) = metrics.items()
    assert f"--collector.textfile.directory={file.rpartition('/')[0]}" in exporter["command"]
    (family,) = text_string_to_metric_families(text)
    (sample,) = family.samples
    assert sample.name in ALERTS["CertificateExpiring"]["expr"]
    assert datetime.fromtimestamp(sample.value, UTC) == datetime(2028, 3, 1, tzinfo=UTC)


def test_alert_webhook_is_optional_and_secret() -> None:
    def receiver(**config: Any) -> dict[str, Any]:
        uploads = declare("build", **config).containers["alertmanager"]["uploads"]
        assert uploads[rpc._special_sig_key] == rpc._special_secret_sig
        (config_file,) = [each for each in uploads["value"] if each["file"] == ALERTMANAGER_CONFIG]
        return dict(yaml.safe_load(config_file["content"])["receivers"][0])

    assert receiver()["webhook_configs"] == []
    assert (
        receiver(alertWebhookUrl="http://receiver.example/x")["webhook_configs"][0]["url"]
        == "http://receiver.example/x"
    )


@pytest.mark.parametrize("kind", ["registry", "build"])
@pytest.mark.parametrize("certificates", ["", "certificate of a company\n"])
def test_alertmanager_trusts_the_hosts_own_certificate_authorities(kind: ImageSource, certificates: str) -> None:
    uploads = declare(kind, ca_certificates=certificates).containers["alertmanager"]["uploads"]["value"]
    uploaded = [each["content"] for each in uploads if each["file"] == HOST_AUTHORITIES]
    assert uploaded == ([certificates] if certificates else [])
