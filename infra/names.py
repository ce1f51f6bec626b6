"""Names that several parts must agree on: labels, topics, index aliases, in-network ports and paths, container names.

The deployment, the tools, the charts, the dashboard, the tests and the benchmarks import them. The images of the job
and the generator have no `infra`: the job takes the same names from job/config.yaml, and a unit test compares them.
"""

from pathlib import Path

ROOT = Path(__file__).parents[1]
"""The checkout."""
PROJECT = "lolstack"
"""The Pulumi project, and the prefix of everything that a stack has on the Docker host."""
DEV_STACK = "dev"
"""The stack with the documented host ports and, by default, a generator."""

# Labels of the stack's containers, volumes and networks
STACK_LABEL = f"{PROJECT}.stack"
SERVICE_LABEL = f"{PROJECT}.service"
IMAGE_SOURCE_LABEL = f"{PROJECT}.image-source"
LIMITS_LABEL = f"{PROJECT}.limits"
NO_TRAEFIK = {"traefik.enable": "false"}
"""By default, a Traefik in the host's network publishes every container under its name: others could read Elasticsearch
and Prometheus, which need no login for that by default."""

# Kafka topics
MATCHES_TOPIC = "lol_matches"
DEAD_LETTER_TOPIC = "lol_matches_dlq"
MAX_MESSAGE_BYTES = 10 * 2**20
"""The largest message of the topic of matches, which its producers' configurations have too: by default, clients refuse
more than 1 MB. A match with its timeline can be several megabytes."""

# Elasticsearch index aliases, each with an index template of the same name in mappings/index_templates/
MATCHES_ALIAS = "lol_matches_stream"
TEAMS_ALIAS = "lol_teams_stream"
CHAMPIONS_ALIAS = "lol_champion_stats"
POSITIONS_ALIAS = "lol_position_stats"
INDEX_ALIASES = (MATCHES_ALIAS, TEAMS_ALIAS, CHAMPIONS_ALIAS, POSITIONS_ALIAS)

ARCHIVE_TABLE = "matches"
"""The archive's table in Cassandra; its keyspace is a setting of the job."""

VOLUME_OWNERS = "volume-owners"
"""The container that changes the owners of the volumes' files during a deployment, and is removed at once."""

HOST_ADDRESS = "127.0.0.1"
"""Where the stack's ports are published on the Docker host, and where its tools connect to them. `localhost` can be ::1
as well, where another local user could listen on the same port and catch a login."""

# Ports in the stack's network. The outputs `services` map them to the host's ports.
KAFKA_PORT = 9092
KAFKA_HOST_LISTENER_PORT = 29092
ELASTICSEARCH_PORT = 9200
KIBANA_PORT = 5601
CASSANDRA_PORT = 9042
PROMETHEUS_PORT = 9090
ALERTMANAGER_PORT = 9093
GRAFANA_PORT = 3000
DASHBOARD_PORT = 8501
SPARK_MASTER_PORT = 7077
SPARK_MASTER_UI_PORT = 8080
SPARK_WORKER_UI_PORT = 8081
SPARK_JOB_UI_PORT = 4040
METRICS_PORT = 8000
"""/metrics of the job, the archive and the generator; /health of the job."""

SCRAPE_SECONDS = 10
"""Prometheus's scrape interval."""

# The stack's networks. All but two services are on the main one.
MAIN_NETWORK = "main"
ZOOKEEPER_NETWORK = "zookeeper"
GENERATOR_NETWORK = "generator"
NETWORKS = (MAIN_NETWORK, ZOOKEEPER_NETWORK, GENERATOR_NETWORK)
DNS_OPTIONS = ["ndots:1"]
DNS_SEARCH = ["."]
"""No name without a dot is looked up outside the stack's networks, or completed with the host's search domains. By
default Docker asks the host's DNS for the name of a stopped service, and whoever answers there gets the clients' logins
and data."""
LOG_DRIVER = "json-file"
"""Of every container: the engine's default can be one that keeps nothing to read, or that cannot start."""
LOG_OPTIONS = {"max-size": "10m", "max-file": "3"}
"""Log rotation."""

# Paths in the containers
JOB_SETTINGS = "/etc/lolstack/job.yaml"
"""The deployment's overrides of job/config.yaml, in the containers of the job and the archive."""
CURL_CONFIG = "/etc/lolstack/monitor.curl"
"""curl's configuration where health checks read metrics or Spark's pages: the login, if one is needed."""
CHECKPOINTS = "/var/lib/lolstack/checkpoints"
"""Spark's checkpoints, on a volume that the job's driver and the workers share."""


def stack_prefix(stack: str) -> str:
    """The stack's network, and the prefix of the names of its containers and volumes."""
    return f"{PROJECT}-{stack}"


def container_name(stack: str, service: str) -> str:
    """The name of a service's container."""
    return f"{stack_prefix(stack)}-{service}"


def container_labels(stack: str, service: str) -> dict[str, str]:
    """The labels of every container of the stack."""
    return {STACK_LABEL: stack, SERVICE_LABEL: service, **NO_TRAEFIK}


def make_command(target: str, stack: str) -> str:
    """`make` for this stack, for messages. Typed without the stack's name, it would act on `dev`."""
    return f"make {target} STACK={stack}"


def pulumi_command(command: str, stack: str) -> str:
    """A command of Pulumi for this stack, for messages. Typed without its name, it would act on the selected stack."""
    return f"pulumi {command} --stack {stack}"
