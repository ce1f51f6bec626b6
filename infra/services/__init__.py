"""The stack's services, one component and one module each."""

from __future__ import annotations

from pathlib import Path
from string import Template

FILES = Path(__file__).parent / "files"


def file(name: str, **values: object) -> str:
    """The configuration file `files/<name>` with its `${placeholders}` filled in; a missing value is a KeyError."""
    return Template((FILES / name).read_text()).substitute({key: str(value) for key, value in values.items()})
