"""Command line options: defaults, parsing, and validation errors that contain the option."""

from pathlib import Path

import pytest

from generator import options
from generator.messages import MessageShares
from generator.modes import REALISTIC

SERVER = ("--bootstrap-servers", "kafka:9092")


def test_defaults() -> None:
    chosen = options.parse(SERVER)
    assert (chosen.topic, chosen.rate, chosen.count) == ("lol_matches", 2.0, None)
    assert (chosen.size, chosen.start_ms, chosen.metrics_port) == ("full", None, 8000)
    assert (chosen.shares, chosen.empty_positions, chosen.modes) == (MessageShares(), 0.0, REALISTIC)
    assert chosen.seed != options.parse(SERVER).seed


@pytest.mark.parametrize(
    "shares",
    [
        shares
        for duplicates in range(91)
        for remakes in range(101 - duplicates)
        if sum(shares := (duplicates / 100, remakes / 100, (100 - duplicates - remakes) / 100)) > 1
    ],
)
def test_whole_percentages_that_make_100_are_valid_shares(shares: tuple[float, float, float]) -> None:
    """The stack's settings accept them. The rounded sum of a few is above 1."""
    duplicates, remakes, poison = map(str, shares)
    options.parse([*SERVER, "--duplicates", duplicates, "--remakes", remakes, "--poison", poison])


def test_all_options(tmp_path: Path) -> None:
    file = tmp_path / "kafka.properties"
    file.write_text("# a login\n\nsasl.username=me\nsasl.password = a=b\n")
    login = tmp_path / "login"
    login.write_text("me:a:b\n")
    chosen = options.parse(
        [
            *("--bootstrap-servers", "a:1,[::1]:65535", "--topic", "t", "--rate", "0"),
            *("--count", "10", "--size", "compact", "--seed", "3", "--start", "2026-02-01T12:00:00Z"),
            *("--duplicates", "0.2", "--remakes", "0.1", "--empty-positions", "1", "--poison", "0.7"),
            *("--client-config", str(file), "--metrics-port", "0", "--modes", "ranked_solo=3, aram=1,coop=0"),
            *("--metrics-login", str(login)),
        ]
    )
    assert chosen == options.Options(
        bootstrap_servers="a:1,[::1]:65535",
        client_config={"sasl.username": "me", "sasl.password": "a=b"},
        topic="t",
        rate=0.0,
        count=10,
        size="compact",
        seed=3,
        start_ms=1_769_947_200_000,
        shares=MessageShares(duplicates=0.2, remakes=0.1, poison=0.7),
        modes={"ranked_solo": 3, "aram": 1, "coop": 0},
        empty_positions=1.0,
        metrics_port=0,
        metrics_login="me:a:b",
    )


def test_start_without_time_zone_is_utc() -> None:
    assert options.parse([*SERVER, "--start", "2026-02-01 12:00"]).start_ms == 1_769_947_200_000


@pytest.mark.parametrize(
    ("option", "arguments"),
    [
        ("--rate", ["--rate", "-1"]),
        ("--rate", ["--rate", "fast"]),
        ("--rate", ["--rate", "nan"]),
        ("--rate", ["--rate", "inf"]),
        ("--rate", ["--rate", "0"]),
        ("--count", ["--count", "0"]),
        ("--count", ["--count", "1.5"]),
        ("--size", ["--size", "huge"]),
        ("--seed", ["--seed", "-1"]),
        ("--start", ["--start", "yesterday"]),
        ("--start", ["--start", "1970-01-01T00:00:00Z"]),
        ("--duplicates", ["--duplicates", "0.91"]),
        ("--remakes", ["--remakes", "1.01"]),
        ("--poison", ["--poison", "-0.1"]),
        ("--poison", ["--poison", "nan"]),
        ("--empty-positions", ["--empty-positions", "2"]),
        ("--poison", ["--duplicates", "0.6", "--poison", "0.5"]),
        ("--modes", ["--modes", "urf=1"]),
        ("--modes", ["--modes", ""]),
        ("--modes", ["--modes", "aram"]),
        ("--modes", ["--modes", "aram=-1"]),
        ("--modes", ["--modes", "aram=0"]),
        ("--modes", ["--modes", "aram=" + "9" * 400]),
        ("--modes", ["--modes", "aram=1,aram=2"]),
        ("--remakes", ["--modes", "arena_16=1,swarm=1", "--remakes", "0.1"]),
        ("--topic", ["--topic", "a/b"]),
        ("--metrics-port", ["--metrics-port", "65536"]),
        ("--bootstrap-servers", ["--bootstrap-servers", "kafka"]),
        ("--bootstrap-servers", ["--bootstrap-servers", "kafka:99999"]),
        ("--bootstrap-servers", ["--bootstrap-servers", "kafka:9092,"]),
        ("--colour", ["--colour", "red"]),
    ],
)
def test_validation_error_contains_the_option(
    option: str, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        options.parse([*SERVER, *arguments])
    assert stopped.value.code == 2
    assert option in capsys.readouterr().err.splitlines()[-1]


def test_bootstrap_servers_are_required(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        options.parse([])
    assert "--bootstrap-servers" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("option", "content", "reason"),
    [
        ("--client-config", None, "cannot be read"),
        ("--client-config", "sasl.username", "must have lines such as"),
        ("--metrics-login", None, "cannot be read"),
        ("--metrics-login", "hush", "must have one line, user:password"),
    ],
)
def test_file_with_a_login_that_cannot_be_used_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, content: str | None, reason: str
) -> None:
    file = tmp_path / "login"
    if content:
        file.write_text(content)
    with pytest.raises(SystemExit):
        options.parse([*SERVER, option, str(file)])
    assert f"argument {option}: {file} {reason}" in capsys.readouterr().err.splitlines()[-1]


def test_password_is_not_in_the_options_text(tmp_path: Path) -> None:
    file = tmp_path / "kafka.properties"
    file.write_text("sasl.password=hush")
    login = tmp_path / "login"
    login.write_text("me:hush")
    chosen = options.parse([*SERVER, "--client-config", str(file), "--metrics-login", str(login)])
    assert "hush" not in repr(chosen)
