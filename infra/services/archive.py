"""The archive of raw matches: a consumer that copies them from the Kafka topic to Cassandra."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

from infra import users
from infra.logins import CASSANDRA_ARCHIVE, user_of
from infra.names import JOB_SETTINGS, METRICS_PORT
from infra.services.base import (
    ConfigFile,
    ContainerSpec,
    Deployment,
    HealthCheck,
    ScrapeEndpoint,
    Service,
    yaml_text,
)
from infra.services.cassandra import Cassandra
from infra.services.kafka import Kafka
from infra.services.web_login import curl_config, hanging_check, monitor_login, monitor_settings
from job.settings import deep_merge

HEALTH_CHECK = hanging_check("lol_archive_hanging")

SECTIONS = ("archive", "event_time", "http", "kafka", "log")
"""The sections of the job's settings that it reads. A change of another one does not restart it."""


class Archive(Service):
    """The archive's consumer, from the job's image. Its CPU shares are a tenth of the others': where processor time is
    short, a backlog is indexed first and archived afterwards."""

    def __init__(
        self, deployment: Deployment, kafka: Kafka, cassandra: Cassandra, provisioned: Sequence[pulumi.Resource]
    ) -> None:
        settings = deployment.settings
        overrides = deep_merge(
            {
                "kafka": kafka.job_settings("archive"),
                "archive": {
                    "username": user_of(CASSANDRA_ARCHIVE),
                    "password": deployment.password(CASSANDRA_ARCHIVE),
                },
                "http": monitor_settings(deployment),
            },
            {section: values for section, values in settings.job.items() if section in SECTIONS},
        )
        super().__init__(
            deployment,
            "archive",
            ContainerSpec(
                image="job",
                user=users.SPARK,
                memory_mib=settings.archive_memory,
                cpu_shares=100,
                command=["/opt/venv/bin/python", "-m", "job.archive", "--config", JOB_SETTINGS],
                files=[ConfigFile(JOB_SETTINGS, yaml_text(overrides)), curl_config(deployment)],
                scrape_endpoints=[ScrapeEndpoint("archive", METRICS_PORT, login=monitor_login(deployment))],
                health=HealthCheck(HEALTH_CHECK, start_timeout_seconds=180),
                grace_seconds=20,
            ),
            depends_on=[kafka, cassandra],
            provisioned=provisioned,
        )
