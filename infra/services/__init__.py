"""The stack's services: one module and one Pulumi component each, with its ports, scrape endpoints and health check."""

from __future__ import annotations

from pathlib import Path
from string import Template

FILES = Path(__file__).parent / "files"


def file_text(name: str) -> str:
    """The configuration file or script `files/<name>`."""
    return (FILES / name).read_text(encoding="utf-8")


def render(name: str, **values: object) -> str:
    """The configuration file `files/<name>` with its `${placeholders}` filled in. A missing value raises KeyError."""
    return Template(file_text(name)).substitute({key: str(value) for key, value in values.items()})
