"""The page "Pipeline"."""

from __future__ import annotations

from datetime import UTC, datetime

import streamlit as st

from analytics import charts
from analytics.key_figures import explain_missing_metrics, key_figures
from dashboard import page, sources
from dashboard.controls import controls
from dashboard.view import View
from infra.clients.prometheus import Alert


def show() -> None:
    """The page."""
    page.refreshed_view(_draw, controls())


def _draw(view: View) -> None:
    pipeline, figures, alerts = sources.pipeline(view), sources.pipeline_figures(view), sources.alerts()
    page.problems(pipeline, figures, alerts)
    with st.container(key="data"):
        if not pipeline.data or not pipeline.time_range:
            return
        time_range, metrics = pipeline.time_range, pipeline.data
        page.tiles(key_figures(None, figures.data, time_range, datetime.now(UTC)))
        if figures.data:
            page.hint(explain_missing_metrics(figures.data.oldest_sample, time_range))
        if alerts.data is not None:
            _draw_alerts(alerts.data)
        page.chart_cards([*charts.pipeline_charts(metrics, time_range), *charts.stage_charts(metrics, time_range)])


def _draw_alerts(alerts: list[Alert]) -> None:
    with st.container(key="card-alerts"):
        page.heading("Alerts", "firing or pending in Prometheus")
        if not alerts:
            st.html('<p class="empty short">no alert is active</p>')
        for alert in alerts:
            since = f" since {alert.active_at:%Y-%m-%d %H:%M} UTC" if alert.active_at else ""
            st.html(
                f'<div class="alert {"bad" if alert.state == "firing" else ""}"><h4>{page.text(alert.name)}: '
                f"{page.text(alert.summary)}</h4>"
                f'<p class="note">{page.text(alert.state)}{since}, {page.text(alert.severity)}. '
                f"{page.text(alert.description)}</p><pre>{page.text(alert.runbook.strip())}</pre></div>"
            )
