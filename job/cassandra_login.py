"""Whether an error of the Cassandra driver is a refused login."""

import re

from cassandra import AuthenticationFailed

# The driver raises the same error for every error during a login. Cassandra's own code is the same too if it could not
# read the role, for example because it is overloaded.
_REFUSED = re.compile(r'\[Bad credentials\] message="(?!Unable to perform authentication)|requires authentication')


def is_refused_login(error: Exception) -> bool:
    """Whether Cassandra refuses the login. False if it could not check it: a later attempt can succeed."""
    return isinstance(error, AuthenticationFailed) and bool(_REFUSED.search(str(error)))
