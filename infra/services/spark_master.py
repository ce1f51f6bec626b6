"""Spark's standalone master."""

from __future__ import annotations

from infra import users
from infra.names import CURL_CONFIG, SPARK_MASTER_PORT, SPARK_MASTER_UI_PORT
from infra.services.base import (
    JVM_EXITS_ON_OUT_OF_MEMORY,
    JVM_STARTS_QUICKLY,
    ContainerSpec,
    Deployment,
    HealthCheck,
    ScrapeEndpoint,
    Service,
)
from infra.services.spark import PROPERTIES, config_files
from infra.services.web_login import monitor_login

NAME = "spark-master"
RECOVERY_DIRECTORY = "/home/spark/recovery"
PROPERTIES_ARGUMENT = ("--properties-file", PROPERTIES)
ARCHIVE = "-XX:SharedArchiveFile=/opt/spark/spark.jsa"
DAEMON_JVM_OPTIONS = f"-XX:+UseSerialGC {JVM_STARTS_QUICKLY} {ARCHIVE} {JVM_EXITS_ON_OUT_OF_MEMORY}"
"""JVM options of the master and the workers."""

# The workers' `status` is called `state`.
HEALTH_CHECK = (
    f"""curl -fsSK {CURL_CONFIG} http://127.0.0.1:{SPARK_MASTER_UI_PORT}/json/ | grep -q '"status" *: *"ALIVE"'"""
)


class SparkMaster(Service):
    """The cluster's master: workers and the job register with it."""

    def __init__(self, deployment: Deployment) -> None:
        settings = deployment.settings
        super().__init__(
            deployment,
            NAME,
            ContainerSpec(
                image="spark",
                user=users.SPARK,
                memory_mib=settings.spark_master_memory,
                command=[
                    "/opt/spark/bin/spark-class",
                    "org.apache.spark.deploy.master.Master",
                    *PROPERTIES_ARGUMENT,
                    *("--host", NAME, "--port", str(SPARK_MASTER_PORT), "--webui-port", str(SPARK_MASTER_UI_PORT)),
                ],
                environment={
                    "SPARK_DAEMON_MEMORY": f"{settings.spark_master_memory // 2}m",
                    "SPARK_DAEMON_JAVA_OPTS": DAEMON_JVM_OPTIONS,
                    # A restarted master ends the executors of a job that it does not know, and that job waits for new
                    # ones forever. For a job that has ended meanwhile, the master waits until the timeout.
                    "SPARK_MASTER_OPTS": "-Dspark.deploy.recoveryMode=FILESYSTEM "
                    f"-Dspark.deploy.recoveryDirectory={RECOVERY_DIRECTORY} -Dspark.deploy.recoveryTimeout=15s",
                },
                files=config_files(deployment),
                # Not the RPC port: only workers and the job need it.
                ports={SPARK_MASTER_UI_PORT: settings.spark_master_ui_port},
                scrape_endpoints=[
                    ScrapeEndpoint(NAME, SPARK_MASTER_UI_PORT, "/metrics/master/prometheus/", monitor_login(deployment))
                ],
                health=HealthCheck(["sh", "-c", HEALTH_CHECK], start_timeout_seconds=90),
            ),
        )
        self.master_url = f"spark://{NAME}:{SPARK_MASTER_PORT}"
        """For workers and applications in the stack's network."""
