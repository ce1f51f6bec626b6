"""The whole deployment on one page: settings, network, services in start order, their contents, outputs."""

import pulumi

from infra import configuration, preflight, users, versions
from infra.images import Images
from infra.images.source import choose_image_source
from infra.kafka_acls import ACLS_BY_USER, ADMIN, acls
from infra.logins import (
    CASSANDRA_ADMIN,
    CASSANDRA_ARCHIVE,
    LOGINS,
    OPERATOR,
    TLS_SERVERS,
    curl_login,
    login_of,
    properties,
    user_of,
)
from infra.names import (
    ARCHIVE_TABLE,
    CASSANDRA_PORT,
    DEAD_LETTER_TOPIC,
    ELASTICSEARCH_PORT,
    HOST_ADDRESS,
    INDEX_ALIASES,
    KIBANA_PORT,
    MATCHES_TOPIC,
    MAX_MESSAGE_BYTES,
    NETWORKS,
    stack_prefix,
)
from infra.ownership import ENGINE_OUTPUT
from infra.provisioning.cassandra_roles import CassandraRoles
from infra.provisioning.certificates import Certificates
from infra.provisioning.credentials import Credentials
from infra.provisioning.index_template import IndexTemplate
from infra.provisioning.kafka_users import KafkaUsers
from infra.provisioning.saved_object import declare_saved_objects
from infra.provisioning.topic import Topic
from infra.services.alertmanager import Alertmanager
from infra.services.archive import Archive
from infra.services.base import Deployment, declare_network, declare_volumes
from infra.services.cassandra import Cassandra
from infra.services.dashboard import Dashboard
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
from job.settings import with_overrides

MAX_DEAD_LETTER_BYTES = 11 * 2**20  # a dead letter is the message with additional headers that give the reason

stack = pulumi.get_stack()
config = pulumi.runtime.get_config_env()
settings = Settings.load(config, stack)
pulumi.export(ENGINE_OUTPUT, preflight.check(settings, stack, config))
source = choose_image_source(settings, stack)
pulumi.log.info(f"images: {source.kind} ({source.reason})")
if source.kind == "build" and (settings.images or settings.registry_mirror):
    pulumi.log.warn("images, registryMirror: of no effect where images are built; set lolstack:imageSource to registry")
left_out = {name: reason for name in versions.OFFICIAL_ONLY if (reason := source.why_not(name))}
preflight.check_ports(settings, stack, left_out)

images = Images(source)
credentials = Credentials(LOGINS, settings.credentials_generation)
certificates = Certificates(stack_prefix(stack), TLS_SERVERS, settings.credentials_generation)
deployment = Deployment(
    stack=stack,
    settings=settings,
    images=images,
    networks={name: declare_network(stack, name) for name in NETWORKS},
    credentials=credentials,
    certificates=certificates,
    # Grafana's too where it is left out: its image may only not be found today, and the volume has people's dashboards.
    volumes=declare_volumes(stack, images, credentials, users.VOLUMES),
)

ZooKeeper(deployment)
kafka = Kafka(deployment)
after_kafka = pulumi.ResourceOptions(parent=kafka, depends_on=[kafka.ready], deleted_with=kafka.container)
kafka_admin = kafka.client_settings(ADMIN, on_host=True)
kafka_users = KafkaUsers(
    kafka_admin,
    {user: deployment.password(login_of("kafka", user)) for user in ACLS_BY_USER},
    acls(),
    after_kafka,
)
topic = Topic(
    MATCHES_TOPIC,
    kafka_admin,
    settings.topic_partitions,
    # No `retention.ms` of its own: the broker's retention applies (topicRetentionHours).
    # The broker's clock, not the producer's: `ingested_at` and freshness are measured from the arrival time.
    {"max.message.bytes": str(MAX_MESSAGE_BYTES), "message.timestamp.type": "LogAppendTime"},
    after_kafka,
)
dead_letters = Topic(
    DEAD_LETTER_TOPIC,
    kafka_admin,
    1,
    # No retention limit: a dead letter is kept until somebody has looked at it. Segments of a week, as Kafka's default:
    # with the broker's setting, which follows from the retention of matches, the files could become many.
    {"max.message.bytes": str(MAX_DEAD_LETTER_BYTES), "retention.ms": "-1", "segment.ms": "604800000"},
    after_kafka,
)

