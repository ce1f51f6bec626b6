"""Where the two queries start: from their checkpoints, or else from the setting. Finds messages that Kafka has lost."""

import logging
from collections.abc import Callable
from typing import NamedTuple

from job.driver.checkpoints import Checkpoints, CorruptCheckpointError, StartingOffsets
from job.driver.query import MATCHES, STATISTICS
from job.errors import JobError
from job.settings import StartingPosition
from job.topic import Incarnation, Offsets, TopicInspector

log = logging.getLogger(__name__)

_EARLIEST = -2
"""Spark's offset for the beginning of a partition."""
_WITH_DOCUMENTS = "where the documents continue"
_FIRST_RETAINED = "at the first messages that Kafka has"


class _Progress(NamedTuple):
    """A query's progress: where it first started, what it has committed, and which file of its checkpoint is damaged.

    `committed` is empty before the first commit and after damage, `damage` without any.
    """

    first: Offsets
    committed: Offsets
    damage: str


class StartResolver:
    """Resolves where the queries start in an incarnation of the topic, and keeps it in the checkpoints."""

    def __init__(self, kafka: TopicInspector, incarnation: Incarnation, checkpoints: Checkpoints) -> None:
        self._kafka = kafka
        self._incarnation = incarnation
        self._checkpoints = checkpoints

    def start_of_matches(self, position: StartingPosition, has_indexed_matches: Callable[[], bool]) -> StartingOffsets:
        """The offsets at which the queries start: resolved at the first start over an incarnation, and saved from then
        on. Checkpoints of earlier incarnations are removed.

        Raises JobError if the checkpoint location is not writable, or if Kafka has deleted messages that the documents'
        query has not read yet, or no longer has messages that it has read. Spark's own errors for both name neither the
        cause nor a remedy.
        """
        self._checkpoints.check_writable()
        self._checkpoints.split(MATCHES, STATISTICS)
        topic = self._incarnation.topic
        start = self._checkpoints.starting_offsets()
        if start is None:
            resolved = self._first_position(position, has_indexed_matches)
            start = StartingOffsets(topic, self._kafka.offsets(self._incarnation, resolved))
            self._checkpoints.save(start)
            log.info("Starting topic %s, id %s, at %s", topic, self._incarnation.topic_id, resolved)
        else:
            if lost := self._lost_messages(start.offsets, self._checkpoints.committed_offsets(MATCHES)):
                raise JobError(
                    f"kafka.topic: {topic} has lost messages: {lost}; to continue with the remaining ones, set "
                    f"kafka.starting_offsets to earliest and remove the folder {self._checkpoints.folder}"
                )
            log.info("Resuming topic %s, id %s, from the checkpoint", topic, self._incarnation.topic_id)
        self._checkpoints.remove_replaced()
        # Spark requires an offset for every partition; partitions that were added later are read from their beginning.
        added = dict.fromkeys(set(self._incarnation.partitions) - set(start.offsets), _EARLIEST)
        return StartingOffsets(start.topic, start.offsets | added)

    def _first_position(self, position: StartingPosition, has_indexed_matches: Callable[[], bool]) -> StartingPosition:
        """The setting, or the beginning instead of `latest` if the topic was read before.

        A recreated topic (deleted and created again) is read from its beginning: otherwise the messages that arrived
        while the job restarted would be skipped. So is one whose checkpoint was lost, but whose matches are indexed.
        Documents are versioned, so reading a message again duplicates none.
        """
        topic = self._incarnation.topic
        if position != "latest":
            return position
        if self._checkpoints.has_other_incarnation():
            log.info("Topic %s was deleted and created again: reading it from its beginning", topic)
            return "earliest"
        if has_indexed_matches():
            log.warning(
                "There is no checkpoint of topic %s, but its matches are indexed: reading it from its beginning, so "
                "that no message is skipped. Windows of the statistics whose first messages have expired are partial",
                topic,
            )
            return "earliest"
        return position

    def start_of_statistics(self, start: StartingOffsets, on_loss: Callable[[int], None]) -> StartingOffsets:
        """The offsets at which the statistics' query starts without a checkpoint: by default those of the documents'
        query (`start`).

        If Kafka has lost messages of the statistics, or a file of their checkpoint is damaged, the checkpoint is
        removed, and they start where the documents' query has committed: windows that lack messages must not stop the
        documents. Statistics without a committed batch, such as those whose checkpoint was removed to compute them
        again, start at the first messages that Kafka has. `on_loss` receives how many offsets they skip.
        """
        with_documents = start.offsets | self._checkpoints.committed_offsets(MATCHES)
        first, committed, damage = self._progress_of_statistics(start.offsets)
        if damage:
            reason = f"The checkpoint of the statistics is damaged: {damage}"
            return self._restart_statistics(reason, first, with_documents, _WITH_DOCUMENTS, on_loss)
        lost = self._lost_messages(first, committed)
        if not lost:
            return StartingOffsets(self._incarnation.topic, first)
        reason = f"Topic {self._incarnation.topic} has lost messages of the statistics: {lost}"
        if committed:
            return self._restart_statistics(reason, first, with_documents, _WITH_DOCUMENTS, on_loss)
        return self._restart_statistics(reason, first, self._retained(first), _FIRST_RETAINED, on_loss)

    def _progress_of_statistics(self, first: Offsets) -> _Progress:
        """The statistics' progress. `first` is where the documents' query started."""
        try:
            # After an earlier restart from zero they may have committed no batch yet.
            if saved := self._checkpoints.starting_offsets(STATISTICS):
                first = first | saved.offsets
            return _Progress(first, self._checkpoints.committed_offsets(STATISTICS), damage="")
        except CorruptCheckpointError as error:
            return _Progress(first, {}, error.problem)

    def _restart_statistics(
        self, reason: str, first: Offsets, offsets: Offsets, where: str, on_loss: Callable[[int], None]
    ) -> StartingOffsets:
        """Remove the statistics' checkpoint and let them start at `offsets`; they first started at `first`."""
        reached = first | self._checkpoints.readable_offsets(STATISTICS)
        skipped = sum(max(0, offset - max(0, reached.get(partition, 0))) for partition, offset in offsets.items())
        log.warning(
            "%s. Their windows start from zero %s, %d messages later; no document is missing", reason, where, skipped
        )
        start = StartingOffsets(self._incarnation.topic, offsets)
        self._checkpoints.save(start, STATISTICS)
        self._checkpoints.remove(STATISTICS)
        on_loss(skipped)
        return start

    def _retained(self, offsets: Offsets) -> Offsets:
        """The offsets, moved to the nearest ones that Kafka has."""
        begins, ends = self._begins(), self._ends()
        return {
            partition: offset if offset == _EARLIEST else min(max(offset, begins[partition]), ends[partition])
            for partition, offset in offsets.items()
        }

    def _lost_messages(self, first: Offsets, committed: Offsets) -> str:
        """Which messages Kafka has deleted before a query read them, or no longer has although it read them; or "".

        The query first started at `first`, and has committed the offsets `committed`, if any.
        """
        # A query that has committed a batch reads partitions that were added since then from offset 0.
        unread = dict.fromkeys(self._incarnation.partitions, 0) if committed else {}
        begins, ends = self._begins(), self._ends()
        lost = []
        for number, offset in sorted((first | unread | committed).items()):
            begin, end = begins.get(number, offset), ends.get(number, offset)
            if offset != _EARLIEST and offset < begin:
                lost.append(f"{offset:,}-{begin - 1:,} of partition {number} expired (retention) before they were read")
            if offset > end:
                lost.append(f"{end:,}-{offset - 1:,} of partition {number}, which were read (did its machine crash?)")
        return ", ".join(lost)

    def _begins(self) -> Offsets:
        return self._kafka.offsets(self._incarnation, "earliest")

    def _ends(self) -> Offsets:
        return self._kafka.offsets(self._incarnation, "latest")
