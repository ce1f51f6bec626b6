"""Where the queries keep their place: one folder for each incarnation of the topic, and where in it they began.

<location>/<cluster id>/<topic id>/start.json and /<query>/. The files are reached through Spark's own file systems, so
that any location that Spark can use for checkpoints works here too.
"""

import logging
from typing import Any

import msgspec
from py4j.protocol import Py4JError
from pyspark.sql import SparkSession

from job.errors import JobError
from job.topic import Incarnation, Offsets

log = logging.getLogger(__name__)

_START = "start.json"


class Start(msgspec.Struct, frozen=True):
    """Where all queries over an incarnation began, fixed once, so that each of them has seen the same messages."""

    topic: str
    position: str
    offsets: Offsets


class Checkpoints:
    """The folder at a location (a URI) for an incarnation. Raises JobError where it cannot be read or written."""

    def __init__(self, spark: SparkSession, location: str, incarnation: Incarnation) -> None:
        self._location = location.rstrip("/")
        self._incarnation = incarnation
        self._folder = f"{self._location}/{incarnation.cluster_id}/{incarnation.topic_id}"
        self._jvm: Any = spark.sparkContext._jvm
        self._configuration: Any = spark.sparkContext._jsc.hadoopConfiguration()

    def path(self, query: str) -> str:
        """The checkpoint location of a query."""
        return f"{self._folder}/{query}"

    def start(self) -> Start | None:
        """Where the queries over this incarnation began; None if none ever did."""
        return self._read(f"{self._folder}/{_START}")

    def save(self, start: Start) -> None:
        """Fix where the queries begin. Atomic: a crash leaves either the whole file or none."""
        final = self._path(f"{self._folder}/{_START}")
        draft = self._path(f"{self._folder}/{_START}.new")
        try:
            files = self._file_system(final)
            files.mkdirs(self._path(self._folder))
            stream = files.create(draft, True)
            try:
                stream.write(bytearray(msgspec.json.encode(start)))
            finally:
                stream.close()
            renamed = files.rename(draft, final)
        except Py4JError as error:
            raise self._unusable("written", error) from error
        if not renamed:
            raise JobError(f"checkpoint_location: {self._folder}/{_START} cannot be written; is the folder ours?")

    def has_other_incarnation(self) -> bool:
        """Whether the job has read a topic of this name before that was not this incarnation."""
        return bool(self._others())

    def clean_up(self) -> None:
        """Remove the folders of this topic's earlier incarnations.

        Only of those that are gone for certain: a cluster has one topic of a name. Another cluster whose job shares the
        location may be alive. The folder of the incarnation that is read now stays, so that the job knows of it when
        the topic is made anew once more.
        """
        for folder, start in self._others():
            if folder.getParent().getName() != self._incarnation.cluster_id:
                continue
            name = f"{folder} of topic {start.topic}, which is gone,"
            try:
                removed = self._file_system(folder).delete(folder, True)
            except Py4JError as error:
                log.warning("%s", self._unusable("cleaned up", error))
            else:
                log.info("Checkpoint %s %s", name, "is removed" if removed else "cannot be removed whole")

    def check_writable(self) -> None:
        """Find out before anything is read. Raises JobError where files cannot be made or removed."""
        probe = self._path(f"{self._folder}/.writable")
        try:
            files = self._file_system(probe)
            files.create(probe, True).close()
            files.delete(probe, False)
        except Py4JError as error:
            raise self._unusable("written", error) from error

    def _others(self) -> list[tuple[Any, Start]]:
        """The folders of this topic's other incarnations, and where each began."""
        mine = self._path(self._folder).toUri().getPath()
        try:
            location = self._path(self._location)
            found = self._file_system(location).globStatus(self._path(f"{self._location}/*/*/{_START}")) or []
            paths = [status.getPath() for status in found]
        except Py4JError as error:
            raise self._unusable("read", error) from error
        starts = [(path.getParent(), self._read(path.toString())) for path in paths]
        return [
            (folder, start)
            for folder, start in starts
            if start is not None and start.topic == self._incarnation.topic and folder.toUri().getPath() != mine
        ]

    def _read(self, name: str) -> Start | None:
        path = self._path(name)
        try:
            files = self._file_system(path)
            if not files.exists(path):
                return None
            stream = files.open(path)
            try:
                text = self._jvm.org.apache.commons.io.IOUtils.toString(stream, "UTF-8")
            finally:
                stream.close()
        except Py4JError as error:
            raise self._unusable("read", error) from error
        try:
            return msgspec.json.decode(text, type=Start)
        except msgspec.DecodeError as error:
            raise JobError(
                f"checkpoint_location: {name} is damaged ({error}); remove its folder to begin anew"
            ) from error

    def _path(self, name: str) -> Any:
        return self._jvm.org.apache.hadoop.fs.Path(name)

    def _file_system(self, path: Any) -> Any:
        return path.getFileSystem(self._configuration)

    def _unusable(self, verb: str, error: Py4JError) -> JobError:
        java = getattr(error, "java_exception", None)
        cause = str(java.toString() if java is not None else error).partition("\n")[0]
        return JobError(
            f"checkpoint_location: {self._location} cannot be {verb} ({cause}); is it mounted, is it this user's?"
        )
