"""The dashboards and their provisioning: complete, consistent, the same at every `up`. No Grafana, no Prometheus."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import PurePath
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from infra.grafana import dashboards
from infra.images import ROOT
from infra.services.grafana import DASHBOARDS, PROVISIONING
from infra.services.prometheus import SCRAPE_SECONDS
from tests.support.promql import panels, parse, selectors, targets
from tests.support.pulumi_program import CONTAINER, declare

BUILT = {uid: json.loads(text) for uid, text in dashboards(generator=True).items()}
PANELS = {f"{uid}: {panel['title']}": panel for uid, dashboard in BUILT.items() for panel in panels(dashboard)}
TARGETS = {
    f"{uid}: {panel['title']}, {target['refId']}": target
    for uid, dashboard in BUILT.items()
    for panel, target in targets(dashboard)
}


class TestDashboards:
    def test_their_uids_are_fixed(self) -> None:
        assert {uid: dashboard["title"] for uid, dashboard in BUILT.items()} == {
            "lolstack-pipeline": "Pipeline",
            "lolstack-services": "Services",
        }
        assert all(dashboard["uid"] == uid for uid, dashboard in BUILT.items())

    @pytest.mark.parametrize("uid", BUILT)
    def test_their_json_is_known_to_grafanas_model_to_the_last_key(self, uid: str) -> None:
        register_default_plugins()
        model = Dashboard.from_json(BUILT[uid])
        for link in model.links or []:
            link.placement = None  # type: ignore[assignment]  # the SDK gives it a value where there is none
        known = JSONEncoder(sort_keys=True, indent=1).encode(model)
        assert json.loads(known) == BUILT[uid]

    def test_their_text_is_the_same_in_every_process(self) -> None:
        """Whatever the seed of Python's hashes: a difference would replace Grafana's container at an `up`."""
        show = "import json; from infra.grafana import dashboards; print(json.dumps(dashboards(generator=True)))"
        texts = {
            subprocess.run(
                [sys.executable, "-c", show],
                cwd=ROOT,
                env=os.environ | {"PYTHONHASHSEED": seed},
                check=True,
                capture_output=True,
                text=True,
            ).stdout
            for seed in ("1", "2")
        }
        assert [json.loads(text) for text in texts] == [dashboards(generator=True)]

    @pytest.mark.parametrize("uid", BUILT)
    def test_none_can_be_edited(self, uid: str) -> None:
        assert BUILT[uid]["editable"] is False

    @pytest.mark.parametrize("uid", BUILT)
    def test_each_leads_to_the_others(self, uid: str) -> None:
        assert {link["url"] for link in BUILT[uid]["links"]} == {f"/d/{other}" for other in BUILT if other != uid}
        assert all(link["keepTime"] for link in BUILT[uid]["links"])
        assert not any("placement" in link for link in BUILT[uid]["links"]), "it would be hidden in a menu"

    @pytest.mark.parametrize("uid", BUILT)
    def test_ids_are_unique(self, uid: str) -> None:
        ids = [panel["id"] for panel in BUILT[uid]["panels"]]
        assert all(ids)
        assert len(set(ids)) == len(ids)

    @pytest.mark.parametrize("uid", BUILT)
    def test_panels_fill_the_grid_and_none_lies_on_another(self, uid: str) -> None:
        taken = [
            (x, y)
            for panel in BUILT[uid]["panels"]
            for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
            for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
        ]
        assert len(set(taken)) == len(taken)
        width, height = (max(place) + 1 for place in zip(*taken, strict=True))
        assert width == 24
        assert len(taken) == width * height, "there is a gap"

    def test_the_generator_has_a_row_where_there_is_one(self) -> None:
        def rows(generator: bool) -> list[str]:
            built = json.loads(dashboards(generator=generator)["lolstack-services"])
            return [panel["title"] for panel in built["panels"] if panel["type"] == "row"]

        assert rows(True) == [*rows(False), "Generator"]


class TestPanels:
    def test_each_has_a_name_of_its_own_in_its_row(self) -> None:
        for dashboard in BUILT.values():
            titles: set[str] = set()
            for panel in dashboard["panels"]:
                if panel["type"] == "row":
                    titles = set()
                assert panel["title"] not in titles
                titles.add(panel["title"])

    @pytest.mark.parametrize("panel", PANELS.values(), ids=PANELS)
    def test_each_says_what_it_shows_in_which_unit_and_that_there_is_no_data(self, panel: dict[str, Any]) -> None:
        assert panel["title"]
        assert panel["description"].endswith(".")
        defaults = panel["fieldConfig"]["defaults"]
        assert defaults["noValue"]
        assert defaults["unit"] in vars(units).values() or defaults["unit"].startswith("count:")

    @pytest.mark.parametrize("panel", PANELS.values(), ids=PANELS)
    def test_each_names_its_series_and_no_two_the_same(self, panel: dict[str, Any]) -> None:
        legends = [target["legendFormat"] for target in panel["targets"]]
        assert all(legends)
        assert len(set(legends)) == len(legends)
        assert len({target["refId"] for target in panel["targets"]}) == len(legends)

    @pytest.mark.parametrize("panel", PANELS.values(), ids=PANELS)
    def test_thresholds_rise_from_a_base(self, panel: dict[str, Any]) -> None:
        base, *steps = (step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"])
        assert base is None
        assert steps == sorted(set(steps))


class TestExpressions:
    @pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
    def test_each_is_promql_over_ranges_that_grafana_chooses(self, target: dict[str, Any]) -> None:
        """A fixed range is too short for some zoom or some scrape interval; Grafana's variables fit both."""
        assert parse(target["expr"])
        assert "[" not in target["expr"].replace("[$__rate_interval]", "").replace("[$__range]", "")

    @pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
    def test_none_depends_on_the_names_of_the_jobs_queries(self, target: dict[str, Any]) -> None:
        used = {matcher.name for selector in selectors(target["expr"]) for matcher in selector.matchers.matchers}
        assert "query" not in used

    def test_each_asks_a_data_source_that_is_provisioned(self, files: dict[str, dict[str, Any]]) -> None:
        sources = files[f"{PROVISIONING}/datasources/lolstack.yaml"]["datasources"]
        known = [{"uid": source["uid"], "type": source["type"]} for source in sources]
        assert [name for name, asking in (PANELS | TARGETS).items() if asking["datasource"] not in known] == []


