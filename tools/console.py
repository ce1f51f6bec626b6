"""The console of tools that print with rich."""

from __future__ import annotations

from rich.console import Console


class PipedConsole(Console):
    """A console whose reader may end: the exit code follows from `tools.command_line.run`, as without rich."""

    def on_broken_pipe(self) -> None:
        """Called while a BrokenPipeError is handled. Raises it again; rich would exit with 1, as for a failed check."""
        raise
