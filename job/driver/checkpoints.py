"""Checkpoints: one folder for each incarnation of the topic, with its starting offsets and the queries' checkpoints.

Layout: <location>/<cluster id>/<topic id>/start.json and /<query>/. The files are accessed through Hadoop's file system
API, so every location that Spark accepts for checkpoints works here too.

A checkpoint has one writer. In the stack the driver's container has a fixed name, so a zombie driver cannot run beside
a new one. Elsewhere the deployment must see to that.
"""

import logging
from contextlib import suppress
from typing import Any, TypeVar

import msgspec
from py4j.protocol import Py4JError
from pyspark.sql import SparkSession

from job.errors import JobError, first_line
from job.topic import Incarnation, Offsets

log = logging.getLogger(__name__)

_START_FILE = "start.json"
_CORRUPT_FILE = "corrupt"
"""A file in a query's checkpoint: why its state, which only the executors read, cannot be read."""

_QUERY_RESTARTS = "the query then reads the topic again from where it first started"

T = TypeVar("T")


class CorruptCheckpointError(JobError):
    """A file of a checkpoint cannot be read. `problem` is the message without what to do."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}; {remedy}")
        self.problem = problem


class StartingOffsets(msgspec.Struct, frozen=True):
    """Where the queries started in an incarnation: written once at its first start, so that later starts agree on it.

    Content of start.json.
    """

    topic: str
    offsets: Offsets


class _BatchMetadata(msgspec.Struct, frozen=True):
    """The metadata of a batch in Spark's offset log."""

    watermark: int = msgspec.field(name="batchWatermarkMs")


