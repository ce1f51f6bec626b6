"""A Kafka producer for what confluent_kafka's own refuses to send: a header with any bytes as its name."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from pathlib import Path

import confluent_kafka

_TOPIC, _PARTITION, _VALUE, _HEADER = 1, 3, 4, 9
"""librdkafka's rd_kafka_vtype_t."""
_PRODUCER = 0


class _Field(ctypes.Structure):
    """librdkafka's rd_kafka_vu_t: a field of a message. Its union has 64 bytes; here it is three words of them."""

    _fields_ = (
        ("kind", ctypes.c_int),
        ("first", ctypes.c_void_p),
        ("second", ctypes.c_void_p),
        ("third", ctypes.c_size_t),
        ("rest", ctypes.c_char * 40),
    )


def send_with_header(
    client: Mapping[str, str], topic: str, value: bytes, name: bytes, content: bytes, partition: int
) -> None:
    """Send a message with one header whose name is these bytes, with librdkafka's C interface."""
    (path,) = (Path(confluent_kafka.__file__).parents[1] / "confluent_kafka.libs").glob("librdkafka-*")
    library = ctypes.CDLL(str(path))
    for function in (library.rd_kafka_conf_new, library.rd_kafka_new, library.rd_kafka_produceva):
        function.restype = ctypes.c_void_p
    conf = ctypes.c_void_p(library.rd_kafka_conf_new())
    error = ctypes.create_string_buffer(512)
    for setting, text in client.items():
        assert library.rd_kafka_conf_set(conf, setting.encode(), text.encode(), error, len(error)) == 0, error.value
    producer = ctypes.c_void_p(library.rd_kafka_new(_PRODUCER, conf, error, len(error)))
    assert producer, error.value
    fields = (_Field * 4)()
    texts = [ctypes.create_string_buffer(text) for text in (topic.encode(), value, name, content)]
    addresses = [ctypes.addressof(text) for text in texts]
    fields[0].kind, fields[0].first = _TOPIC, addresses[0]
    fields[1].kind, fields[1].first = _PARTITION, partition
    fields[2].kind, fields[2].first, fields[2].second = _VALUE, addresses[1], len(value)
    fields[3].kind, fields[3].first, fields[3].second, fields[3].third = _HEADER, *addresses[2:], len(content)
    assert not library.rd_kafka_produceva(producer, fields, ctypes.c_size_t(len(fields))), (
        "librdkafka refuses the message"
    )
    assert library.rd_kafka_flush(producer, 10_000) == 0, "Kafka did not acknowledge the message"
    library.rd_kafka_destroy(producer)
