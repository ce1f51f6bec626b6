"""The command line of `make dlq`: counts dead letters by reason, shows one, or replays some after a fix."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from analytics.key_figures import counted
from infra.names import DEAD_LETTER_TOPIC, MATCHES_TOPIC, make_command, pulumi_command
from job.times import iso
from tools.command_line import run, stack_name, write
from tools.console import PipedConsole
from tools.dlq.dead_letters import (
    HEADER_PREFIX,
    DeadLetterMessage,
    DlqError,
    Headers,
    MessagePosition,
    ReasonCount,
    count_by_reason,
    decode,
    read_dead_letters,
    select_dead_letters,
)
from tools.dlq.replay import Replay, create_replay_producer
from tools.printable import sanitize
from tools.stack_outputs import NotDeployedError, kafka_settings, read_stack_outputs

MAX_SHOWN_CHARACTERS = 2000
MAX_SHOWN_HEADERS = 50
MAX_SHOWN_BYTES = 1000
"""Of a key or header: a producer's may have megabytes, which a table takes minutes to lay out."""
RETRY_ADVICE = "run it again: a replay is idempotent"


def print_counts(console: Console, counts: dict[str, ReasonCount], duplicates: int) -> None:
    """Print one line for each reason, the most frequent first."""
    if not counts:
        console.print("There are no dead letters.")
        return
    table = Table(title=f"Dead letters in {DEAD_LETTER_TOPIC}", title_justify="left")
    table.add_column("reason", no_wrap=True)
    table.add_column("messages", justify="right")
    table.add_column("latest (UTC)", no_wrap=True)
    table.add_column("SHOW", no_wrap=True)
    for reason, count in sorted(counts.items(), key=lambda item: (-item[1].messages, item[0])):
        arrived_at = f"{count.latest.arrived_at:%Y-%m-%d %H:%M:%S}"
        table.add_row(_text(reason), f"{count.messages:,}", arrived_at, str(count.latest.position))
    console.print(table)
    total = sum(count.messages for count in counts.values())
    console.print(f"Messages: {total:,}" + (f"; duplicate dead letters: {duplicates:,}" if duplicates else ""))


def print_dead_letter(console: Console, dead_letter: DeadLetterMessage, stack: str) -> None:
    """Print a dead letter of the stack: its reason, and the beginning of its key, of its original headers and of its
    value."""
    table = Table(title=f"Dead letter {dead_letter.position}", title_justify="left", show_header=False)
    table.add_column(overflow="fold", max_width=30)
    table.add_column(overflow="fold")
    of_job = [header for header in dead_letter.headers if header[0].startswith(HEADER_PREFIX)]
    _add_headers(table, [(name.removeprefix(HEADER_PREFIX).replace("_", " "), value) for name, value in of_job])
    table.add_row("key", _beginning(dead_letter.key))
    arrived_at, partition, offset = dead_letter.original
    if dead_letter.original_position and dead_letter.original_position[1:] != (partition, offset):
        table.add_row("replay of", f"{MATCHES_TOPIC}:{partition}:{offset}, which arrived at {iso(arrived_at)}")
    _add_headers(table, [(f"header {name}", value) for name, value in dead_letter.original_headers])
    table.add_row("value", "(none)" if dead_letter.value is None else f"{len(dead_letter.value):,} B")
    console.print(table)
    text = decode(dead_letter.value)
    if text:
        console.print(_text(text[:MAX_SHOWN_CHARACTERS]), soft_wrap=True)
    if len(text) > MAX_SHOWN_CHARACTERS:
        position = f"-p {dead_letter.position.partition} -o {dead_letter.position.offset}"
        login = f"-F <({pulumi_command('stack output kafkaOperator --show-secrets', stack)})"
        console.print(f"… the whole value: kcat {login} -C -t {DEAD_LETTER_TOPIC} {position} -c 1", soft_wrap=True)
    obstacle = dead_letter.replay_obstacle
    console.print(
        _text(f"It cannot be replayed: {obstacle}")
        if obstacle
        else f"Replay it: {make_command(f'dlq REPLAY={dead_letter.position}', stack)}",
        soft_wrap=True,
    )


def _add_headers(table: Table, headers: Headers) -> None:
    for name, value in headers[:MAX_SHOWN_HEADERS]:
        table.add_row(_beginning(name.encode()), _beginning(value))
    if len(headers) > MAX_SHOWN_HEADERS:
        table.add_row("…", counted(len(headers) - MAX_SHOWN_HEADERS, "more header"))


def _beginning(content: bytes | None) -> Text:
    """The beginning of a key or header, and its size if that is not all."""
    cut = f"… ({len(content):,} B)" if content and len(content) > MAX_SHOWN_BYTES else ""
    return _text("(none)" if content is None else decode(content[:MAX_SHOWN_BYTES]) + cut)


def _text(untrusted: str) -> Text:
    """A producer's text, without control characters and without Rich's markup."""
    return Text(sanitize(untrusted))


def main() -> int:
    """Returns 0 on success, 1 if the command fails or a message cannot be replayed, 2 if the stack is not deployed."""
    parser = argparse.ArgumentParser(prog="make dlq", description=__doc__)
    parser.add_argument("--stack", type=stack_name, required=True)
    command = parser.add_mutually_exclusive_group()
    command.add_argument(
        "--show",
        metavar="POSITION",
        help="partition:offset of the dead letter (0:17), or topic:partition:offset of the original (lol_matches:2:41)",
    )
    command.add_argument("--replay", metavar="SELECTION", help="a reason, a position as for --show, or all")
    options = parser.parse_args()
    console = PipedConsole()
    try:
        outputs = read_stack_outputs(options.stack)
        client = kafka_settings(outputs)
        if options.show:
            if MessagePosition.parse(options.show) is None:
                raise DlqError(f"SHOW={options.show} is not a position: write 0:17, or lol_matches:2:41")
            for dead_letter in select_dead_letters(client, options.show):
                print_dead_letter(console, dead_letter, options.stack)
            return 0
        if options.replay:
            return replay(console, outputs, options.replay)
        print_counts(console, *count_by_reason(read_dead_letters(client)))
    except NotDeployedError as error:
        console.print(Text(str(error)), soft_wrap=True)
        return 2
    except DlqError as error:
        console.print(_text(str(error)), style="red", soft_wrap=True)
        return 1
    return 0


def replay(console: Console, outputs: Mapping[str, Any], selection: str) -> int:
    """Replay the selected dead letters, and print the counts. Raises DlqError if Kafka refuses some, or on Ctrl-C.

    A closed pipe does not end it. They are read with the operator's login, which may not write, and sent with the
    producer's.
    """
    producer = create_replay_producer(kafka_settings(outputs, "producer"))
    run = Replay(producer, lambda line: write(console.file, f"{sanitize(line)}\n"))
    try:
        run.run(lambda: select_dead_letters(kafka_settings(outputs), selection))
    except KeyboardInterrupt:
        raise DlqError(f"interrupted after {counted(run.sent, 'replayed message')}; {RETRY_ADVICE}") from None
    line = f"Replayed to {MATCHES_TOPIC}: {run.sent:,}"
    if run.duplicates:
        line += f"; skipped duplicates with the same key and value: {run.duplicates:,}"
    if run.refused:
        line += f"; not replayable: {run.refused:,}"
    write(console.file, f"{line}\n")
    if run.failed:
        raise DlqError(f"Kafka refused {counted(len(run.failed), 'message')} ({run.failed[0].str()}); {RETRY_ADVICE}")
    return 1 if run.refused else 0


if __name__ == "__main__":
    run(main)
