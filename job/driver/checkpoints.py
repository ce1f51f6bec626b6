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
        self.folder = f"{self._location}/{incarnation.cluster_id}/{incarnation.topic_id}"
        self._jvm: Any = spark.sparkContext._jvm
        self._configuration: Any = spark.sparkContext._jsc.hadoopConfiguration()

    def path(self, query: str) -> str:
        """The checkpoint location of a query."""
        return f"{self.folder}/{query}"

    def start(self) -> Start | None:
        """Where the queries over this incarnation began; None if none ever did."""
        return self._read(f"{self.folder}/{_START}")

    def reached(self, query: str) -> Offsets:
        """Up to where a query has done the topic, by partition; empty before its first batch is done."""
        batches = self._numbered(f"{self.path(query)}/commits")
        text = self._text(f"{self.path(query)}/offsets/{max(batches)}") if batches else None
        if text is None:
            return {}
        # Spark's log of a batch: its version, its settings, and a line of JSON for each source.
        try:
            sources = msgspec.json.decode(text.splitlines()[2], type=dict[str, dict[int, int]])
        except (IndexError, msgspec.DecodeError) as error:
            raise self._damaged(self.path(query), error) from error
        return sources.get(self._incarnation.topic, {})

    def save(self, start: Start) -> None:
        """Fix where the queries begin. Atomic: a crash leaves either the whole file or none."""
        final = self._path(f"{self.folder}/{_START}")
        draft = self._path(f"{self.folder}/{_START}.new")
        try:
            files = self._file_system(final)
            files.mkdirs(self._path(self.folder))
            stream = files.create(draft, True)
            try:
                stream.write(bytearray(msgspec.json.encode(start)))
            finally:
                stream.close()
            renamed = files.rename(draft, final)
        except Py4JError as error:
            raise self._unusable("written", error) from error
        if not renamed:
            raise JobError(f"checkpoint_location: {self.folder}/{_START} cannot be written; is the folder ours?")

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
        probe = self._path(f"{self.folder}/.writable")
        try:
            files = self._file_system(probe)
            files.create(probe, True).close()
            files.delete(probe, False)
        except Py4JError as error:
            raise self._unusable("written", error) from error

    def _others(self) -> list[tuple[Any, Start]]:
        """The folders of this topic's other incarnations, and where each began."""
        mine = self._path(self.folder).toUri().getPath()
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
        text = self._text(name)
        if text is None:
            return None
        try:
            return msgspec.json.decode(text, type=Start)
        except msgspec.DecodeError as error:
            raise self._damaged(name, error) from error

    def _numbered(self, folder: str) -> list[int]:
        """The files in the folder whose names are numbers."""
        try:
            found = self._file_system(self._path(folder)).globStatus(self._path(f"{folder}/*")) or []
            names = [status.getPath().getName() for status in found]
        except Py4JError as error:
            raise self._unusable("read", error) from error
        return [int(name) for name in names if name.isdecimal()]

    def _text(self, name: str) -> str | None:
        """What is in a file; None if there is none."""
        path = self._path(name)
        try:
            files = self._file_system(path)
            if not files.exists(path):
                return None
            stream = files.open(path)
            try:
                return str(self._jvm.org.apache.commons.io.IOUtils.toString(stream, "UTF-8"))
            finally:
                stream.close()
        except Py4JError as error:
            raise self._unusable("read", error) from error

    def _damaged(self, name: str, error: Exception) -> JobError:
        return JobError(f"checkpoint_location: {name} is damaged ({error}); remove its folder to begin anew")

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
