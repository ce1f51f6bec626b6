"""Refuses to send a login to a published port that the stack's own container does not hold.

The engine holds a published port only while the container runs. Otherwise any local user can listen on it, and would
catch the administrator's password at the next `pulumi up`, `refresh` or `destroy`.

Kafka's providers need no such check to be safe: SCRAM sends no password, and the client ends the connection to a broker
that does not know it either. They use it to read nothing from a stopped Kafka, instead of waiting for its answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import infra.provisioning.preload  # noqa: F401
from infra.clients.docker_engine import is_published


class PortNotPublishedError(Exception):
    """The container of the service does not run, or does not publish the port. Nothing was sent."""


def require_published_port(props: Mapping[str, Any], url: str) -> None:
    """Raise PortNotPublishedError unless the resource's `container` runs and publishes the port of `url`.

    A state from before resources had that input names no container: then any container of a stack will do.
    """
    container = props.get("container")
    if not is_published(url, container):
        publisher = container or "a running container of a stack"
        raise PortNotPublishedError(
            f"no login is sent to {urlsplit(url).netloc}: the port is not published by {publisher}, "
            "and another program may listen there: `docker ps -a` shows the container, `ss -ltnp` the program; "
            "start the container and stop the program, then start again"
        )
