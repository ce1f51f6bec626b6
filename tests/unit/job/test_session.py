"""The Spark session's JVM options, and its error for a master that does not accept the driver.

Spark itself is a fake.
"""

from __future__ import annotations

import os
import shlex
from typing import Any

import pytest
from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from job.driver import session
from job.errors import JobError
from job.settings import with_overrides


class JavaError(Py4JJavaError):  # type: ignore[misc]
    """An error of the JVM, without a JVM."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


class FakeBuilder:
    """A session's builder that fails with an error of the JVM."""

    def __init__(self, error: str) -> None:
        self.error = error
        self.properties: dict[str, str] = {}
        self.submit_arguments: list[str] = []

    def config(self, key: str, value: str) -> FakeBuilder:
        self.properties[key] = value
        return self

    def getOrCreate(self) -> Any:  # noqa: N802  # Spark's name
        self.submit_arguments = shlex.split(os.environ["PYSPARK_SUBMIT_ARGS"])
        raise JavaError(self.error)


SETTINGS = with_overrides({"spark_properties_file": "/etc/lolstack/spark.conf"})


@pytest.fixture
def _submit_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", "")


@pytest.mark.usefixtures("_submit_arguments")
@pytest.mark.parametrize(
    "error",
    [
        "An error occurred\n: java.lang.IllegalStateException: Cannot call methods on a stopped SparkContext.\n",
        'An error occurred\n: java.lang.NullPointerException: Cannot invoke "DAGScheduler.metricsSource()" because the '
        'return value of "org.apache.spark.SparkContext._dagScheduler()" is null\n',
    ],
)
def test_wrong_secret_is_reported_with_the_setting_and_the_file(monkeypatch: pytest.MonkeyPatch, error: str) -> None:
    builder = FakeBuilder(error)
    monkeypatch.setattr(SparkSession, "builder", builder)
    with pytest.raises(JobError) as caught:
        session.start(SETTINGS)
    (line,) = str(caught.value).splitlines()
    assert line.startswith("spark_properties_file: the Spark master at spark://spark-master:7077 does not accept")
    assert "STANDBY" in line
    assert "spark.authenticate.secret in /etc/lolstack/spark.conf" in line
    assert builder.submit_arguments == ["--properties-file", "/etc/lolstack/spark.conf", "pyspark-shell"]
    assert not [key for key in builder.properties if key.startswith("spark.authenticate")]


@pytest.mark.usefixtures("_submit_arguments")
def test_other_errors_of_spark_are_raised_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SparkSession, "builder", FakeBuilder("java.net.BindException: Address already in use"))
    with pytest.raises(Py4JJavaError):
        session.start(SETTINGS)


@pytest.mark.usefixtures("_submit_arguments")
@pytest.mark.parametrize("process", ["driver", "executor"])
def test_driver_and_executors_exit_when_they_are_out_of_memory(monkeypatch: pytest.MonkeyPatch, process: str) -> None:
    """As every other JVM: tests/unit/infra/test_program.py."""
    builder = FakeBuilder("java.net.BindException: Address already in use")
    monkeypatch.setattr(SparkSession, "builder", builder)
    with pytest.raises(Py4JJavaError):
        session.start(SETTINGS)
    assert "-XX:+ExitOnOutOfMemoryError" in builder.properties[f"spark.{process}.extraJavaOptions"].split()
