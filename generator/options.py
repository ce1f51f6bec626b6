"""The command line: typed options, each wrong value refused by the option's name."""

import argparse
import math
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, get_args

from generator.match import Size
from generator.stream import MOST_REPEATS, Mix

Mode = Literal["continuous", "batch"]

_MOST_DUPLICATES = MOST_REPEATS / (MOST_REPEATS + 1)
_EARLIEST = datetime(2009, 10, 27, tzinfo=UTC)
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_SERVER = re.compile(r"(?:[^\s,:\[\]]+|\[[0-9A-Fa-f:]+\]):(\d{1,5})")


@dataclass(frozen=True, slots=True)
class Options:
    """What to send, where to, how fast.

    `rate` in messages a second (0: as fast as Kafka takes them); `count` only in batch mode; `start_ms` (since 1970)
    only where a start was asked for.
    """

    bootstrap_servers: str
    topic: str
    mode: Mode
    rate: float
    count: int | None
    size: Size
    seed: int
    start_ms: int | None
    mix: Mix
    empty_positions: float
    metrics_port: int


def _number(low: float, high: float, meaning: str) -> Callable[[str], float]:
    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (low <= value <= high and math.isfinite(value)):
            raise argparse.ArgumentTypeError(f"must be {meaning}, not {text!r}")
        return value

    return convert


def _integer(low: int, high: int | None, meaning: str) -> Callable[[str], int]:
    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if value < low or (high is not None and value > high):
            raise argparse.ArgumentTypeError(f"must be {meaning}, not {text!r}")
        return value

    return convert


def _servers(text: str) -> str:
    for server in text.split(","):
        found = _SERVER.fullmatch(server.strip())
        if found is None or not 0 < int(found[1]) < 65536:
            raise argparse.ArgumentTypeError(f"must be host:port, or several with commas between, not {text!r}")
    return text


def _topic(text: str) -> str:
    if not _TOPIC.fullmatch(text):
        raise argparse.ArgumentTypeError(f"must be 1 to 249 letters, digits, '.', '_' or '-', not {text!r}")
    return text


def _start(text: str) -> int:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a time such as 2026-02-01T12:00:00Z, not {text!r}") from None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    if when < _EARLIEST:
        raise argparse.ArgumentTypeError(f"must not be before the game came out in 2009, not {text!r}")
    return round(when.timestamp() * 1000)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m generator",
        description="Sends realistic League of Legends matches (Riot's Match-V5 shape) to a Kafka topic.",
        allow_abbrev=False,
    )
    share = _number(0, 1, "a share from 0 to 1")
    parser.add_argument("--bootstrap-servers", type=_servers, required=True, metavar="HOST:PORT[,...]")
    parser.add_argument("--topic", type=_topic, default="lol_matches", help="default: %(default)s")
    parser.add_argument("--mode", choices=get_args(Mode), default="continuous", help="default: %(default)s")
    parser.add_argument(
        "--rate",
        type=_number(0, 1e6, "a number from 0 to 1000000"),
        default=2.0,
        help="messages a second; 0, in batch mode only: as fast as Kafka takes them (default: %(default)s)",
    )
    parser.add_argument(
        "--count", type=_integer(1, None, "a whole number from 1"), help="messages in all; batch mode only"
    )
    parser.add_argument("--size", choices=get_args(Size), default="full", help="default: %(default)s")
    parser.add_argument(
        "--seed",
        type=_integer(0, None, "a whole number from 0"),
        help="same seed and --start, same messages (default: a random one, which the log names)",
    )
    parser.add_argument(
        "--start",
        type=_start,
        metavar="TIME",
        help="when the first match ends, ISO 8601; the next follow at the rate, whatever the real time is "
        "(default: each match ends just before it is sent)",
    )
    parser.add_argument(
        "--duplicates",
        type=_number(0, _MOST_DUPLICATES, f"a share from 0 to {_MOST_DUPLICATES}"),
        default=0.0,
        metavar="SHARE",
        help="of all messages: matches sent again (default: 0)",
    )
    parser.add_argument("--remakes", type=share, default=0.0, metavar="SHARE", help="of all messages (default: 0)")
    parser.add_argument(
        "--poison",
        type=share,
        default=0.0,
        metavar="SHARE",
        help="of all messages: unusable ones (default: 0)",
    )
    parser.add_argument(
        "--empty-positions",
        type=share,
        default=0.0,
        metavar="SHARE",
        help="of the matches: ARAM, or a player without position (default: 0)",
    )
    parser.add_argument(
        "--metrics-port",
        type=_integer(0, 65535, "a port, or 0 for none"),
        default=8000,
        metavar="PORT",
        help="where /metrics answers; 0: nowhere (default: %(default)s)",
    )
    return parser


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Options from the command line. SystemExit(2) with a line that names the option when one is wrong."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.mode == "batch" and given.count is None:
        parser.error("argument --count: needed in batch mode")
    if given.mode == "continuous" and given.count is not None:
        parser.error("argument --count: only in batch mode; continuous mode goes on until it is stopped")
    if given.mode == "continuous" and not given.rate:
        parser.error("argument --rate: must be above 0 in continuous mode")
    if given.duplicates + given.remakes + given.poison > 1:
        parser.error("arguments --duplicates, --remakes and --poison: shares of one whole, must not exceed 1 together")
    return Options(
        bootstrap_servers=given.bootstrap_servers,
        topic=given.topic,
        mode=given.mode,
        rate=given.rate,
        count=given.count,
        size=given.size,
        seed=secrets.randbits(32) if given.seed is None else given.seed,
        start_ms=given.start,
        mix=Mix(duplicates=given.duplicates, remakes=given.remakes, poison=given.poison),
        empty_positions=given.empty_positions,
        metrics_port=given.metrics_port,
    )
