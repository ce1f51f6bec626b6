"""The dashboard's login: no page before it, none where the settings have none. Streamlit runs the pages in the test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from streamlit.testing.v1 import AppTest

from dashboard import settings, sources
from dashboard.sources import Source
from infra.logins import sha256
from infra.names import ROOT

SOURCES = {
    "stack": "unit",
    "elasticsearch": {"url": "http://127.0.0.1:9"},
    "prometheus": {"url": "http://127.0.0.1:9"},
    "kafka": {"bootstrap.servers": "127.0.0.1:9"},
    "window_slide_seconds": 60,
}
Open = Callable[..., AppTest]


@pytest.fixture
def open_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Opens the dashboard in a new session, with further settings."""
    for name in ("matches", "filter_values", "pipeline_figures"):
        monkeypatch.setattr(sources, name, Source(lambda *_: None))

    def run(**further: str) -> AppTest:
        file = tmp_path / "dashboard.yaml"
        file.write_text(yaml.safe_dump(SOURCES | further))
        monkeypatch.setenv(settings.VARIABLE, str(file))
        settings.read_settings.cache_clear()
        return AppTest.from_file(str(ROOT / "dashboard" / "app.py"), default_timeout=30).run()

    return run


def log_in(app: AppTest, user: str, password: str) -> AppTest:
    app.text_input[0].input(user)
    app.text_input[1].input(password)
    return app.button[0].click().run()


def has_page(app: AppTest) -> bool:
    """Whether the choice of pages is there."""
    return len(app.button_group) > 0


def test_dashboard_without_a_login_in_its_settings_is_open(open_app: Open) -> None:
    assert has_page(open_app())


def test_no_page_is_shown_before_the_login(open_app: Open) -> None:
    app = open_app(login_sha256=sha256("operator", "right"))
    assert not has_page(app)
    assert [field.label for field in app.text_input] == ["User", "Password"]


@pytest.mark.parametrize(
    ("user", "password"), [("operator", "wrong"), ("operator", ""), ("", ""), ("operator:right", ""), ("root", "right")]
)
def test_wrong_login_is_refused(open_app: Open, user: str, password: str) -> None:
    app = log_in(open_app(login_sha256=sha256("operator", "right")), user, password)
    assert not has_page(app)
    assert [error.value for error in app.error] == ["User or password is wrong."]


def test_login_holds_for_the_session_and_for_no_other(open_app: Open) -> None:
    login = {"login_sha256": sha256("operator", "right")}
    app = log_in(open_app(**login), "operator", "right")
    assert has_page(app)
    assert has_page(app.run())
    assert not has_page(open_app(**login))
