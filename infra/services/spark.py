"""What Spark's processes share: their properties, with the cluster's secret, and the login of their pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi

from infra.logins import MONITOR, OPERATOR, SPARK_CLUSTER, sha256, user_of
from infra.services import render
from infra.services.base import ConfigFile, Deployment
from infra.services.web_login import curl_config

PROPERTIES = "/etc/lolstack/spark.conf"
PAGE_LOGINS = "/etc/lolstack/spark-page-logins"
PAGES_NEED_LOGIN = f"""# The pages and metrics of each process (job/pages).
spark.ui.filters lolstack.PageLogin
spark.lolstack.PageLogin.param.file {PAGE_LOGINS}
"""


def config_files(deployment: Deployment) -> Sequence[ConfigFile]:
    """The files of each Spark process. They have no password of a person, only its hash."""
    properties = deployment.password(SPARK_CLUSTER).apply(lambda secret: render("spark.conf", secret=secret))
    if not deployment.strict:
        return [ConfigFile(PROPERTIES, properties), curl_config(deployment)]
    logins = pulumi.Output.all(**{user_of(login): deployment.password(login) for login in (MONITOR, OPERATOR)})
    return [
        ConfigFile(PROPERTIES, properties.apply(lambda text: text + PAGES_NEED_LOGIN)),
        ConfigFile(PAGE_LOGINS, logins.apply(page_logins)),
        curl_config(deployment),
    ]


def page_logins(passwords: Mapping[str, str]) -> str:
    """The file of logins that the pages' filter reads (job/pages), from the passwords by user."""
    return "".join(f"{sha256(user, password)}\n" for user, password in passwords.items())
