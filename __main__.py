"""The whole deployment on one page: settings, network, services in order, what lives in them, the job, outputs."""

import pulumi
import pulumi_docker as docker

from infra import preflight
from infra.images import Images
from infra.images.source import choose
from infra.names import PROJECT, STACK_LABEL
from infra.provisioning.index_template import IndexTemplate
from infra.provisioning.password import Password
from infra.provisioning.saved_object import declare_saved_objects
from infra.provisioning.topic import Topic
from infra.services import jmx
from infra.services.alertmanager import Alertmanager
from infra.services.archive import Archive
from infra.services.base import Deployment, volume
from infra.services.cassandra import Cassandra
from infra.services.elasticsearch import Elasticsearch
from infra.services.elasticsearch_exporter import ElasticsearchExporter
from infra.services.generator import Generator
from infra.services.grafana import Grafana
from infra.services.kafka import Kafka
from infra.services.kibana import Kibana
from infra.services.node_exporter import NodeExporter
from infra.services.prometheus import Prometheus
from infra.services.spark_job import SparkJob
from infra.services.spark_master import SparkMaster
from infra.services.spark_worker import SparkWorker
from infra.services.zookeeper import ZooKeeper
from infra.settings import Settings

MAX_MESSAGE_BYTES = "10485760"
DEAD_LETTER_MAX_BYTES = "11534336"  # a dead letter is the message and the headers that say why

stack = pulumi.get_stack()
settings = Settings.load(pulumi.runtime.get_config_env(), stack)
preflight.check(settings, stack)
source = choose(settings, stack)
pulumi.log.info(f"images: {source.kind} ({source.reason})")

deployment = Deployment(
    stack=stack,
    settings=settings,
    images=Images(source),
    network=docker.Network(
        "network",
        name=f"{PROJECT}-{stack}",
        labels=[docker.NetworkLabelArgs(label=STACK_LABEL, value=stack)],
    ),
)

# One volume for the two: with only one of their data kept, Kafka meets a ZooKeeper of another cluster and never starts.
broker_data = volume(deployment, "broker")
zookeeper = ZooKeeper(deployment, broker_data)
kafka = Kafka(deployment, broker_data, zookeeper)
in_kafka = pulumi.ResourceOptions(parent=kafka, depends_on=[kafka.ready], deleted_with=kafka.container)
topic = Topic(
    "lol_matches",
    kafka.host_bootstrap_servers,
    settings.topic_partitions,
    # Kafka's own clock, whatever the producer's says: `ingested_at` and freshness are measured from it.
    {"max.message.bytes": MAX_MESSAGE_BYTES, "message.timestamp.type": "LogAppendTime"},
    in_kafka,
)
# What cannot be processed is kept until somebody has looked at it, not for as long as matches are.
dead_letters = Topic(
    "lol_matches_dlq",
    kafka.host_bootstrap_servers,
    1,
    {"max.message.bytes": DEAD_LETTER_MAX_BYTES, "retention.ms": "-1"},
    in_kafka,
)

elasticsearch = Elasticsearch(deployment)
templates = [
    IndexTemplate(
        name,
        elasticsearch.url(9200),
        {
            "number_of_replicas": settings.elasticsearch_replicas,
            "refresh_interval": settings.elasticsearch_refresh_interval,
        },
        pulumi.ResourceOptions(
            parent=elasticsearch, depends_on=[elasticsearch.ready], deleted_with=elasticsearch.container
        ),
    )
    for name in ("lol_matches_stream", "lol_champion_stats", "lol_position_stats")
]

cassandra = Cassandra(deployment)

checkpoints = volume(deployment, "checkpoints")
master = SparkMaster(deployment)
workers = [SparkWorker(deployment, n, master, checkpoints) for n in range(1, settings.spark_workers + 1)]
job = SparkJob(
    deployment, master, workers, kafka, elasticsearch, checkpoints, provisioned=[topic, dead_letters, *templates]
)
archive = Archive(deployment, kafka, cassandra, topic)
generator = Generator(deployment, kafka, "lol_matches", job) if settings.generator_enabled else None

elasticsearch_exporter = ElasticsearchExporter(deployment, elasticsearch)
node_exporter = NodeExporter(deployment)
alertmanager = Alertmanager(deployment, after=[job])
prometheus = Prometheus(
    deployment,
    {
        "prometheus": ("/metrics", ["localhost:9090"]),
        "alertmanager": ("/metrics", ["alertmanager:9093"]),
        "node": ("/metrics", ["node-exporter:9100"]),
        **{service.name: ("/metrics", [f"{service.name}:{jmx.PORT}"]) for service in (zookeeper, kafka, cassandra)},
        "elasticsearch": ("/metrics", ["elasticsearch-exporter:9114"]),
        "spark-master": ("/metrics/master/prometheus", ["spark-master:8080"]),
        "spark-worker": ("/metrics/prometheus", [f"{worker.name}:8081" for worker in workers]),
        "spark-driver": ("/metrics/prometheus", ["spark-job:4040"]),
        "spark-executors": ("/metrics/executors/prometheus", ["spark-job:4040"]),
        "job": ("/metrics", ["spark-job:8000"]),
        "archive": ("/metrics", ["archive:8000"]),
        **({"generator": ("/metrics", ["generator:8000"])} if generator else {}),
    },
    alertmanager,
)

services = [zookeeper, kafka, elasticsearch, cassandra, master, *workers, job, archive]
services += [elasticsearch_exporter, node_exporter, alertmanager, prometheus]
services += [generator] if generator else []

left_out = {}
if source.has("kibana"):
    kibana = Kibana(deployment, elasticsearch)
    services.append(kibana)
    in_kibana = pulumi.ResourceOptions(
        parent=kibana, depends_on=[kibana.ready, *templates], deleted_with=kibana.container
    )
    declare_saved_objects(kibana.url(5601), in_kibana)
else:
    left_out["kibana"] = source.why_not("kibana")
if source.has("grafana"):
    admin_password = Password("grafana-admin-password")
    services.append(Grafana(deployment, prometheus, elasticsearch, generator, admin_password.value))
    pulumi.export("grafanaAdminPassword", pulumi.Output.secret(admin_password.value))
else:
    left_out["grafana"] = source.why_not("grafana")
for name, reason in left_out.items():
    pulumi.log.warn(f"{name} is left out: {reason}")

pulumi.export("imageSource", source.kind)
pulumi.export("services", {service.name: service.addresses() for service in services})
pulumi.export("leftOut", left_out)
pulumi.export("bootstrapServers", kafka.host_bootstrap_servers)
