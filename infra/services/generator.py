"""The stack's own producer of realistic matches."""

from __future__ import annotations

from infra.services.base import Container, Deployment, HealthCheck, Service
from infra.services.kafka import Kafka
from infra.services.spark_job import SparkJob

METRICS_PORT = 8000


class Generator(Service):
    """Sends matches to `topic` without end. It comes after the job, which by default starts at the topic's end."""

    def __init__(self, deployment: Deployment, kafka: Kafka, topic: str, job: SparkJob) -> None:
        settings = deployment.settings
        options = {
            "--bootstrap-servers": kafka.bootstrap_servers,
            "--topic": topic,
            "--mode": "continuous",
            "--rate": settings.generator_rate,
            "--size": settings.generator_size,
            "--duplicates": settings.generator_duplicates_percent / 100,
            "--remakes": settings.generator_remakes_percent / 100,
            "--empty-positions": settings.generator_empty_positions_percent / 100,
            "--poison": settings.generator_poison_percent / 100,
            "--metrics-port": METRICS_PORT,
        }
        if settings.generator_seed >= 0:
            options["--seed"] = settings.generator_seed
        super().__init__(
            deployment,
            "generator",
            Container(
                image="generator",
                user="10001:10001",
                memory_mib=settings.generator_memory,
                command=[
                    *("/opt/venv/bin/python", "-m", "generator"),
                    *(str(word) for option in options.items() for word in option),
                ],
                health=HealthCheck(
                    ["curl", "-fsS", "-o", "/dev/null", f"http://127.0.0.1:{METRICS_PORT}/metrics"], limit_seconds=60
                ),
                grace_seconds=20,
            ),
            after=[job],
        )
