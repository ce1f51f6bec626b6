"""docs/data-dictionary.md: the table of the fields that a match must have, and the smallest valid match."""

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from functools import reduce
from operator import getitem
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import fields

from infra.names import ROOT
from job.documents import documents
from job.match_v5 import Info, InfoDetails, Metadata, Participant, ParticipantDetails
from tests.support.sample_matches import Json, dead_letter, decoded

TEXT = (ROOT / "docs" / "data-dictionary.md").read_text()
_, INPUT, *_ = re.split(r"^## ", TEXT, flags=re.MULTILINE)
EXAMPLE: Json = json.loads(INPUT.split("```json")[1].split("```")[0])
ARRIVED_AT = EXAMPLE["info"]["gameCreation"] + 3_600_000
OBJECTS: dict[str, tuple[type[Struct], frozenset[str]]] = {
    "metadata": (Metadata, frozenset()),
    "info": (Info, frozenset(field.name for field in fields(InfoDetails))),
    "info.participants[]": (Participant, frozenset(field.name for field in fields(ParticipantDetails))),
}
"""The schema of each object in the table, and the names of its details, whose invalid values are dropped."""


def documented_fields() -> Iterator[tuple[str, str, bool]]:
    """Object, field, and whether it is required, from the table."""
    for holder, names, required in re.findall(r"^\| (\S+) \| (.+?) \| (yes|no) \|", INPUT, flags=re.MULTILINE):
        for name in names.split(", "):
            yield holder, name, required == "yes"


def paths_of(value: Any, *path: str | int) -> Iterator[tuple[str | int, ...]]:
    """The path to each field of the objects in a JSON value."""
    if isinstance(value, list):
        for step, element in enumerate(value):
            yield from paths_of(element, *path, step)
    if isinstance(value, dict):
        for name, held in value.items():
            yield (*path, name)
            yield from paths_of(held, *path, name)


def test_table_has_the_fields_of_the_schema() -> None:
    assert sorted(documented_fields()) == sorted(
        (holder, field.encode_name, field.required)
        for holder, (struct, details) in OBJECTS.items()
        for field in fields(struct)
        if field.name not in details
    )


def test_smallest_match_is_valid() -> None:
    (document,) = documents(decoded(EXAMPLE, ARRIVED_AT), ARRIVED_AT)
    assert (document["match_id"], document["summoner_name"], document["cs"]) == ("EUW1_1", "", 0)


@pytest.mark.parametrize("path", [*paths_of(EXAMPLE)], ids=lambda path: ".".join(map(str, path)))
def test_smallest_match_has_required_fields_only(path: tuple[str | int, ...]) -> None:
    smaller = deepcopy(EXAMPLE)
    *holder, name = path
    del reduce(getitem, holder, smaller)[name]  # type: ignore[arg-type]
    assert dead_letter(smaller, ARRIVED_AT).reason == "invalid_field"
