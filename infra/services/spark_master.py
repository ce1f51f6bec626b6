"""Spark's standalone master."""

from __future__ import annotations

from infra import users
from infra.names import CURL_CONFIG, SPARK_MASTER_PORT, SPARK_MASTER_UI_PORT
from infra.services import file_text
from infra.services.base import (
    JVM_EXITS_ON_OUT_OF_MEMORY,
    JVM_STARTS_QUICKLY,
    ConfigFile,
    ContainerSpec,
    Deployment,
    HealthCheck,
    Mount,
    ScrapeEndpoint,
    Service,
)
from infra.services.spark import PROPERTIES, config_files
from infra.services.web_login import monitor_login

NAME = "spark-master"
RECOVERY_DIRECTORY = "/var/lib/lolstack/spark-master"
"""What the master knows of workers and applications, in a volume: it must outlive the container."""
START_SCRIPT = "/etc/lolstack/start_spark_master.sh"
PROPERTIES_ARGUMENT = ("--properties-file", PROPERTIES)
ARCHIVE = "-XX:SharedArchiveFile=/opt/spark/spark.jsa"
DAEMON_JVM_OPTIONS = f"-XX:+UseSerialGC {JVM_STARTS_QUICKLY} {ARCHIVE} {JVM_EXITS_ON_OUT_OF_MEMORY}"
"""JVM options of the master and the workers."""

# The workers' `status` is called `state`. A master that cannot read its recovery files stays STANDBY; the start script
# then removes them. At a start each master is STANDBY for a moment, so a second failed check in a row decides.
HEALTH_CHECK = f"""
page=$(curl -fsSK {CURL_CONFIG} http://127.0.0.1:{SPARK_MASTER_UI_PORT}/json/) || exit 1
if ! echo "$page" | grep -q '"status" *: *"STANDBY"'; then
  rm -f {RECOVERY_DIRECTORY}/unreadable
elif [ -s /dev/shm/health-check.failed ]; then
  touch {RECOVERY_DIRECTORY}/unreadable
fi
echo "$page" | grep -q '"status" *: *"ALIVE"'
"""


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
                    "sh",
                    START_SCRIPT,
                    RECOVERY_DIRECTORY,
                    deployment.images.id_of("spark"),
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
                files=[
                    ConfigFile(START_SCRIPT, file_text("start_spark_master.sh")),
                    *config_files(deployment),
                ],
                # Not the RPC port: only workers and the job need it.
                ports={SPARK_MASTER_UI_PORT: settings.spark_master_ui_port},
                scrape_endpoints=[
                    ScrapeEndpoint(NAME, SPARK_MASTER_UI_PORT, "/metrics/master/prometheus/", monitor_login(deployment))
                ],
                mounts=[Mount("spark-master", RECOVERY_DIRECTORY)],
                health=HealthCheck(["sh", "-c", HEALTH_CHECK], start_timeout_seconds=90),
            ),
        )
        self.master_url = f"spark://{NAME}:{SPARK_MASTER_PORT}"
        """For workers and applications in the stack's network."""
