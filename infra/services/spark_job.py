"""The streaming job: the supervised container of its Spark driver."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

from infra import users
from infra.names import CHECKPOINTS, CURL_CONFIG, JOB_SETTINGS, METRICS_PORT, SPARK_JOB_UI_PORT
from infra.services.base import (
    EXIT_NOT_READY,
    ConfigFile,
    ContainerSpec,
    Deployment,
    HealthCheck,
    Mount,
    ScrapeEndpoint,
    Service,
    yaml_text,
)
from infra.services.elasticsearch import Elasticsearch
from infra.services.kafka import Kafka
from infra.services.spark import PROPERTIES, config_files
from infra.services.spark_master import SparkMaster
from infra.services.web_login import monitor_login, monitor_settings
from job.settings import deep_merge, with_overrides

NAME = "spark-job"
_URL = f"http://127.0.0.1:{METRICS_PORT}"
# /alive succeeds while the job waits for a service, and fails if the query hangs.
_CURL = f"curl -fsSK {CURL_CONFIG}"
HEALTH_CHECK = f"{_CURL} {_URL}/health || {{ {_CURL} -o /dev/null {_URL}/alive && exit {EXIT_NOT_READY}; exit 1; }}"


class SparkJob(Service):
    """The driver. Docker restarts it when it exits. New code or settings replace only this container, and the job
    resumes from its checkpoint."""

    def __init__(
        self,
        deployment: Deployment,
        master: SparkMaster,
        kafka: Kafka,
        elasticsearch: Elasticsearch,
        provisioned: Sequence[pulumi.Resource],
    ) -> None:
        settings = deployment.settings
        overrides = deep_merge(
            {
                "master": master.master_url,
                "spark_properties_file": PROPERTIES,
                "driver": {"host": NAME},
                "kafka": kafka.job_settings("job"),
                "elasticsearch": {
                    "hosts": elasticsearch.hosts,
                    **elasticsearch.login("job"),
                    "ca_certificate": elasticsearch.ca_certificate,
                },
                "checkpoint_location": f"file://{CHECKPOINTS}",
                "http": monitor_settings(deployment),
            },
            # The archive is a process of its own: a change of its section does not restart the job.
            {section: values for section, values in settings.job.items() if section != "archive"},
        )
        login = monitor_login(deployment)
        super().__init__(
            deployment,
            NAME,
            ContainerSpec(
                image="job",
                user=users.SPARK,
                memory_mib=settings.spark_job_memory,
                command=["/opt/venv/bin/python", "-m", "job", "--config", JOB_SETTINGS],
                files=[ConfigFile(JOB_SETTINGS, yaml_text(overrides)), *config_files(deployment)],
                ports={SPARK_JOB_UI_PORT: settings.spark_job_ui_port},
                scrape_endpoints=[
                    ScrapeEndpoint("spark-driver", SPARK_JOB_UI_PORT, "/metrics/prometheus/", login),
                    ScrapeEndpoint("spark-executors", SPARK_JOB_UI_PORT, "/metrics/executors/prometheus", login),
                    ScrapeEndpoint("job", METRICS_PORT, login=login),
                ],
                mounts=[Mount("checkpoints", CHECKPOINTS)],
                health=HealthCheck(["sh", "-c", HEALTH_CHECK], start_timeout_seconds=180),
                grace_seconds=with_overrides(settings.job).stop_grace_seconds + 5,
            ),
            depends_on=[master, kafka, elasticsearch],  # Spark waits for the workers by itself
            provisioned=provisioned,
        )
