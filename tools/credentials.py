"""`python -m tools.credentials --stack dev`: write the logins for people to files that only they can read.

`make credentials` runs this. The files are in credentials/<stack>/ of the checkout, which git ignores.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.kafka_acls import OPERATORS_GROUPS
from infra.logins import OPERATOR, curl_login, kafka_client_settings, login_of, properties
from infra.names import DEAD_LETTER_TOPIC, DEV_STACK, MATCHES_TOPIC, MAX_MESSAGE_BYTES, ROOT, make_command
from tools.command_line import run, stack_name
from tools.stack_outputs import NotDeployedError, read_stack_outputs

AUTHORITY = "ca.crt"
JAVA_PRODUCER = {
    "max.request.size": str(MAX_MESSAGE_BYTES),
    # The largest values: while Kafka is away, messages wait. By default a producer drops them after two minutes, a call
    # fails after one, and Kafka's console producer drops them after three retries.
    "delivery.timeout.ms": str(2**31 - 1),
    "max.block.ms": str(2**63 - 1),
    "retries": str(2**31 - 1),
}
"""Settings of a producer beside address and login, as those of the output kafkaProducer for librdkafka."""


def main() -> int:
    """Write the files and say what each is for. Exit code 1 if the stack is not deployed, or they cannot be written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stack", type=stack_name, default=DEV_STACK, help="the Pulumi stack (default: %(default)s)")
    stack = parser.parse_args().stack
    try:
        outputs = read_stack_outputs(stack)
    except NotDeployedError as error:
        print(error, file=sys.stderr)
        return 1
    folder = ROOT / "credentials" / stack
    try:
        files, explanation = credential_files(folder, outputs), usage(folder.relative_to(ROOT), outputs)
    except KeyError as missing:
        print(
            f"the stack {stack} has no output {missing}: an earlier version deployed it: "
            f"run `{make_command('up', stack)}` first",
            file=sys.stderr,
        )
        return 1
    try:
        for name, content in files.items():
            write_private(folder / name, content)
    except OSError as error:
        print(f"the logins cannot be written to {folder}: {error}", file=sys.stderr)
        return 1
    print(explanation)
    return 0


def credential_files(folder: Path, outputs: Mapping[str, Any]) -> dict[str, str]:
    """The files' contents by name, from the stack's outputs. `folder` is where they will be."""
    servers = outputs["bootstrapServers"]
    producer = kafka_client_settings(servers, "producer", outputs["credentials"][login_of("kafka", "producer")])
    operator = kafka_client_settings(servers, OPERATOR, outputs["operatorPassword"])
    trust = f'cacert = "{folder / AUTHORITY}"\n' if outputs["security"] == "strict" else ""
    return {
        "operator-password": outputs["operatorPassword"] + "\n",
        "kafka-producer.properties": outputs["kafkaProducer"],
        "kafka-producer-java.properties": properties(producer.java() | JAVA_PRODUCER),
        "kafka-operator.properties": outputs["kafkaOperator"],
        "kafka-operator-java.properties": properties(operator.java()),
        "operator.curl": curl_login(OPERATOR, outputs["operatorPassword"]) + trust,
        "elasticsearch-admin.curl": outputs["elasticsearchCurl"] + trust,
        AUTHORITY: outputs["certificateAuthority"],
    }


def write_private(path: Path, content: str) -> None:
    """Write a file that only its owner can read, in a folder that only its owner can open."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    path.unlink(missing_ok=True)  # an existing file would keep its mode and its open readers
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(content)


def usage(folder: Path, outputs: Mapping[str, Any]) -> str:
    """What to do with each file."""
    url = outputs["elasticsearchUrl"]
    return f"""Logins of the stack, in {folder}, which only you can read:
  kafka-producer.properties
      sends your own matches, one on each line (`jq -c`):
      kcat -E -F {folder}/kafka-producer.properties -P -t {MATCHES_TOPIC}
  kafka-producer-java.properties
      the same for Kafka's own tools: kafka-console-producer.sh --producer.config FILE …
  kafka-operator.properties, kafka-operator-java.properties
      read both topics, in the consumer group {OPERATORS_GROUPS[0]}, or {OPERATORS_GROUPS[1]} to {OPERATORS_GROUPS[-1]}:
      kcat -F {folder}/kafka-operator.properties -G {OPERATOR} {DEAD_LETTER_TOPIC}
  operator.curl, operator-password
      the login `operator`, which reads every page but Grafana's, and may change Alertmanager's silences:
      curl -K {folder}/operator.curl '{url}/_cat/indices'
  elasticsearch-admin.curl
      changes Elasticsearch: curl -K {folder}/elasticsearch-admin.curl -X DELETE '{url}/INDEX'
  {AUTHORITY}
      the stack's certificate authority
After a rotation (the setting credentialsGeneration) run this again."""


if __name__ == "__main__":
    run(main)