class Checkpoints:
    """An incarnation's folder in the checkpoint location (a URI). Raises JobError if it cannot be read or written."""

    def __init__(self, spark: SparkSession, location: str, incarnation: Incarnation) -> None:
        self._location = location.rstrip("/")
        self._incarnation = incarnation
        self.folder = f"{self._location}/{incarnation.cluster_id}/{incarnation.topic_id}"
        context: Any = spark.sparkContext
        self._jvm = context._jvm
        # Py4J looks up each part of a class's name, each time that it is used.
        self._path, self._streams = self._jvm.org.apache.hadoop.fs.Path, self._jvm.org.apache.commons.io.IOUtils
        rename = getattr(self._jvm.org.apache.hadoop.fs, "Options$Rename")
        self._overwrite = context._gateway.new_array(rename, 1)
        self._overwrite[0] = rename.OVERWRITE
        self._configuration: Any = context._jsc.hadoopConfiguration()

    def path(self, query: str) -> str:
        """A query's `checkpointLocation`, in the folder of the topic's incarnation."""
        return f"{self.folder}/{query}"

    def starting_offsets(self, query: str = "") -> StartingOffsets | None:
        """The starting offsets that were saved for this incarnation; None before its first start.

        With `query`, those that were saved for it alone; None if there are none.
        """
        return self._read_start(self._start_file(query))

    def _start_file(self, query: str) -> str:
        return f"{self.folder}/{query}-{_START_FILE}" if query else f"{self.folder}/{_START_FILE}"

    def committed_offsets(self, query: str) -> Offsets:
        """The end offsets of the query's last committed batch, by partition; empty before its first commit.

        Raises CorruptCheckpointError after `mark_corrupt`, or if one of the files that Spark reads at the query's start
        is damaged or missing: the query's metadata and first offsets, the last commit, and the offsets of the last
        batch, committed or not, and of the one before.
        """
        folder = self.path(query)
        if reason := self._read_text(f"{folder}/{_CORRUPT_FILE}"):
            raise _corrupt(f"{folder}/state", reason, folder, _QUERY_RESTARTS)
        commits, planned = self._batch_numbers(f"{folder}/commits"), self._batch_numbers(f"{folder}/offsets")
        last, committed = max(commits | planned, default=-1), max(commits, default=-1)
        self._read_line(query, "sources/0/0", 1, dict[str, Offsets])  # Spark writes it again if it is missing
        lines = [("metadata", 0)]
        lines += [(f"commits/{committed}", 1)] if commits else []
        lines += [(f"offsets/{batch}", 2) for batch in range(max(0, last - 1), last + 1)]
        missing = [name for name, line in lines if self._read_line(query, name, line, dict[str, Any]) is None]
        if missing and last >= 0:
            raise _corrupt(f"{folder}/{missing[0]}", "it is missing", folder, _QUERY_RESTARTS)
        return self._offsets(query, committed)

    def mark_corrupt(self, query: str, reason: str) -> None:
        """Let `committed_offsets` report that the query's state cannot be read, until `remove`."""
        self._write(f"{self.path(query)}/{_CORRUPT_FILE}", reason.encode())

    def readable_offsets(self, query: str) -> Offsets:
        """The same of the last committed batch whose offsets are not damaged; empty if there is none."""
        for batch in sorted(self._batch_numbers(f"{self.path(query)}/commits"), reverse=True):
            with suppress(CorruptCheckpointError):
                if offsets := self._offsets(query, batch):
                    return offsets
        return {}

    def _offsets(self, query: str, batch: int) -> Offsets:
        """A batch's end offsets; empty if its file is missing."""
        topics = self._read_line(query, f"offsets/{batch}", 2, dict[str, Offsets])
        return (topics or {}).get(self._incarnation.topic, {})

    def watermark(self, query: str, batch: int) -> int:
        """The watermark of a batch, in milliseconds since 1970; 0 if there was no such batch."""
        metadata = self._read_line(query, f"offsets/{batch}", 1, _BatchMetadata)
        return metadata.watermark if metadata else 0

    def split(self, query: str, stateful: str) -> None:
        """Checkpoint migration at an upgrade from a job with a single query: divide the checkpoint of `query`, which
        was stateful.

        The new query `stateful` continues with its state and offsets. The starting offsets become the committed ones,
        where `query` continues: it has no checkpoint any more. A crash in between changes nothing, because the starting
        offsets do not apply to a checkpoint.
        """
        start = self.starting_offsets()
        old = self._path(self.path(query))
        try:
            files = self._file_system(old)
            if start is None or not files.exists(self._path(f"{self.path(query)}/state")):
                return
            committed = self.committed_offsets(query)
            self.save(StartingOffsets(start.topic, start.offsets | committed))
            moved = files.rename(old, self._path(self.path(stateful)))
        except Py4JError as error:
            raise self._inaccessible("written", error) from error
        if not moved:
            raise JobError(
                f"checkpoint_location: {old} cannot be renamed to {stateful}; does this user own the folder?"
            )
        log.info("The checkpoint of the query %s is now that of the query %s", query, stateful)

    def remove(self, query: str) -> None:
        """Remove a query's checkpoint. A crash in between leaves either all of it or none under its name."""
        current, removed = self._path(self.path(query)), self._path(f"{self.path(query)}.removed")
        try:
            files = self._file_system(current)
            files.delete(removed, True)  # of a removal that a crash has interrupted
            if files.exists(current) and not files.rename(current, removed):
                raise JobError(f"checkpoint_location: {current} cannot be renamed; does this user own the folder?")
            files.delete(removed, True)
        except Py4JError as error:
            raise self._inaccessible("written", error) from error

    def save(self, start: StartingOffsets, query: str = "") -> None:
        """Write the starting offsets, of `query` alone if it is given."""
        # Earlier versions of the job cannot read the file without the field `position`, whose value they do not use.
        content = {"topic": start.topic, "position": "", "offsets": start.offsets}
        self._write(self._start_file(query), msgspec.json.encode(content))

    def _write(self, name: str, content: bytes) -> None:
        """Write or replace a file atomically: a crash leaves either the new content or what was there before."""
        final, draft = self._path(name), self._path(f"{name}.new")
        try:
            files = self._file_system(final)
            files.mkdirs(final.getParent())
            stream = files.create(draft, True)
            try:
                stream.write(bytearray(content))
                stream.hsync()  # otherwise the file can be empty after a power failure
            finally:
                stream.close()
            # Unlike FileSystem's, FileContext's rename can replace a file.
            context = self._jvm.org.apache.hadoop.fs.FileContext.getFileContext(final.toUri(), self._configuration)
            context.rename(draft, final, self._overwrite)
        except Py4JError as error:
            raise self._inaccessible("written", error) from error

    def has_other_incarnation(self) -> bool:
        """Whether there is a checkpoint of another incarnation of this topic."""
        return bool(self._other_incarnations())

    def remove_replaced(self) -> None:
        """Delete the checkpoints of a recreated topic's earlier incarnations in the same cluster.

        A cluster has only one topic of a name, so the earlier ones no longer exist. Checkpoints of other clusters stay:
        their jobs may share the location and still run. The current incarnation's folder stays too: it shows that the
        topic was read before, if the topic is deleted and created again later.
        """
        for folder, start in self._other_incarnations():
            if folder.getParent().getName() != self._incarnation.cluster_id:
                continue
            try:
                removed = self._file_system(folder).delete(folder, True)
            except Py4JError as error:
                log.warning("%s", self._inaccessible("cleaned up", error))
            else:
                result = "Removed" if removed else "Could not completely remove"
                log.info("%s checkpoint %s of a deleted topic %s", result, folder, start.topic)

    def check_writable(self) -> None:
        """Check write access before anything is read. Raises JobError if a file cannot be created, written, removed."""
        probe = self._path(f"{self.folder}/.writable")
        try:
            files = self._file_system(probe)
            stream = files.create(probe, True)
            try:
                stream.write(bytes(4096))  # on a full disk, a file can still be created
            finally:
                stream.close()
            files.delete(probe, False)
        except Py4JError as error:
            raise self._inaccessible("written", error) from error

    def _other_incarnations(self) -> list[tuple[Any, StartingOffsets]]:
        """The folder and the starting offsets of each other incarnation of this topic."""
        current = self._path(self.folder).toUri().getPath()
        try:
            location = self._path(self._location)
            found = self._file_system(location).globStatus(self._path(f"{self._location}/*/*/{_START_FILE}")) or []
            paths = [status.getPath() for status in found]
        except Py4JError as error:
            raise self._inaccessible("read", error) from error
        starts = [(path.getParent(), self._read_start(path.toString())) for path in paths]
        return [
            (folder, start)
            for folder, start in starts
            if start is not None and start.topic == self._incarnation.topic and folder.toUri().getPath() != current
        ]

    def _read_line(self, query: str, file: str, line: int, content: type[T]) -> T | None:
        """A line of a file in the query's checkpoint, as JSON; None if the file does not exist.

        Lines of the offset log: 1 is a batch's metadata, 2 its offsets.
        """
        name = f"{self.path(query)}/{file}"
        text = self._read_text(name)
        if text is None:
            return None
        lines = text.splitlines()
        if len(lines) <= line:
            raise _corrupt(name, "it is cut off", self.path(query), _QUERY_RESTARTS)
        try:
            return msgspec.json.decode(lines[line], type=content)
        except msgspec.DecodeError as error:
            raise _corrupt(name, error, self.path(query), _QUERY_RESTARTS) from error

    def _read_start(self, name: str) -> StartingOffsets | None:
        text = self._read_text(name)
        if text is None:
            return None
        try:
            return msgspec.json.decode(text, type=StartingOffsets)
        except msgspec.DecodeError as error:
            raise _corrupt(
                name,
                error,
                name.rpartition("/")[0],
                "the job then reads the topic from its beginning, or from the time in kafka.starting_offsets",
            ) from error

    def _batch_numbers(self, folder: str) -> set[int]:
        """The batches that one of Spark's logs has: its files are named by batch number."""
        try:
            found = self._file_system(self._path(folder)).globStatus(self._path(f"{folder}/*")) or []
            names = [status.getPath().getName() for status in found]
        except Py4JError as error:
            raise self._inaccessible("read", error) from error
        return {int(name) for name in names if name.isdecimal()}

    def _read_text(self, name: str) -> str | None:
        """A file's content; None if the file does not exist."""
        path = self._path(name)
        try:
            files = self._file_system(path)
            if not files.exists(path):
                return None
            stream = files.open(path)
            try:
                return str(self._streams.toString(stream, "UTF-8"))
            finally:
                stream.close()
        except Py4JError as error:
            raise self._inaccessible("read", error) from error

    def _file_system(self, path: Any) -> Any:
        return path.getFileSystem(self._configuration)

    def _inaccessible(self, verb: str, error: Py4JError) -> JobError:
        java = getattr(error, "java_exception", None)
        cause = first_line(java.toString() if java is not None else error)
        return JobError(
            f"checkpoint_location: {self._location} cannot be {verb} ({cause}); is it mounted, does this user own it?"
        )


def _corrupt(name: str, reason: object, folder: str, effect: str) -> CorruptCheckpointError:
    return CorruptCheckpointError(
        f"checkpoint_location: {name} is corrupt ({reason})",
        f"remove the folder {folder}: {effect}, and duplicates no document",
    )
