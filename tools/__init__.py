"""What `make` starts beside Pulumi. It shares modules with the Pulumi program, which has its own folder on the path."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "infra"))
