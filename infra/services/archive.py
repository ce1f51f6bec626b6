"""The archive of raw matches: what takes them from the topic to Cassandra."""

from __future__ import annotations

import pulumi
import yaml

from infra.services.base import Container, Deployment, File, HealthCheck, Service
from infra.services.cassandra import Cassandra
from infra.services.kafka import Kafka
from infra.services.spark_job import CONFIG
from infra.services.spark_master import SPARK_USER
from job.settings import laid_over, merged


class Archive(Service):
    """A process of the job's image beside the job. It has a tenth of the others' claim to processor time where that is
    short, so that a backlog is indexed first and archived after."""

    def __init__(self, deployment: Deployment, kafka: Kafka, cassandra: Cassandra, topic: pulumi.Resource) -> None:
        settings = deployment.settings
        overrides = laid_over({"kafka": {"bootstrap_servers": kafka.bootstrap_servers}}, settings.job)
        effective = merged(overrides)
        super().__init__(
            deployment,
            "archive",
            Container(
                image="job",
                user=SPARK_USER,
                memory_mib=settings.archive_memory,
                cpu_shares=100,
                command=["/opt/venv/bin/python", "-m", "job.archive", "--config", CONFIG],
                files=[File(CONFIG, yaml.safe_dump(overrides, sort_keys=False))],
                health=HealthCheck(
                    ["curl", "-fsS", "-o", "/dev/null", f"http://127.0.0.1:{effective.http.port}/metrics"],
                    limit_seconds=180,
                ),
                grace_seconds=20,
            ),
            after=[kafka, cassandra],
            provisioned=[topic],
        )
