"""The streaming job: its driver, supervised, on the Spark cluster."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_docker as docker
import yaml

from infra.services.base import Container, Deployment, File, HealthCheck, Mount, Service
from infra.services.elasticsearch import Elasticsearch
from infra.services.kafka import Kafka
from infra.services.spark_master import SPARK_USER, SparkMaster
from infra.services.spark_worker import CHECKPOINTS, SparkWorker
from job.settings import laid_over, merged

CONFIG = "/etc/lolstack/job.yaml"


class SparkJob(Service):
    """The driver. Docker starts it again when it ends; new code or settings replace this container and nothing else,
    and it goes on from its checkpoint."""

    def __init__(
        self,
        deployment: Deployment,
        master: SparkMaster,
        workers: Sequence[SparkWorker],
        kafka: Kafka,
        elasticsearch: Elasticsearch,
        checkpoints: docker.Volume,
        provisioned: Sequence[pulumi.Resource],
    ) -> None:
        settings = deployment.settings
        overrides = laid_over(
            {
                "master": master.master_url,
                "driver": {"host": "spark-job"},
                "kafka": {"bootstrap_servers": kafka.bootstrap_servers},
                "elasticsearch": {"hosts": elasticsearch.hosts},
                "checkpoint_location": f"file://{CHECKPOINTS}",
            },
            settings.job,
        )
        effective = merged(overrides)
        super().__init__(
            deployment,
            "spark-job",
            Container(
                image="job",
                user=SPARK_USER,
                init=True,
                memory_mib=settings.spark_job_memory,
                command=["/opt/venv/bin/python", "-m", "job", "--config", CONFIG],
                files=[File(CONFIG, yaml.safe_dump(overrides, sort_keys=False))],
                ports={effective.driver.ui_port: settings.spark_job_ui_port},
                mounts=[Mount(checkpoints, CHECKPOINTS)],
                health=HealthCheck(
                    ["curl", "-fsS", f"http://127.0.0.1:{effective.http.port}/health"], limit_seconds=180
                ),
                grace_seconds=effective.stop_grace_seconds + 5,
            ),
            after=[*workers, kafka, elasticsearch],
            provisioned=provisioned,
        )
