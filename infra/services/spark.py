"""What Spark's processes share: their properties, with the cluster's secret, and the login of their pages."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pulumi

from infra.logins import OPERATOR, SPARK_CLUSTER, SPARK_MONITOR, user_of
from infra.services import render
from infra.services.base import ConfigFile, Deployment

PROPERTIES = "/etc/lolstack/spark.conf"
PAGE_LOGINS = "/etc/lolstack/spark-page-logins"
CURL_CONFIG = "/etc/lolstack/spark-pages.curl"
"""Of the health checks: curl's configuration, with a login where the pages need one."""
PAGES_NEED_LOGIN = f"""# The pages and metrics of each process (job/pages).
spark.ui.filters lolstack.PageLogin
spark.lolstack.PageLogin.param.file {PAGE_LOGINS}
"""


def page_login(deployment: Deployment) -> str | None:
    """The login with which Prometheus and the health checks read Spark's pages; None where they need none."""
    return SPARK_MONITOR if deployment.strict else None


def config_files(deployment: Deployment) -> Sequence[ConfigFile]:
    """The files of each Spark process. They have no password of a person, only its hash."""
    properties = deployment.password(SPARK_CLUSTER).apply(lambda secret: render("spark.conf", secret=secret))
    if not deployment.strict:
        return [ConfigFile(PROPERTIES, properties), ConfigFile(CURL_CONFIG, "# The pages need no login.\n")]
    monitor = pulumi.Output.concat(user_of(SPARK_MONITOR), ":", deployment.password(SPARK_MONITOR))
    operator = pulumi.Output.concat(OPERATOR, ":", deployment.password(OPERATOR))
    return [
        ConfigFile(PROPERTIES, properties.apply(lambda text: text + PAGES_NEED_LOGIN)),
        ConfigFile(PAGE_LOGINS, pulumi.Output.all(monitor, operator).apply(login_hashes)),
        ConfigFile(CURL_CONFIG, pulumi.Output.concat('user = "', monitor, '"\n')),
    ]


def login_hashes(logins: Sequence[str]) -> str:
    """The file of logins `user:password` that the pages' filter reads (job/pages)."""
    return "".join(f"{hashlib.sha256(login.encode()).hexdigest()}\n" for login in logins)
