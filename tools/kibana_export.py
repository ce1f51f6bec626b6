"""`python -m tools.kibana_export`: export dashboards edited in Kibana to mappings/kibana/, for the next `make up`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.clients.docker_engine import is_published
from infra.clients.kibana import SavedObjectClient, SavedObjectError, file_text, object_key
from infra.names import DEV_STACK, KIBANA_PORT, make_command
from infra.provisioning.saved_object import OBJECTS
from tools.command_line import run, stack_name
from tools.stack_outputs import NotDeployedError, read_stack_outputs


def export_dashboards(client: SavedObjectClient, folder: Path) -> list[str]:
    """Export the folder's dashboards with the saved objects they use; delete files of objects no longer used.

    Returns the changed files, relative to `folder`. Raises SavedObjectError.
    """
    before = {path.relative_to(folder): path.read_text(encoding="utf-8") for path in folder.glob("*/*.json")}
    after: dict[Path, str] = {}
    for dashboard in (path for path in before if path.parent.name == "dashboard"):
        exported = client.export("dashboard", dashboard.stem, with_references=True)
        if not exported:
            raise SavedObjectError(f"Kibana has no dashboard {dashboard.stem}: a deployment of the stack restores it")
        after |= {Path(f"{object_key(body)}.json"): file_text(body) for body in exported}
    for path in before.keys() - after.keys():
        (folder / path).unlink()
    for path, text in after.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return sorted(str(path) for path in before.keys() | after.keys() if before.get(path) != after.get(path))


def kibana_url(stack: str, outputs: Mapping[str, Any]) -> str:
    """Kibana's URL, from the stack's outputs. Raises SavedObjectError if the stack has no Kibana."""
    service = outputs["services"].get("kibana")
    if service is None:
        reason = outputs["leftOut"].get("kibana", "its last deployment was interrupted")
        raise SavedObjectError(f"the stack {stack} has no Kibana: {reason}; --kibana gives the URL of another one")
    return f"http://{service[str(KIBANA_PORT)]}"


def main() -> int:
    """Returns 0 if everything is exported, 1 if Kibana fails or the stack is not deployed."""
    parser = argparse.ArgumentParser(prog="python -m tools.kibana_export", description=__doc__)
    parser.add_argument(
        "--stack", type=stack_name, default=DEV_STACK, help="the stack whose login is used (default: %(default)s)"
    )
    parser.add_argument("--kibana", help="Kibana's URL (default: that of the stack)")
    options = parser.parse_args()
    try:
        outputs = read_stack_outputs(options.stack)
        url = options.kibana or kibana_url(options.stack, outputs)
        if not options.kibana and not is_published(url):  # another program may listen there
            raise SavedObjectError(
                f"no running container publishes Kibana at {url}: `{make_command('up', options.stack)}`"
            )
        client = SavedObjectClient(url, "admin", outputs["credentials"]["elasticsearch.admin"])
        changed = export_dashboards(client, OBJECTS)
    except (SavedObjectError, NotDeployedError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(changed) or "nothing has changed")
    return 0


if __name__ == "__main__":
    run(main)
