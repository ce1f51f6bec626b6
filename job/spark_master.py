"""The Spark master, seen from the driver at the start: is it there?

Spark itself says so after a minute, in stack traces that do not name the setting.
"""

import re
import socket

from job.errors import JobError
from job.retry import wait_until_available

_ADDRESS = re.compile(r"(?P<host>[^\s,:]+):(?P<port>[0-9]{1,5})")
_STANDALONE = "spark://"
_CONNECT_SECONDS = 5


def connect(master: str) -> None:
    """Wait until one of the standalone masters takes a connection; other kinds of master are left to Spark.

    Raises JobError if none does within the limit of `job.waiting`, or if `master` is no address.
    """
    if not master.startswith(_STANDALONE):
        return
    found = [_ADDRESS.fullmatch(address) for address in master.removeprefix(_STANDALONE).split(",")]
    addresses = [(each["host"], int(each["port"])) for each in found if each and 0 < int(each["port"]) < 65536]
    if len(addresses) < len(found):
        raise JobError(f"master: {master} is no address; write spark://host:7077")

    def ask() -> None:
        errors = []
        for address in addresses:
            try:
                socket.create_connection(address, timeout=_CONNECT_SECONDS).close()
                return
            except OSError as error:
                errors.append(error)
        raise errors[0]

    def complaint(error: OSError) -> str:
        cause = error.strerror or str(error)
        return f"master: {master} does not answer ({cause}); is the Spark master running, is the address right?"

    wait_until_available("the Spark master", ask, lambda error: isinstance(error, OSError), complaint)
