"""Grafana's dashboards "Pipeline" and "Services", built with Grafana's foundation SDK.

Importing this package imports the SDK (0.1 s, 8 MB): import it only where Grafana is deployed.
"""

from __future__ import annotations

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from infra.grafana.pipeline import pipeline
from infra.grafana.services import services


def dashboards(generator: bool) -> dict[str, str]:
    """Each dashboard's JSON by its uid. The text is deterministic.

    `generator`: whether the stack has a generator to show.
    """
    encoder = JSONEncoder(sort_keys=True, indent=1)
    return {str(dashboard.uid): encoder.encode(dashboard) for dashboard in (pipeline(), services(generator))}
