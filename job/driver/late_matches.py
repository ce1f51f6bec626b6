"""Late data: counts the matches that came too late for the windows of the statistics, because of the watermark.

Spark counts the rows that it drops (`numRowsDroppedByWatermark` in a progress event): a match that is sent four times
counts four times, and tasks that are retried count again.
"""

from collections import OrderedDict
from collections.abc import Mapping

from job.driver.checkpoints import Checkpoints

REMEMBERED_MATCHES = 100_000


class LateMatches:
    """Counts late matches, each once however often it is sent.

    A match that was sent before is not counted, neither a late one again nor one that the windows have. The ids of the
    last matches are kept in memory for that, so after a restart, or very many other matches, a match is new again.
    """

    def __init__(self, checkpoints: Checkpoints, query: str) -> None:
        self._checkpoints = checkpoints
        self._query = query
        self._seen: OrderedDict[str, None] = OrderedDict()

    def count(self, batch: int, event_times: Mapping[str, int]) -> int:
        """The number of new matches among those of a micro-batch that came too late for the windows.

        `event_times` has the matches' event times in milliseconds, by match id.
        """
        if not event_times:
            return 0
        # Spark drops the rows that are not after the watermark of the batch before.
        watermark = self._checkpoints.watermark(self._query, batch - 1)
        late = sum(
            event_time <= watermark and match_id not in self._seen for match_id, event_time in event_times.items()
        )
        for match_id in event_times:
            self._seen[match_id] = None
            self._seen.move_to_end(match_id)
        while len(self._seen) > REMEMBERED_MATCHES:
            self._seen.popitem(last=False)
        return late
