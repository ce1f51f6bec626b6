"""The users of Kafka and their access control lists (ACLs): least privilege.

READ and WRITE of a topic include DESCRIBE: its partitions and offsets, without its settings (DESCRIBE_CONFIGS). A
consumer that is assigned its partitions and commits nothing needs DESCRIBE of its group only.
"""

from __future__ import annotations

from infra.logins import OPERATOR
from infra.names import DEAD_LETTER_TOPIC, MATCHES_TOPIC

ADMIN = "admin"
"""The broker's own user, and that of the provisioning. A super user, whom no ACL limits."""

_READ_MATCHES = f"READ TOPIC LITERAL {MATCHES_TOPIC}"
_WRITE_MATCHES = f"WRITE TOPIC LITERAL {MATCHES_TOPIC}"
_MATCHES_SETTINGS = f"DESCRIBE_CONFIGS TOPIC LITERAL {MATCHES_TOPIC}"
_READ_DEAD_LETTERS = f"READ TOPIC LITERAL {DEAD_LETTER_TOPIC}"
_DLQ_GROUP = "DESCRIBE GROUP LITERAL dlq"  # of tools/dlq
OPERATORS_GROUPS = (OPERATOR, *(f"{OPERATOR}-{number}" for number in range(1, 10)))
"""Not a prefix: Kafka keeps each group's offsets in memory and on disk for years, and has no limit of groups. Five
thousand, with long names and metadata, filled its heap again after each restart."""

ACLS_BY_USER: dict[str, tuple[str, ...]] = {
    "job": (_READ_MATCHES, f"WRITE TOPIC LITERAL {DEAD_LETTER_TOPIC}", "DESCRIBE GROUP LITERAL lol-backfill"),
    "archive": (_READ_MATCHES, f"DESCRIBE TOPIC LITERAL {DEAD_LETTER_TOPIC}", "READ GROUP PREFIXED lol-archive-"),
    "generator": (_WRITE_MATCHES,),
    # A person's own matches, in transactions too. Quix Streams, for example, reads the topic's settings first.
    "producer": (_WRITE_MATCHES, _MATCHES_SETTINGS, "WRITE TRANSACTIONAL_ID PREFIXED producer"),
    # A person's own consumers, and tools that show a topic's settings.
    OPERATOR: (
        *(_READ_MATCHES, _READ_DEAD_LETTERS, _DLQ_GROUP),
        *(f"READ GROUP LITERAL {group}" for group in OPERATORS_GROUPS),
        *(_MATCHES_SETTINGS, f"DESCRIBE_CONFIGS TOPIC LITERAL {DEAD_LETTER_TOPIC}"),
    ),
    "dashboard": (_READ_DEAD_LETTERS, _DLQ_GROUP),
}
"""By user: operation, type of resource, pattern and name of each ACL, from any host."""


def acls() -> list[str]:
    """All ACLs, each as `ALLOW User:<user> * <operation> <resource> <pattern> <name>`, sorted."""
    return sorted(f"ALLOW User:{user} * {acl}" for user, permitted in ACLS_BY_USER.items() for acl in permitted)
