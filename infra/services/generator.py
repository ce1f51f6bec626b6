"""The generator: the stack's own producer of realistic matches."""

from __future__ import annotations

import pulumi

from infra import users
from infra.logins import user_of
from infra.names import GENERATOR_NETWORK, MATCHES_TOPIC, METRICS_PORT
from infra.services.base import ConfigFile, ContainerSpec, Deployment, HealthCheck, ScrapeEndpoint, Service
from infra.services.kafka import Kafka
from infra.services.spark_job import SparkJob
from infra.services.web_login import curl_config, hanging_check, monitor_login

LOGIN, METRICS_LOGIN = "/etc/lolstack/kafka.properties", "/etc/lolstack/metrics-login"
HEALTH_CHECK = hanging_check("generator_hanging")


class Generator(Service):
    """Sends matches to the topic continuously. It starts after the job, which by default reads from `latest`."""

    def __init__(self, deployment: Deployment, kafka: Kafka, job: SparkJob, kafka_users: pulumi.Resource) -> None:
        settings = deployment.settings
        options = {
            "--bootstrap-servers": kafka.bootstrap_servers,
            "--client-config": LOGIN,
            "--topic": MATCHES_TOPIC,
            "--rate": settings.generator_rate,
            "--size": settings.generator_size,
            "--modes": settings.generator_modes,
            "--duplicates": settings.generator_duplicates_percent / 100,
            "--remakes": settings.generator_remakes_percent / 100,
            "--empty-positions": settings.generator_empty_positions_percent / 100,
            "--poison": settings.generator_poison_percent / 100,
            "--metrics-port": METRICS_PORT,
        }
        if settings.generator_seed >= 0:
            options["--seed"] = settings.generator_seed
        files = [ConfigFile(LOGIN, kafka.client_properties("generator")), curl_config(deployment)]
        login = monitor_login(deployment)
        if login:
            options["--metrics-login"] = METRICS_LOGIN
            text = pulumi.Output.concat(user_of(login), ":", deployment.password(login), "\n")
            files.append(ConfigFile(METRICS_LOGIN, text))
        super().__init__(
            deployment,
            "generator",
            ContainerSpec(
                image="generator",
                user=users.GENERATOR,
                memory_mib=settings.generator_memory,
                command=[
                    *("/opt/venv/bin/python", "-m", "generator"),
                    *(str(word) for option in options.items() for word in option),
                ],
                files=files,
                networks=[GENERATOR_NETWORK],
                scrape_endpoints=[ScrapeEndpoint("generator", METRICS_PORT, login=login)],
                health=HealthCheck(HEALTH_CHECK, start_timeout_seconds=60),
                grace_seconds=20,
            ),
            depends_on=[job],
            provisioned=[kafka_users],
        )
