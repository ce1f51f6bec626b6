"""Spark's standalone master."""

from __future__ import annotations

from infra.services.base import Container, Deployment, HealthCheck, Service

SPARK_USER = "185:185"

ASK = """
import json, sys, urllib.request
master = json.load(urllib.request.urlopen("http://127.0.0.1:8080/json/", timeout=5))
sys.exit(None if master["status"] == "ALIVE" else "the master is " + master["status"])
"""


class SparkMaster(Service):
    """The cluster's master: workers and the job register with it."""

    def __init__(self, deployment: Deployment) -> None:
        settings = deployment.settings
        super().__init__(
            deployment,
            "spark-master",
            Container(
                image="spark",
                user=SPARK_USER,
                init=True,
                memory_mib=settings.spark_master_memory,
                command=[
                    "/opt/spark/bin/spark-class",
                    "org.apache.spark.deploy.master.Master",
                    *("--host", "spark-master", "--port", "7077", "--webui-port", "8080"),
                ],
                environment={
                    "SPARK_DAEMON_MEMORY": f"{settings.spark_master_memory // 2}m",
                    "SPARK_DAEMON_JAVA_OPTS": "-XX:+UseSerialGC",
                },
                ports={7077: settings.spark_master_port, 8080: settings.spark_master_ui_port},
                health=HealthCheck(["python3", "-c", ASK], limit_seconds=90),
            ),
        )
        self.master_url = "spark://spark-master:7077"
