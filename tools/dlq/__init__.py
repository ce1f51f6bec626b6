"""`make dlq`: the dead letter queue, that is the topic `lol_matches_dlq`: count, show and replay dead letters.

The dead-letter topic is only read: its messages stay. A dead letter that is replayed becomes a new message of
`lol_matches` with the original's key, value and headers, and its own outcome: documents, or a new dead letter if the
cause is not fixed. Replay is idempotent: document ids are derived from the data, the statistics count a match once, and
of dead letters with the same key and value (a message that failed again, a batch that was retried) one is replayed.
"""
