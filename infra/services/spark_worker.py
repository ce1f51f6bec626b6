"""Spark's standalone workers: they run the job's executors."""

from __future__ import annotations

from infra import users
from infra.names import CHECKPOINTS, CURL_CONFIG, SPARK_MASTER_UI_PORT, SPARK_WORKER_UI_PORT
from infra.services.base import (
    EXIT_NOT_READY,
    ContainerSpec,
    Deployment,
    HealthCheck,
    Mount,
    ScrapeEndpoint,
    Service,
)
from infra.services.spark import config_files
from infra.services.spark_master import DAEMON_JVM_OPTIONS, PROPERTIES_ARGUMENT, SparkMaster
from infra.services.spark_master import NAME as MASTER
from infra.services.web_login import monitor_login
from infra.settings import WORKER_EXTRA_MIB, worker_name

SPARK_LOCAL_DIR = "/home/spark/local"
DAEMON_HEAP_MIB = 128

# Queries the worker, and the master: a worker that is not registered there receives no executor. While the master does
# not answer, the worker is alive: its executors keep running without a master, and a restart would end them.
HEALTH_CHECK = f"""
curl -fsSK {CURL_CONFIG} -m 3 -o /dev/null http://127.0.0.1:{SPARK_WORKER_UI_PORT}/json/ || exit 1
master=$(curl -fsSK {CURL_CONFIG} -m 3 http://{MASTER}:{SPARK_MASTER_UI_PORT}/json/) || exit {EXIT_NOT_READY}
echo "$master" | python3 -ISc '
import json, socket, sys
for worker in json.load(sys.stdin)["workers"]:
    if (worker["host"], worker["state"]) == (socket.gethostname(), "ALIVE"):
        sys.exit()
sys.exit("the master does not know this worker")
'
"""


class SparkWorker(Service):
    """The `number`-th worker, from 1. It shares `checkpoints` with the driver: executors keep state there."""

    def __init__(self, deployment: Deployment, number: int, master: SparkMaster) -> None:
        settings = deployment.settings
        name = worker_name(number)
        super().__init__(
            deployment,
            name,
            ContainerSpec(
                image="spark",
                user=users.SPARK,
                memory_mib=settings.spark_worker_memory,
                command=[
                    "/opt/spark/bin/spark-class",
                    "org.apache.spark.deploy.worker.Worker",
                    *PROPERTIES_ARGUMENT,
                    *("--host", name, "--webui-port", str(SPARK_WORKER_UI_PORT)),
                    *("--cores", str(settings.spark_worker_cores)),
                    *("--memory", f"{settings.spark_worker_memory - WORKER_EXTRA_MIB}m"),
                    master.master_url,
                ],
                environment={
                    "SPARK_DAEMON_MEMORY": f"{DAEMON_HEAP_MIB}m",
                    "SPARK_DAEMON_JAVA_OPTS": DAEMON_JVM_OPTIONS,
                    # On disk: /tmp is memory, and the shuffle files of a backlog would fill it.
                    "SPARK_LOCAL_DIRS": SPARK_LOCAL_DIR,
                    # Each start of the job leaves a copy of its code and logs.
                    "SPARK_WORKER_OPTS": "-Dspark.worker.cleanup.enabled=true -Dspark.worker.cleanup.appDataTtl=86400",
                },
                files=config_files(deployment),
                ports={SPARK_WORKER_UI_PORT: settings.spark_worker_ui_port + number - 1},
                scrape_endpoints=[
                    ScrapeEndpoint(
                        "spark-worker", SPARK_WORKER_UI_PORT, "/metrics/prometheus/", monitor_login(deployment)
                    )
                ],
                mounts=[Mount("checkpoints", CHECKPOINTS)],
                health=HealthCheck(["sh", "-c", HEALTH_CHECK], start_timeout_seconds=90),
            ),
            depends_on=[master],
        )
