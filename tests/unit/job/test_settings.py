"""Settings: defaults, overrides, and validation errors of one line each that name the key."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from job import settings
from job.__main__ import main
from job.settings import SettingsError, with_overrides


def errors_of(overrides: dict[str, Any]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        with_overrides(overrides)
    return caught.value.lines


def test_defaults_are_as_documented() -> None:
    found = settings.load(None)
    assert found.app_name == "LoL_Match_Streaming"
    assert (found.executor.memory, found.executor.cores, found.parallelism) == ("2g", 2, 2)
    assert found.kafka.starting_offsets == "latest"
    assert found.batch.max_messages_per_second_and_partition == 100
    assert (found.window.size_seconds, found.window.slide_seconds) == (300, 60)


def test_overrides_are_merged_key_by_key(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("window: {slide_seconds: 30}\nelasticsearch: {hosts: ['http://a:9200', 'https://b:9243']}\n")
    found = settings.load(file)
    assert (found.window.size_seconds, found.window.slide_seconds) == (300, 30)
    assert found.elasticsearch.hosts == ["http://a:9200", "https://b:9243"]
    assert found.elasticsearch.matches == "lol_matches_stream"


def test_counted_queues_are_a_list_or_all() -> None:
    assert with_overrides({}).statistics.counted_queue_ids == frozenset({400, 420, 430, 440, 480, 490, 700})
    assert with_overrides({"statistics": {"queue_ids": [450]}}).statistics.counted_queue_ids == frozenset({450})
    assert with_overrides({"statistics": {"queue_ids": "all"}}).statistics.counted_queue_ids is None


def test_passwords_are_not_shown() -> None:
    found = with_overrides({"archive": {"username": "me", "password": "secret"}})
    assert "secret" not in f"{found!r} {found} {found.archive}"
    assert found.archive.password.get_secret_value() == "secret"


def test_empty_file_overrides_nothing(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("# nothing\n")
    assert settings.load(file) == settings.load(None)


def test_initial_batch_size_is_one_second_of_messages() -> None:
    batch = with_overrides({"batch": {"max_messages_per_second_and_partition": 50, "max_seconds": 4}}).batch
    assert batch.initial_size(partitions=3) == 150


@pytest.mark.parametrize(
    ("text", "hour"),
    [
        ("2026-11-24T06:00:00Z", 6),  # YAML parses these to a time with a zone,
        ("2026-11-24 08:00:00+02:00", 6),
        ("2026-11-24T06:00:00", 6),  # to one without,
        ("2026-11-24", 0),  # to a date,
        ("'2026-11-24T06:00:00Z'", 6),  # and to text, as in the stack's configuration
        ("'2026-11-24T08:00+02:00'", 6),
    ],
)
def test_starting_offsets_can_be_a_time(tmp_path: Path, text: str, hour: int) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(f"kafka: {{starting_offsets: {text}}}\n")
    assert settings.load(file).kafka.starting_offsets == datetime(2026, 11, 24, hour, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["2026-02-01", "'2026-02-01'", "2026-02-01T00:00:00Z", "'2026-02-01 00:00:00 +0000 UTC'"]
)
def test_earliest_event_time_is_a_date(tmp_path: Path, text: str) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(f"event_time: {{earliest: {text}}}\n")
    assert settings.load(file).event_time.earliest == date(2026, 2, 1)


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        ({"kafka": {"topik": "x"}}, "kafka.topik: is not a key of the job's settings; did you mean kafka.topic?"),
        ({"zz": 1}, "zz: is not a key of the job's settings; known keys: app_name, archive, batch, "),
        (
            {"window": {"size_seconds": "300"}},
            "window.size_seconds: '300' is invalid: input should be a valid int",
        ),
        ({"window": {"size_seconds": 0}}, "window.size_seconds: 0 is invalid: input should be greater than"),
        ({"window": {"slide_seconds": 600}}, "window.slide_seconds: 600 is longer than window.size_seconds 300; "),
        (
            {"elasticsearch": {"request_timeout_seconds": 120}},
            "elasticsearch.request_timeout_seconds: 120 is not shorter than http.max_batch_age_seconds 120;",
        ),
        ({"window": {"slide_seconds": 70}}, "window.size_seconds: 300 is not a multiple of window.slide_seconds 70; "),
        (
            {"window": {"watermark_seconds": 299}},
            "window.watermark_seconds: 299 is shorter than window.size_seconds 300;",
        ),
        (
            {"batch": {"max_messages_per_second_and_partition": 10_001}},
            "batch.max_messages_per_second_and_partition: 10001 is invalid: input should be less than or",
        ),
        ({"event_time": {"earliest": "soon"}}, "event_time.earliest: 'soon' is invalid; write a date without a time: "),
        ({"event_time": {"earliest": 1769904000}}, "event_time.earliest: 1769904000 is invalid; write a date"),
        (
            {"event_time": {"earliest": "2026-02-01T00:00:00+05:30"}},
            "event_time.earliest: '2026-02-01T00:00:00+05:30' is invalid; write a date without a time: 2026-02-01",
        ),
        (
            {"event_time": {"earliest": datetime(2026, 2, 1, 6, tzinfo=UTC)}},  # as YAML parses a time
            "event_time.earliest: 2026-02-01 06:00:00+00:00 is invalid; write a date without a time",
        ),
        (
            {"kafka": {"bootstrap_servers": "kafka"}},
            "kafka.bootstrap_servers: 'kafka' is invalid; write host:port",
        ),
        (
            {"kafka": {"starting_offsets": "now"}},
            "kafka.starting_offsets: 'now' is invalid; write latest, earliest or a time: 2026-11-24T06:00:00Z",
        ),
        (
            {"kafka": {"starting_offsets": 1795500000}},
            "kafka.starting_offsets: 1795500000 is invalid; write latest",
        ),
        ({"kafka": {"starting_offsets": "1969-12-31"}}, "kafka.starting_offsets: '1969-12-31' is invalid; write"),
        ({"kafka": {"starting_offsets": None}}, "kafka.starting_offsets: None is invalid; write latest, earliest"),
        ({"kafka": {"topic": "a b"}}, "kafka.topic: 'a b' is invalid; write a topic name"),
        ({"kafka": {"topic": "lol_matches_dlq"}}, "kafka.dead_letter_topic: lol_matches_dlq is also kafka.topic; "),
        ({"kafka": None}, "kafka: None is invalid: "),
        ({"kafka": {"security_protocol": "TLS"}}, "kafka.security_protocol: 'TLS' is invalid: input should be"),
        (
            {"kafka": {"security_protocol": "SASL_SSL", "username": "job"}},
            "kafka.password: is missing for the user job; set it",
        ),
        (
            {"kafka": {"security_protocol": "SASL_SSL"}},
            "kafka.username: is missing; security_protocol SASL_SSL needs a login: set it",
        ),
        (
            {"kafka": {"username": "job", "password": "p"}},
            "kafka.username: is of no use with security_protocol PLAINTEXT; set SASL_PLAINTEXT or SASL_SSL",
        ),
        (
            {"kafka": {"ca_certificate": "-----BEGIN CERTIFICATE-----"}},
            "kafka.ca_certificate: is of no use with security_protocol PLAINTEXT; set SSL or SASL_SSL",
        ),
        ({"kafka": {"ca_certificate": "/ca.pem"}}, "kafka.ca_certificate: '/ca.pem' is invalid; write the cert"),
        ({"elasticsearch": {"hosts": ["es:9200"]}}, "elasticsearch.hosts.0: 'es:9200' is invalid; write a URL"),
        (
            {"elasticsearch": {"hosts": ["http://es"]}},
            "elasticsearch.hosts.0: 'http://es' is invalid; write a URL",
        ),
        (
            {"elasticsearch": {"hosts": ["http://es:99999"]}},
            "elasticsearch.hosts.0: 'http://es:99999' is invalid; a port is between 1 and 65535",
        ),
        (
            {"kafka": {"bootstrap_servers": "a:9092,b:0"}},
            "kafka.bootstrap_servers: 'a:9092,b:0' is invalid; a port is between",
        ),
        ({"archive": {"hosts": ["a:9042"]}}, "archive.hosts.0: 'a:9042' is invalid; write a host name without a port"),
        ({"archive": {"keyspace": "k" * 49}}, "archive.keyspace: "),
        ({"archive": {"keyspace": "table"}}, "archive.keyspace: 'table' is invalid; CQL reserves this word"),
        *(
            ({"archive": {"keyspace": name}}, f"archive.keyspace: '{name}' is invalid; Cassandra has a keyspace")
            for name in ("system", "system_auth")
        ),
        ({"archive": {"username": "me"}}, "archive.password: is missing for the user me; set it"),
        ({"archive": {"password": "secret"}}, "archive.username: is missing for the password; set it"),
        ({"archive": {"username": "me", "password": 12345}}, "archive.password: its value is invalid: input should be"),
        (
            {"elasticsearch": {"matches": "Lol"}},
            "elasticsearch.matches: 'Lol' is invalid; write a name of lower-case",
        ),
        ({"executor": {"memory": "2 GB"}}, "executor.memory: '2 GB' is invalid; write a size such as 512m or 2g"),
        ({"executor": {"memory": "450m"}}, "executor.memory: '450m' is invalid; Spark starts with at least 466m"),
        ({"driver": {"memory": "465m"}}, "driver.memory: '465m' is invalid; Spark starts with at least 466m"),
        (
            {"window": {"size_seconds": 86400, "slide_seconds": 30, "watermark_seconds": 86400}},
            "window.slide_seconds: 30 makes 2880 windows of window.size_seconds 86400 for each match, at most 1440",
        ),
        ({"driver": {"ui_port": 70000}}, "driver.ui_port: 70000 is invalid: input should be less than"),
        (
            {"checkpoint_location": "/data"},
            "checkpoint_location: '/data' is invalid; write a URI such as file:///",
        ),
        *(
            (
                {"statistics": {"queue_ids": wrong}},
                f"statistics.queue_ids: {wrong!r} is invalid; write all, or a list of Riot's queue ids",
            )
            for wrong in ("every", 420, [], ["420"], [420.0], [True], None)
        ),
        *(
            (
                {section: {key: value}},
                f"{section}.{key}: {value} is invalid: input should be less than or equal to {limit}",
            )
            for section, key, value, limit in (
                ("batch", "interval_milliseconds", 30_001, 30_000),
                ("batch", "max_seconds", 31, 30),
                ("window", "update_seconds", 31, 30),
                ("window", "size_seconds", 604_801, 604_800),
                ("window", "watermark_seconds", 2_592_001, 2_592_000),
            )
        ),
        *(
            (
                overrides | {"http": {"max_batch_age_seconds": age}},
                f"http.max_batch_age_seconds: {age} is shorter than 4 times {of}; ",
            )
            for overrides, age, of in (
                ({}, 1, "batch.max_seconds (10 s)"),
                ({"batch": {"interval_milliseconds": 30_000}}, 119, "batch.interval_milliseconds (30 s)"),
                ({"batch": {"max_seconds": 20}}, 79, "batch.max_seconds (20 s)"),
                ({"window": {"update_seconds": 15}}, 59, "window.update_seconds (15 s)"),
                (
                    {"batch": {"max_seconds": 1}, "window": {"update_seconds": 1}},
                    39,
                    "the interval of an idle query's events (10 s)",
                ),
            )
        ),
        ({"log": {"level": "LOUD"}}, "log.level: 'LOUD' is invalid: input should be 'DEBUG', "),
    ],
)
def test_validation_error_is_one_line_with_key_and_remedy(overrides: dict[str, Any], line: str) -> None:
    (found,) = errors_of(overrides)
    assert found.startswith(line)
    assert "\n" not in found
    assert "secret" not in found
    assert "12345" not in found


def test_slowest_batches_fit_the_default_of_the_health_check() -> None:
    slowest = {
        "batch": {"interval_milliseconds": 30_000, "max_seconds": 30},
        "window": {"update_seconds": 30},
    }
    assert with_overrides(slowest).http.max_batch_age_seconds == with_overrides({}).http.max_batch_age_seconds
    assert with_overrides({"http": {"max_batch_age_seconds": 40}}).http.max_batch_age_seconds == 40


@pytest.mark.parametrize(
    ("login", "line"),
    [
        ({"username": "job"}, "elasticsearch.password: is missing for the user job; set it, or remove the username"),
        ({"password": "hidden"}, "elasticsearch.username: is missing for the password; set it, or remove the password"),
        ({"ca_certificate": "/etc/ca.crt"}, "elasticsearch.ca_certificate: '/etc/ca.crt' is invalid; write the certif"),
        ({"username": "job", "password": ["hidden"]}, "elasticsearch.password: its value is invalid: "),
    ],
)
def test_incomplete_login_is_an_error_without_the_password(login: dict[str, Any], line: str) -> None:
    (found,) = errors_of({"elasticsearch": login})
    assert found.startswith(line)
    assert "hidden" not in found


def test_password_is_in_no_text_of_the_settings() -> None:
    found = settings.with_overrides({"elasticsearch": {"username": "job", "password": "hidden"}})
    assert found.elasticsearch.password.get_secret_value() == "hidden"
    assert "hidden" not in repr(found)


@pytest.mark.parametrize("password", [12345678, ["12345678"], {"12345678": "12345678"}])
def test_password_of_a_wrong_type_is_not_shown(password: Any) -> None:
    (line,) = errors_of({"kafka": {"password": password}})
    assert line.startswith("kafka.password: ")
    assert "12345678" not in line


def test_line_that_is_not_yaml_is_named_and_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("kafka:\n  password: 'hush\n")
    with pytest.raises(SettingsError) as caught:
        settings.load(file)
    (line,) = caught.value.lines
    assert "is not YAML (line 3: found unexpected end of stream)" in line
    assert "hush" not in line


def test_all_validation_errors_are_reported_at_once() -> None:
    lines = errors_of({"parallelism": -1, "driver": {"host": ""}, "http": {"prot": 1}})
    assert [line.partition(":")[0] for line in lines] == ["driver.host", "parallelism", "http.prot"]


@pytest.mark.parametrize(
    ("text", "part"),
    [("- a\n- b\n", "contains a list"), ("a: [1", "is not YAML"), ("\x00", "is not YAML"), (None, "cannot be read")],
)
def test_file_without_settings_is_rejected(tmp_path: Path, text: str | None, part: str) -> None:
    file = tmp_path / "job.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        settings.load(file)
    (line,) = caught.value.lines
    assert line.startswith(f"{file}: ")
    assert part in line


def test_job_exits_with_2_on_invalid_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("kafka: {topik: x}\nparallelism: 0\n")
    monkeypatch.setattr("sys.argv", ["job", "--config", str(file)])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("Settings: parallelism: 0 is invalid")
    assert lines[1].startswith("Settings: kafka.topik: is not a key")
