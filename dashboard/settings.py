"""The dashboard's settings: where it reads from, and with which login. A YAML file, named by LOLSTACK_DASHBOARD."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import msgspec

VARIABLE = "LOLSTACK_DASHBOARD"


class SettingsError(Exception):
    """The settings are missing or wrong. One line: what is wrong and what to do."""


class Server(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A server with an HTTP API. `ca_certificates`: a PEM file, in place of the system's."""

    url: str
    username: str = ""
    password: str = ""
    ca_certificates: str = ""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the dashboard reads from, and what it cannot read there. `stack`: the stack's name, for advice."""

    stack: str
    elasticsearch: Server
    prometheus: Server
    kafka: dict[str, str]
    """Settings of Kafka's client (librdkafka): `bootstrap.servers`, and others such as those of a login."""
    window_slide_seconds: int
    """How often a window of the statistics ends: `window.slide_seconds` of the job's settings."""
    login_sha256: str = ""
    """SHA-256 of `user:password`, which a viewer must give: in hexadecimal. Random passwords only: the hash is fast.
    Empty: the dashboard needs no login."""

    def __post_init__(self) -> None:
        if "bootstrap.servers" not in self.kafka:
            raise ValueError("kafka: bootstrap.servers is missing")


@cache
def read_settings() -> Settings:
    """The settings of this process, read once. Raises SettingsError."""
    path = os.environ.get(VARIABLE)
    if not path:
        raise SettingsError(f"{VARIABLE} is not set: set it to the path of the dashboard's settings, a YAML file")
    try:
        return msgspec.yaml.decode(Path(path).read_bytes(), type=Settings)
    except (OSError, msgspec.MsgspecError) as error:
        raise SettingsError(f"{path}: {error}: correct this file") from error
