"""The dashboards of Grafana, made with Grafana's own foundation SDK: "Pipeline" and "Services".

Importing this package imports the SDK (0.1 s, 8 MB): do so only where Grafana is deployed.
"""

from __future__ import annotations

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from infra.grafana.pipeline import pipeline
from infra.grafana.services import services


def dashboards(generator: bool) -> dict[str, str]:
    """Each dashboard's JSON by its uid; the same text for the same argument.

    `generator`: whether the stack has a generator of its own to show.
    """
    encoder = JSONEncoder(sort_keys=True, indent=1)
    return {str(dashboard.uid): encoder.encode(dashboard) for dashboard in (pipeline(), services(generator))}
