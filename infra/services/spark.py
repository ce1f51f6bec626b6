"""What Spark's processes share: their properties, with the cluster's secret, and the login of their pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi

from infra.logins import OPERATOR, SPARK_CLUSTER, SPARK_MONITOR, sha256, user_of
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
    monitor, operator = deployment.password(SPARK_MONITOR), deployment.password(OPERATOR)
    logins = pulumi.Output.all(**{user_of(SPARK_MONITOR): monitor, OPERATOR: operator})
    return [
        ConfigFile(PROPERTIES, properties.apply(lambda text: text + PAGES_NEED_LOGIN)),
        ConfigFile(PAGE_LOGINS, logins.apply(page_logins)),
        ConfigFile(CURL_CONFIG, monitor.apply(lambda password: f'user = "{user_of(SPARK_MONITOR)}:{password}"\n')),
    ]


def page_logins(passwords: Mapping[str, str]) -> str:
    """The file of logins that the pages' filter reads (job/pages), from the passwords by user."""
    return "".join(f"{sha256(user, password)}\n" for user, password in passwords.items())