class TestProvisioning:
    def test_data_sources_have_fixed_ids_and_cannot_be_edited(self, files: dict[str, dict[str, Any]]) -> None:
        file = files[f"{PROVISIONING}/datasources/lolstack.yaml"]
        assert file["prune"] is True
        assert {source["uid"]: source["type"] for source in file["datasources"]} == {
            "prometheus": "prometheus",
            "elasticsearch": "elasticsearch",
        }
        assert [source["editable"] for source in file["datasources"]] == [False, False]

    def test_no_step_is_shorter_than_a_scrape(self, files: dict[str, dict[str, Any]]) -> None:
        (source, _) = files[f"{PROVISIONING}/datasources/lolstack.yaml"]["datasources"]
        assert source["jsonData"]["timeInterval"] == f"{SCRAPE_SECONDS}s"

    def test_dashboards_are_where_the_provider_looks_and_cannot_be_edited(
        self, files: dict[str, dict[str, Any]]
    ) -> None:
        (provider,) = files[f"{PROVISIONING}/dashboards/lolstack.yaml"]["providers"]
        assert provider["allowUiUpdates"] is False
        found = {PurePath(path).stem: content for path, content in files.items() if path.startswith(DASHBOARDS)}
        assert provider["options"]["path"] == DASHBOARDS
        assert found == BUILT

    def test_no_value_is_taken_for_an_environment_variable(self, files: dict[str, dict[str, Any]]) -> None:
        """Grafana replaces $NAME in provisioning files (not in dashboards)."""
        assert not [path for path, content in files.items() if path.startswith(PROVISIONING) and "$" in str(content)]


@pytest.fixture(scope="module")
def files() -> dict[str, dict[str, Any]]:
    """The JSON files that the program gives to Grafana's container, by path."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        container = declare("registry", monkeypatch, generatorEnabled=True).resources[CONTAINER]["grafana"]
    return {
        upload["file"]: json.loads(upload["content"])
        for upload in container["uploads"]
        if upload["file"].endswith((".json", ".yaml"))
    }
