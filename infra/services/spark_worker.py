"""Spark's standalone workers: they run the job's executors."""

from __future__ import annotations

import pulumi_docker as docker

from infra.services.base import Container, Deployment, HealthCheck, Mount, Service
from infra.services.spark_master import SPARK_USER, SparkMaster
from infra.settings import WORKER_EXTRA_MIB

CHECKPOINTS = "/var/lib/lolstack/checkpoints"
LOCAL = "/home/spark/local"
DAEMON_HEAP_MIB = 128

# The master is asked: a worker that it does not know serves nobody.
ASK = """
import json, socket, sys, urllib.request
workers = json.load(urllib.request.urlopen("http://spark-master:8080/json/", timeout=5))["workers"]
alive = any(worker["host"] == socket.gethostname() and worker["state"] == "ALIVE" for worker in workers)
sys.exit(None if alive else "the master does not know this worker")
"""


class SparkWorker(Service):
    """The `number`-th worker, from 1. `checkpoints` is shared with the driver: executors keep their state there."""

    def __init__(self, deployment: Deployment, number: int, master: SparkMaster, checkpoints: docker.Volume) -> None:
        settings = deployment.settings
        name = "spark-worker" if number == 1 else f"spark-worker-{number}"
        super().__init__(
            deployment,
            name,
            Container(
                image="spark",
                user=SPARK_USER,
                init=True,
                memory_mib=settings.spark_worker_memory,
                command=[
                    "/opt/spark/bin/spark-class",
                    "org.apache.spark.deploy.worker.Worker",
                    *("--host", name, "--webui-port", "8081"),
                    *("--cores", str(settings.spark_worker_cores)),
                    *("--memory", f"{settings.spark_worker_memory - WORKER_EXTRA_MIB}m"),
                    master.master_url,
                ],
                environment={
                    "SPARK_DAEMON_MEMORY": f"{DAEMON_HEAP_MIB}m",
                    "SPARK_DAEMON_JAVA_OPTS": "-XX:+UseSerialGC",
                    # What executors shuffle needs the disk's room: a backlog fills the memory that /tmp is.
                    "SPARK_LOCAL_DIRS": LOCAL,
                    # Each start of the job leaves a copy of its code and logs.
                    "SPARK_WORKER_OPTS": "-Dspark.worker.cleanup.enabled=true -Dspark.worker.cleanup.appDataTtl=86400",
                },
                ports={8081: settings.spark_worker_ui_port + number - 1},
                mounts=[Mount(checkpoints, CHECKPOINTS)],
                health=HealthCheck(["python3", "-c", ASK], limit_seconds=90),
            ),
            after=[master],
        )
