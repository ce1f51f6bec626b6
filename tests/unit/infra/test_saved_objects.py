"""Saved objects' client and resource, against a fake Kibana whose faults the tests choose (kibana.py says why)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.clients.kibana import (
    KibanaUnavailableError,
    SavedObjectClient,
    SavedObjectError,
    canonical,
    decode_json_attributes,
    encode_json_attributes,
)
from infra.provisioning.saved_object import OBJECTS, _Provider
from tests.support.fake_kibana import FakeKibana, running
from tests.support.pulumi_program import declare, settings
from tools import kibana_export

DASHBOARD: dict[str, Any] = json.loads((OBJECTS / "dashboard" / "lol-matches-live.json").read_text())
KEY = ("dashboard", "lol-matches-live")


@pytest.fixture
def kibana() -> Iterator[FakeKibana]:
    with running(FakeKibana()) as fake:
        yield fake


@pytest.fixture
def client(kibana: FakeKibana) -> SavedObjectClient:
    return SavedObjectClient(kibana.url)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.clients.kibana.START_SECONDS", 0.1)


class TestForms:
    def test_kibana_is_given_text_where_it_keeps_text(self) -> None:
        attributes = encode_json_attributes(DASHBOARD)["attributes"]
        assert json.loads(attributes["panelsJSON"]) == DASHBOARD["attributes"]["panelsJSON"]
        assert isinstance(attributes["kibanaSavedObjectMeta"]["searchSourceJSON"], str)
        assert isinstance(attributes["controlGroupInput"]["panelsJSON"], str)
        assert attributes["refreshInterval"] == {"pause": False, "value": 10_000}

    @pytest.mark.parametrize("path", sorted(OBJECTS.glob("*/*.json")), ids=lambda path: path.stem)
    def test_unfolded_is_the_file_again(self, path: Any) -> None:
        body = json.loads(path.read_text())
        assert decode_json_attributes(encode_json_attributes(body)) == body
        assert encode_json_attributes(encode_json_attributes(body)) == encode_json_attributes(body)

    def test_order_times_and_versions_are_no_difference(self) -> None:
        exported = encode_json_attributes(DASHBOARD) | {
            "updated_at": "2026-01-01T00:00:00Z",
            "typeMigrationVersion": "10.3.0",
        }
        exported["references"] = exported["references"][::-1]
        assert canonical(exported) == canonical(DASHBOARD)

    def test_another_value_within_a_text_is_a_difference(self) -> None:
        changed = json.loads(json.dumps(DASHBOARD))
        changed["attributes"]["panelsJSON"][0]["gridData"]["w"] = 9
        assert canonical(encode_json_attributes(changed)) != canonical(DASHBOARD)


class TestClient:
    def test_what_was_put_is_there(self, client: SavedObjectClient, kibana: FakeKibana) -> None:
        assert client.put(DASHBOARD) == canonical(DASHBOARD)
        assert list(kibana.objects) == [KEY]
        assert client.read(*KEY) == canonical(DASHBOARD)

    def test_putting_again_overwrites(self, client: SavedObjectClient, kibana: FakeKibana) -> None:
        client.put(DASHBOARD)
        client.put(DASHBOARD | {"attributes": DASHBOARD["attributes"] | {"title": "Another"}})
        assert kibana.objects[KEY]["attributes"]["title"] == "Another"

    def test_nothing_is_read_where_nothing_is(self, client: SavedObjectClient) -> None:
        assert client.read(*KEY) is None

    def test_delete_is_done_once_and_can_be_asked_twice(self, client: SavedObjectClient, kibana: FakeKibana) -> None:
        client.put(DASHBOARD)
        client.delete(*KEY)
        client.delete(*KEY)
        assert kibana.objects == {}

    def test_a_failure_inside_a_good_answer_is_seen(self, client: SavedObjectClient, kibana: FakeKibana) -> None:
        kibana.import_error = {"type": "missing_references", "references": [{"type": "index-pattern", "id": "gone"}]}
        with pytest.raises(SavedObjectError, match=r"did not import dashboard/lol-matches-live: .*missing_ref.*gone"):
            client.put(DASHBOARD)

    def test_an_object_that_is_not_there_after_all_is_seen(self, client: SavedObjectClient, kibana: FakeKibana) -> None:
        kibana.forgets = True
        with pytest.raises(SavedObjectError, match="reports that it imported dashboard/lol-matches-live, but does not"):
            client.put(DASHBOARD)

    def test_an_object_under_another_id_is_seen(self, client: SavedObjectClient, kibana: FakeKibana) -> None:
        kibana.other_id = "5c5a3a4e"
        with pytest.raises(SavedObjectError, match="taken in another space, and it became 5c5a3a4e"):
            client.put(DASHBOARD)

    def test_a_kibana_that_starts_is_waited_for(self, client: SavedObjectClient, kibana: FakeKibana) -> None:
        kibana.not_ready_for = 1
        kibana.levels = ["degraded"]
        client.put(DASHBOARD)
        assert (kibana.imports, kibana.levels) == (1, [])

    @pytest.mark.usefixtures("quick")
    def test_one_that_does_not_become_ready_is_an_error(self, client: SavedObjectClient, kibana: FakeKibana) -> None:
        kibana.not_ready_for = 100
        with pytest.raises(KibanaUnavailableError, match=r"not available after 0.1 s: .* is not ready yet"):
            client.put(DASHBOARD)
        kibana.not_ready_for, kibana.levels = 0, ["critical"] * 100
        with pytest.raises(KibanaUnavailableError, match="its status is critical"):
            client.put(DASHBOARD)
        assert kibana.imports == 0

    def test_what_kibana_refuses_is_an_error_with_its_words(
        self, client: SavedObjectClient, kibana: FakeKibana, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: Any) -> tuple[int, str]:
            return 422, "belongs to a more recent version of Kibana"

        monkeypatch.setattr(kibana, "answer", refuse)
        with pytest.raises(SavedObjectError, match=r"answers 422 to POST .*_export: belongs to a more recent version"):
            client.read(*KEY)
        with pytest.raises(SavedObjectError, match=r"answers 422 to DELETE .*: belongs to a more recent version"):
            client.delete(*KEY)


class TestResource:
    """What Pulumi calls, in its order."""

    @pytest.fixture
    def inputs(self, kibana: FakeKibana) -> dict[str, Any]:
        return {"url": kibana.url, "name": "/".join(KEY), "body": json.dumps(DASHBOARD), "stored": None}

    @pytest.fixture
    def state(self, inputs: dict[str, Any]) -> dict[str, Any]:
        created = _Provider().create(inputs)
        assert created.outs is not None
        return dict(created.outs)

    @staticmethod
    def refreshed(state: dict[str, Any]) -> dict[str, Any]:
        return dict(_Provider().read("id", state).outs or {})

    def test_nothing_was_changed(self, state: dict[str, Any], inputs: dict[str, Any]) -> None:
        """However Kibana stores it: versions it raises and keys it adds are no change."""
        assert not _Provider().diff("id", self.refreshed(state), inputs).changes

    def test_an_edit_by_hand_is_a_change_and_update_takes_it_back(
        self, kibana: FakeKibana, state: dict[str, Any], inputs: dict[str, Any]
    ) -> None:
        kibana.objects[KEY]["attributes"]["timeFrom"] = "now-7d"
        drifted = self.refreshed(state)
        assert "now-7d" in drifted["body"]
        assert json.loads(drifted["body"])["typeMigrationVersion"] == DASHBOARD["typeMigrationVersion"]
        change = _Provider().diff("id", drifted, inputs)
        assert change.changes
        assert not change.replaces
        mended = dict(_Provider().update("id", drifted, inputs).outs or {})
        assert kibana.objects[KEY]["attributes"]["timeFrom"] == "now-1h"
        assert not _Provider().diff("id", self.refreshed(mended), inputs).changes

    def test_what_was_deleted_by_hand_is_gone(self, kibana: FakeKibana, state: dict[str, Any]) -> None:
        kibana.objects.clear()
        assert _Provider().read("id", state).id is None

    def test_what_is_in_a_kibana_that_is_away_is_to_be_made_again(
        self, kibana: FakeKibana, state: dict[str, Any]
    ) -> None:
        kibana.not_ready_for = 1
        assert _Provider().read("id", state).id is None
        assert _Provider().read("id", state | {"url": "http://127.0.0.1:1"}).id is None

    def test_another_file_is_an_update_another_name_a_replacement(
        self, state: dict[str, Any], inputs: dict[str, Any]
    ) -> None:
        assert _Provider().diff("id", state, inputs | {"body": "{}"}).changes
        assert _Provider().diff("id", state, inputs | {"url": "http://localhost:1"}).changes
        assert _Provider().diff("id", state, inputs | {"name": "dashboard/other"}).replaces == ["name"]

    def test_delete(self, kibana: FakeKibana, state: dict[str, Any]) -> None:
        _Provider().delete("id", state)
        assert kibana.objects == {}


class TestSave:
    """What was edited in Kibana comes into the files."""

    @pytest.fixture
    def folder(self, tmp_path: Path, client: SavedObjectClient) -> Path:
        """A copy of the files, all of them imported."""
        folder = Path(shutil.copytree(OBJECTS, tmp_path / "kibana"))
        for path in folder.glob("*/*.json"):
            client.put(json.loads(path.read_text()))
        return folder

    def test_only_what_was_edited_is_another(self, kibana: FakeKibana, client: SavedObjectClient, folder: Path) -> None:
        # The fake Kibana migrates, a difference of its own: take that in first.
        kibana_export.save(client, folder)
        assert kibana_export.save(client, folder) == []
        kibana.objects["lens", "lol-sides"]["attributes"]["title"] = "Sides"
        assert kibana_export.save(client, folder) == ["lens/lol-sides.json"]
        before = (OBJECTS / "lens" / "lol-sides.json").read_text().splitlines()
        after = (folder / "lens" / "lol-sides.json").read_text().splitlines()
        assert {line.strip() for line in after} - {line.strip() for line in before} == {
            '"title": "Sides",',
            '"typeMigrationVersion": "10.9.0"',
        }

    def test_a_panel_that_is_off_the_dashboard_has_no_file_any_more_and_a_new_one_has(
        self, kibana: FakeKibana, client: SavedObjectClient, folder: Path
    ) -> None:
        kibana_export.save(client, folder)
        sides = kibana.objects["lens", "lol-sides"]
        kibana.objects["lens", "new"] = sides | {"id": "new"}
        reference = next(each for each in kibana.objects[KEY]["references"] if each["id"] == "lol-sides")
        reference["id"] = "new"
        changed = kibana_export.save(client, folder)
        assert changed == ["dashboard/lol-matches-live.json", "lens/lol-sides.json", "lens/new.json"]
        assert not (folder / "lens" / "lol-sides.json").exists()

    def test_a_dashboard_that_is_gone_changes_nothing(
        self, kibana: FakeKibana, client: SavedObjectClient, folder: Path
    ) -> None:
        kibana.objects.clear()
        with pytest.raises(SavedObjectError, match="there is no dashboard lol-matches-live in Kibana"):
            kibana_export.save(client, folder)
        assert len(list(folder.glob("*/*.json"))) == len(list(OBJECTS.glob("*/*.json")))


def test_the_program_declares_them_where_there_is_a_kibana(monkeypatch: pytest.MonkeyPatch) -> None:
    declared = declare("registry", monkeypatch).resources["pulumi-python:dynamic/kibana:SavedObject"]
    assert {f"{name}.json" for name in declared} == {
        str(path.relative_to(OBJECTS)) for path in OBJECTS.glob("*/*.json")
    }
    assert {each["url"] for each in declared.values()} == {
        f"http://localhost:{settings().host_ports('unit')['kibanaPort']}"
    }
