"""Command line options of the generator: parsing and validation. An invalid value is reported with its option."""

import argparse
import math
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

from generator.match_factory import MatchSize
from generator.messages import MAX_DUPLICATES_OF_A_MATCH, MessageShares
from generator.modes import MODE_NAMES, ModeWeights, have_remakes, parse_modes

_MAX_DUPLICATE_SHARE = MAX_DUPLICATES_OF_A_MATCH / (MAX_DUPLICATES_OF_A_MATCH + 1)
_EARLIEST_START = datetime(2009, 10, 27, tzinfo=UTC)
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_SERVER = re.compile(r"(?:[^\s,:\[\]]+|\[[0-9A-Fa-f:]+\]):(\d{1,5})")


@dataclass(frozen=True, slots=True)
class Options:
    """What to send, to which topic, at which rate.

    `client_config` has further settings of Kafka's client, such as a login. `rate` in messages a second (0: no rate
    limit); `count` None: until a stop signal; `start_ms` (since 1970) only if --start was given.
    """

    bootstrap_servers: str
    client_config: Mapping[str, str] = field(repr=False)
    topic: str
    rate: float
    count: int | None
    size: MatchSize
    seed: int
    start_ms: int | None
    shares: MessageShares
    modes: ModeWeights
    empty_positions: float
    metrics_port: int
    metrics_login: str | None = field(repr=False)


def _float(low: float, high: float, meaning: str) -> Callable[[str], float]:
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


def _bootstrap_servers(text: str) -> str:
    for server in text.split(","):
        found = _SERVER.fullmatch(server.strip())
        if found is None or not 0 < int(found[1]) < 65536:
            raise argparse.ArgumentTypeError(f"must be host:port, or several with commas between, not {text!r}")
    return text


def _client_config(path: str) -> dict[str, str]:
    """The properties in a file: lines `key=value`; an empty line or one that begins with # has none."""
    try:
        lines = [line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise argparse.ArgumentTypeError(f"{path} cannot be read: {error}") from None
    properties = [line.partition("=") for line in lines if line and not line.startswith("#")]
    if not all(separator for _, separator, _ in properties):
        raise argparse.ArgumentTypeError(f"{path} must have lines such as sasl.username=generator")
    return {key.strip(): value.strip() for key, _, value in properties}


def _login(path: str) -> str:
    """The login in a file, user:password."""
    try:
        login = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise argparse.ArgumentTypeError(f"{path} cannot be read: {error}") from None
    if not re.fullmatch(r"[^:\s]+:\S+", login):
        raise argparse.ArgumentTypeError(f"{path} must have one line, user:password")
    return login


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
    if when < _EARLIEST_START:
        raise argparse.ArgumentTypeError(f"must not be before the game came out in 2009, not {text!r}")
    return round(when.timestamp() * 1000)


def _modes(text: str) -> ModeWeights:
    try:
        return parse_modes(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m generator",
        description="Sends realistic League of Legends matches (Riot's Match-V5 shape) to a Kafka topic.",
        allow_abbrev=False,
    )
    share = _float(0, 1, "a share from 0 to 1")
    parser.add_argument("--bootstrap-servers", type=_bootstrap_servers, required=True, metavar="HOST:PORT[,...]")
    parser.add_argument(
        "--client-config",
        type=_client_config,
        default={},
        metavar="FILE",
        help="properties file with further settings of Kafka's client (librdkafka), such as a login",
    )
    parser.add_argument("--topic", type=_topic, default="lol_matches", help="default: %(default)s")
    parser.add_argument(
        "--rate",
        type=_float(0, 1e6, "a number from 0 to 1000000"),
        default=2.0,
        help="rate limit in messages a second; 0, only with --count: no limit (default: %(default)s)",
    )
    parser.add_argument(
        "--count",
        type=_integer(1, None, "a whole number from 1"),
        help="number of messages (default: messages are sent until a stop signal)",
    )
    parser.add_argument("--size", choices=get_args(MatchSize), default="full", help="default: %(default)s")
    parser.add_argument(
        "--seed",
        type=_integer(0, None, "a whole number from 0"),
        help="the same seed and --start give the same messages (default: a random seed, which is logged)",
    )
    parser.add_argument(
        "--start",
        type=_start,
        metavar="TIME",
        help="end of the first match, ISO 8601; the next ones follow at the intervals of --rate, whatever the "
        "real time is (default: each match ends just before it is sent)",
    )
    parser.add_argument(
        "--duplicates",
        type=_float(0, _MAX_DUPLICATE_SHARE, f"a share from 0 to {_MAX_DUPLICATE_SHARE}"),
        default=0.0,
        metavar="SHARE",
        help="share of duplicates (matches sent again) in all messages (default: 0)",
    )
    parser.add_argument(
        "--remakes", type=share, default=0.0, metavar="SHARE", help="share in all messages (default: 0)"
    )
    parser.add_argument(
        "--poison",
        type=share,
        default=0.0,
        metavar="SHARE",
        help="share of messages that cannot be processed, in all messages (default: 0)",
    )
    parser.add_argument(
        "--modes",
        type=_modes,
        default="realistic",
        metavar="MODE=WEIGHT[,...]",
        help=f"modes of the matches with their weights, from {', '.join(MODE_NAMES)}; or `realistic`: all of them in "
        "about the shares of a region (default: %(default)s)",
    )
    parser.add_argument(
        "--empty-positions",
        type=share,
        default=0.0,
        metavar="SHARE",
        help="share of matches in which one player has no position, where the mode has positions (default: 0)",
    )
    parser.add_argument(
        "--metrics-port",
        type=_integer(0, 65535, "a port, or 0 for none"),
        default=8000,
        metavar="PORT",
        help="port of /metrics; 0: no metrics (default: %(default)s)",
    )
    parser.add_argument(
        "--metrics-login",
        type=_login,
        metavar="FILE",
        help="file with the login that /metrics needs, user:password (default: it needs none)",
    )
    return parser


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Parses the command line. Raises SystemExit(2), with a line that names the option, if one is invalid."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.count is None and not given.rate:
        parser.error("argument --rate: must be above 0 without --count")
    if math.fsum((given.duplicates, given.remakes, given.poison)) > 1:  # a rounded sum of 0.33, 0.56, 0.11 is above 1
        parser.error("arguments --duplicates, --remakes and --poison: shares of one whole, must not exceed 1 together")
    if given.remakes and not have_remakes(given.modes):
        parser.error("argument --remakes: needs one of the --modes with two teams")
    return Options(
        bootstrap_servers=given.bootstrap_servers,
        client_config=given.client_config,
        topic=given.topic,
        rate=given.rate,
        count=given.count,
        size=given.size,
        seed=secrets.randbits(32) if given.seed is None else given.seed,
        start_ms=given.start,
        shares=MessageShares(duplicates=given.duplicates, remakes=given.remakes, poison=given.poison),
        modes=given.modes,
        empty_positions=given.empty_positions,
        metrics_port=given.metrics_port,
        metrics_login=given.metrics_login,
    )