elasticsearch = Elasticsearch(deployment)
templates = [
    IndexTemplate(
        alias,
        elasticsearch.url(ELASTICSEARCH_PORT),
        elasticsearch.container_name,
        {**elasticsearch.login("admin"), "ca_certificate": elasticsearch.ca_certificate},
        {
            "number_of_replicas": settings.elasticsearch_replicas,
            "refresh_interval": settings.elasticsearch_refresh_interval,
        },
        pulumi.ResourceOptions(
            parent=elasticsearch, depends_on=[elasticsearch.ready], deleted_with=elasticsearch.container
        ),
    )
    for alias in INDEX_ALIASES
]

cassandra = Cassandra(deployment)
archive_keyspace = with_overrides(settings.job).archive.keyspace
roles = CassandraRoles(
    HOST_ADDRESS,
    cassandra.host_ports[CASSANDRA_PORT],
    cassandra.container_name,
    archive_keyspace,
    ARCHIVE_TABLE,
    {user_of(login): deployment.password(login) for login in (CASSANDRA_ADMIN, CASSANDRA_ARCHIVE, OPERATOR)},
    credentials.former_passwords(CASSANDRA_ADMIN),
    pulumi.ResourceOptions(parent=cassandra, depends_on=[cassandra.ready], deleted_with=cassandra.container),
)

master = SparkMaster(deployment)
for number in range(1, settings.spark_workers + 1):
    SparkWorker(deployment, number, master)
before_job = [kafka_users, topic, dead_letters, *templates]
job = SparkJob(deployment, master, kafka, elasticsearch, provisioned=before_job)
Archive(deployment, kafka, cassandra, provisioned=[kafka_users, topic, roles])
generator = Generator(deployment, kafka, job, kafka_users) if settings.generator_runs(stack) else None

ElasticsearchExporter(deployment, elasticsearch)
NodeExporter(deployment)
alertmanager = Alertmanager(deployment, depends_on=[job])
# Declared after the services that it scrapes: its targets are the scrape endpoints of `deployment.services`.
prometheus = Prometheus(deployment, deployment.services, alertmanager)
if settings.dashboard_enabled:
    Dashboard(deployment, elasticsearch, prometheus, kafka, kafka_users)

if "kibana" not in left_out:
    kibana = Kibana(deployment, elasticsearch)
    after_kibana = pulumi.ResourceOptions(
        parent=kibana, depends_on=[kibana.ready, *templates], deleted_with=kibana.container
    )
    declare_saved_objects(kibana.url(KIBANA_PORT), kibana.container_name, elasticsearch.login("admin"), after_kibana)
if "grafana" not in left_out:
    Grafana(deployment, prometheus, elasticsearch, generator)
    pulumi.export("grafanaAdminPassword", deployment.password("grafana.admin"))
for name, reason in left_out.items():
    pulumi.log.warn(f"{name} is left out: {reason}")

pulumi.export(configuration.CONFIGURATION_OUTPUT, configuration.describe(stack, config))
pulumi.export("imageSource", source.kind)
pulumi.export("services", {service.name: service.addresses() for service in deployment.services})
pulumi.export("networks", {service.name: service.networks for service in deployment.services})
pulumi.export("leftOut", left_out)
pulumi.export("bootstrapServers", kafka.host_bootstrap_servers)
pulumi.export(
    "kafkaProducer",
    kafka.client_settings("producer", on_host=True).apply(
        lambda client: properties(
            {
                **client,
                "message.max.bytes": str(MAX_MESSAGE_BYTES),
                "message.timeout.ms": "0",  # no timeout; by default, librdkafka drops what waits for five minutes
                # A broker that has just started does not know its topics yet. librdkafka then drops what waits at once
                # (librdkafka#3513), unless the producer is younger than this. Larger values overflow (2³¹ µs).
                "topic.metadata.propagation.max.ms": "2100000",
            }
        )
    ),
)
pulumi.export("kafkaOperator", kafka.client_properties(OPERATOR, on_host=True))
pulumi.export("security", settings.security)
pulumi.export("certificateAuthority", certificates.authority)
pulumi.export("certificatesExpireAt", certificates.expires_at)
pulumi.export("elasticsearchUrl", elasticsearch.url(ELASTICSEARCH_PORT))
pulumi.export(
    "elasticsearchCurl",
    deployment.password(login_of("elasticsearch", "admin")).apply(lambda password: curl_login("admin", password)),
)
pulumi.export("credentials", pulumi.Output.secret(credentials.passwords))
pulumi.export("operatorPassword", deployment.password(OPERATOR))
