"""`python -m tools.kibana_export`: what people have edited in Kibana, into mappings/kibana/, so that `up` keeps it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from infra.clients.kibana import SavedObjectClient, SavedObjectError, file_text, object_key
from infra.provisioning.saved_object import OBJECTS


def save(client: SavedObjectClient, folder: Path) -> list[str]:
    """Write the dashboards of the folder, with all that is on them by now, and remove what no longer is on any.

    Returns the files that are another than before. Raises SavedObjectError.
    """
    before = {path.relative_to(folder): path.read_text() for path in folder.glob("*/*.json")}
    after: dict[Path, str] = {}
    for dashboard in (path for path in before if path.parent.name == "dashboard"):
        exported = client.export("dashboard", dashboard.stem, with_references=True)
        if not exported:
            raise SavedObjectError(f"there is no dashboard {dashboard.stem} in Kibana: `make up` brings it back")
        after |= {Path(f"{object_key(body)}.json"): file_text(body) for body in exported}
    for path in before.keys() - after.keys():
        (folder / path).unlink()
    for path, text in after.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)
    return sorted(str(path) for path in before.keys() | after.keys() if before.get(path) != after.get(path))


def main() -> int:
    """0 where all is written, 1 where Kibana does not give it."""
    parser = argparse.ArgumentParser(prog="python -m tools.kibana_export", description=__doc__)
    parser.add_argument("--kibana", default="http://localhost:5601", help="its address (default: that of `dev`)")
    try:
        changed = save(SavedObjectClient(parser.parse_args().kibana), OBJECTS)
    except SavedObjectError as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(changed) or "nothing has changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
