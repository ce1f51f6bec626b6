"""Elasticsearch's logins: who may read, who may change what, TLS in `strict`. Switching and rotation lose nothing."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import ApiError, Elasticsearch
from pulumi.automation import OpType

from analytics.search import search_matches
from harness.stack import Stack
from harness.waiting import eventually
from infra.clients.cassandra import accepts
from infra.clients.elasticsearch import ElasticsearchServer
from infra.clients.kafka import KafkaLoginError, TopicClient
from infra.clients.task_container import put_files
from infra.logins import CASSANDRA_ADMIN, CASSANDRA_ARCHIVE, ELASTICSEARCH_ROLES, OPERATOR, user_of
from infra.names import CASSANDRA_PORT, CHAMPIONS_ALIAS, ELASTICSEARCH_PORT
from infra.services.elasticsearch import CONFIG, users_file
from tests.support.known_messages import KnownMessages
from tests.support.local_user import curl
from tools.stack_outputs import kafka_settings

ALIAS = CHAMPIONS_ALIAS
POST_JSON = ("-X", "POST", "-H", "Content-Type: application/json", "-d")
PUT_JSON = ("-X", "PUT", "-H", "Content-Type: application/json", "-d")
REMOVED = {"index": f"{ALIAS}-2020.01", "alias": ALIAS}
READS = {
    "node": ("/",),
    "health": ("/_cluster/health",),
    "count": (f"/{ALIAS}/_count",),
    "search": (f"/{ALIAS}/_search?q=champion_name:Ahri&size=1&pretty",),
    "list of indices": ("/_cat/indices",),
    "list of shards": ("/_cat/shards",),
    "template": (f"/_index_template/{ALIAS}",),
    "statistics": ("/lol_*/_stats",),
    "list of nodes": ("/_cat/nodes",),
    "statistics of the nodes": ("/_nodes/stats",),
    "statistics of the cluster": ("/_cluster/stats",),
}
"""What the guide shows: curl's arguments."""
CHANGES = {
    "index a document": (*POST_JSON, "{}", f"/{ALIAS}-2020.01/_doc"),
    "delete an index": ("-X", "DELETE", f"/{ALIAS}-2020.01"),
    "close an index": ("-X", "POST", f"/{ALIAS}-2020.01/_close"),
    "create an index": ("-X", "PUT", "/evil"),
    "change the cluster": (*PUT_JSON, '{"transient": {"action.auto_create_index": "true"}}', "/_cluster/settings"),
    "delete a template": ("-X", "DELETE", f"/_index_template/{ALIAS}"),
    "remove an alias": (*POST_JSON, json.dumps({"actions": [{"remove": REMOVED}]}), "/_aliases"),
    "refresh": ("-X", "POST", "/lol_*/_refresh"),
    "scroll away": ("-X", "DELETE", "/_search/scroll/_all"),
    "cancel tasks": ("-X", "POST", "/_tasks/_cancel"),
    "clear caches": ("-X", "POST", "/lol_*/_cache/clear"),
    "flush": ("-X", "POST", "/lol_*/_flush"),
    "force a merge": ("-X", "POST", "/lol_*/_forcemerge"),
    "create a snapshot repository": (*PUT_JSON, '{"type": "fs", "settings": {"location": "/tmp"}}', "/_snapshot/evil"),
    "create a user": (*PUT_JSON, '{"password": "evil-evil", "roles": ["superuser"]}', "/_security/user/evil"),
    "create a role": (*PUT_JSON, '{"cluster": ["all"]}', "/_security/role/evil"),
    "list the users": ("/_security/user",),
    "hold a thread": ("/_nodes/hot_threads?interval=1ms&snapshots=1",),  # as long as the request says
    "list tasks": ("/_tasks?detailed",),
}
STORING = (
    "indices:data/read/sql",
    "indices:data/read/sql/async",
    "indices:data/read/eql",
    "indices:data/read/esql",
    "indices:data/read/open_point_in_time",
)
"""Searches whose results can be stored for as long as one likes, for which the built image has no module; and points in
time, which hold segments of an index in any number."""
FOREIGN = ("-H", "Host: attacker.example", "-H", "Origin: http://attacker.example")
"""What a web page sends: after DNS rebinding with its own host name, otherwise with its origin."""


def status(base: str, *arguments: str) -> str:
    """The HTTP status that an unprivileged user of the Docker host gets; curl's arguments end with the path."""
    return curl(base, "-k", "-o", "/dev/null", "-w", "%{http_code}", *arguments).stdout


@pytest.fixture
def bases(stack: Stack) -> tuple[str, str]:
    """Elasticsearch's URL by loopback and by the container's address, which every local user can connect to."""
    url: str = stack.outputs["elasticsearchUrl"]
    return url, f"{url.partition(':')[0]}://{stack.address('elasticsearch')}:{ELASTICSEARCH_PORT}"


@pytest.fixture
def guarded(stack: Stack) -> None:
    if stack.outputs["security"] != "guarded":
        pytest.skip("the stack is strict")


@pytest.mark.usefixtures("guarded")
class TestGuarded:
    @pytest.mark.parametrize("read", READS.values(), ids=READS)
    def test_everybody_on_this_machine_may_look_without_a_login(
        self, bases: tuple[str, str], read: Sequence[str]
    ) -> None:
        assert [status(base, *read) for base in bases] == ["200", "200"]

    @pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
    def test_nobody_may_change_anything_without_a_login(self, bases: tuple[str, str], change: Sequence[str]) -> None:
        requests = [(base, *more, *change) for base in bases for more in ((), FOREIGN)]
        assert {status(*each) for each in requests} <= {"401", "403"}, change

    def test_scroll_cannot_be_kept_for_hours(self, bases: tuple[str, str]) -> None:
        """It holds segments of the index."""
        for base in bases:
            assert status(base, f"/{ALIAS}/_search?size=1&scroll=10m") == "200"
            assert status(base, f"/{ALIAS}/_search?size=1&scroll=24h") == "400"

    def test_point_in_time_needs_a_login(self, bases: tuple[str, str]) -> None:
        """It holds segments too, and their number has no limit."""
        requests = [(base, *more) for base in bases for more in ((), FOREIGN)]
        assert {status(*each, "-X", "POST", f"/{ALIAS}/_pit?keep_alive=1m") for each in requests} <= {"401", "403"}

    def test_query_that_stores_its_results_needs_a_login(self, bases: tuple[str, str]) -> None:
        asked = [*STORING, "indices:data/read/search", "indices:data/read/msearch", "indices:data/read/get"]
        body = json.dumps({"index": [{"names": [f"{ALIAS}-2026.01"], "privileges": asked}]})
        for base in bases:
            answer = json.loads(curl(base, *POST_JSON, body, "/_security/user/_has_privileges").stdout)
            (rights,) = answer["index"].values()
            assert {name for name, granted in rights.items() if not granted} == set(STORING), answer

    @pytest.mark.parametrize("login", ["admin:wrong", "job:", "elastic:changeme", "kibana_system:x", "nobody:x"])
    def test_wrong_login_is_refused_even_for_reading(self, bases: tuple[str, str], login: str) -> None:
        assert [status(base, "-u", login, "/") for base in bases] == ["401", "401"]


DOCUMENT = {"champion_name": "Nobody", "window_start": 1, "window_end": 2}
INDEX = f"{ALIAS}-2020.02"
"""An index of this test's own."""

Request = Callable[[Elasticsearch], Any]


def index_into(index: str) -> Request:
    return lambda client: client.index(index=index, id="1", document=DOCUMENT)


DELETE_INDEX: Request = lambda client: client.indices.delete(index=INDEX)  # noqa: E731
DELETE_DOCUMENT: Request = lambda client: client.delete(index=INDEX, id="1")  # noqa: E731
CLOSE: Request = lambda client: client.indices.close(index=INDEX)  # noqa: E731
PUT_TEMPLATE: Request = lambda client: client.indices.put_index_template(name="x", index_patterns=["x-*"])  # noqa: E731
CLUSTER_SETTINGS: Request = lambda client: client.cluster.put_settings(  # noqa: E731
    transient={"action.auto_create_index": "true"}
)
COUNT: Request = lambda client: client.count(index=ALIAS)  # noqa: E731
HEALTH: Request = lambda client: client.cluster.health()  # noqa: E731
NODE_STATISTICS: Request = lambda client: client.nodes.stats()  # noqa: E731
INDEX_STATISTICS: Request = lambda client: client.indices.stats(index=ALIAS)  # noqa: E731
CREATE_FOREIGN: Request = lambda client: client.indices.create(index="evil")  # noqa: E731

MAY: dict[str, list[Request]] = {
    "job": [
        COUNT,
        index_into(INDEX),
        lambda client: client.indices.refresh(index=INDEX),
        lambda client: client.indices.exists_index_template(name=ALIAS),
    ],
    "operator": [COUNT, HEALTH, INDEX_STATISTICS],
    "grafana": [COUNT, HEALTH],
    "dashboard": [COUNT, lambda client: search_matches(client, size=1)],
    "exporter": [HEALTH, NODE_STATISTICS],
    "lol_kibana": [HEALTH],
    "admin": [COUNT, HEALTH],
}
"""For each login what it needs."""
MAY_NOT: dict[str, list[Request]] = {
    "job": [
        *(DELETE_DOCUMENT, DELETE_INDEX, CLOSE, PUT_TEMPLATE, CREATE_FOREIGN, index_into("evil"), CLUSTER_SETTINGS),
        lambda client: client.indices.forcemerge(index=INDEX),
    ],
    **{
        user: [index_into(INDEX), DELETE_DOCUMENT, DELETE_INDEX, CLOSE, PUT_TEMPLATE, CLUSTER_SETTINGS]
        for user in ("operator", "grafana", "dashboard", "exporter")
    },
    "lol_kibana": [index_into(INDEX), DELETE_INDEX, CLOSE, CLUSTER_SETTINGS],
}
MAY_NOT_IN_STRICT: dict[str, list[Request]] = {
    "job": [INDEX_STATISTICS],
    "exporter": [COUNT, INDEX_STATISTICS, lambda client: client.get(index=INDEX, id="1")],
    "dashboard": [HEALTH, INDEX_STATISTICS, NODE_STATISTICS],
    "lol_kibana": [COUNT],
}
"""In `guarded`, each login may read what somebody without a login may."""


@pytest.fixture
def own_index(stack: Stack) -> Any:
    """An index with one document, which the job's login has created; removed at the end."""
    index_into(INDEX)(stack.elasticsearch("job"))
    yield
    stack.elasticsearch("admin").indices.delete(index=INDEX)


def assert_refused(client: Elasticsearch, request: Request) -> None:
    with pytest.raises(ApiError) as error:
        request(client)
    assert error.value.status_code == 403, error.value


@pytest.mark.disruptive
@pytest.mark.usefixtures("own_index")
@pytest.mark.parametrize("user", ELASTICSEARCH_ROLES)
def test_each_login_may_do_what_it_needs_and_no_more(stack: Stack, user: str) -> None:
    with stack.elasticsearch(user) as client:
        for request in MAY[user]:
            assert request(client)
        for request in MAY_NOT.get(user, []):
            assert_refused(client, request)
    assert stack.elasticsearch("admin").exists(index=INDEX, id="1"), "the document is still there"


@pytest.mark.parametrize("user", [user for user, role in ELASTICSEARCH_ROLES.items() if role != "superuser"])
def test_only_the_administrator_may_store_results_or_open_points_in_time(stack: Stack, user: str) -> None:
    with stack.elasticsearch(user) as client:
        answer = client.security.has_privileges(index=[{"names": [INDEX], "privileges": [*STORING]}])
    (rights,) = answer["index"].values()
    assert rights == dict.fromkeys(STORING, False)


def waits_because_of_its_login(stack: Stack) -> None:
    health = stack.get_inside("spark-job", "/health")
    assert "waiting for Elasticsearch: " in health
    assert "correct elasticsearch.username and elasticsearch.password" in health


@pytest.mark.disruptive
@pytest.mark.usefixtures("stream")
def test_job_with_a_wrong_password_waits_and_loses_no_message(stack: Stack) -> None:
    """The password is changed in Elasticsearch, which reads its file of users again."""
    node, path = stack.container("elasticsearch"), f"{CONFIG}/users"
    dead_letters = stack.message_count("lol_matches_dlq")
    before = b"".join(node.get_archive(path)[0])
    passwords = {user: stack.outputs["credentials"].get(f"elasticsearch.{user}", "x") for user in ELASTICSEARCH_ROLES}
    known = KnownMessages(stack)
    try:
        put_files(node, {path: users_file(passwords | {"job": "another"}).encode()})
        eventually(lambda: waits_because_of_its_login(stack))
        assert stack.message_count("lol_matches_dlq") == dead_letters
        known.send()
    finally:
        node.put_archive(CONFIG, before)
    known.assert_one_outcome_each()


@pytest.mark.disruptive
@pytest.mark.usefixtures("stream")
def test_strict_and_back_and_a_rotation_lose_no_message(stack: Stack, tmp_path: Path) -> None:
    """Messages arrive while the node of the other kind starts. Afterwards nothing is possible without a login, or with
    a password of before."""
    before = stack.outputs
    known = KnownMessages(stack)
    former = stack.container("elasticsearch").id

    def replaced() -> None:
        if deployment.done():
            deployment.result()
        assert stack.container("elasticsearch").id != former

    try:
        with ThreadPoolExecutor(1) as pool:
            deployment = pool.submit(lambda: stack.up(refresh=False, security="strict"))
            eventually(replaced, timeout_seconds=300)
            known.send()
            deployment.result()
        known.assert_one_outcome_each()
        url = stack.outputs["elasticsearchUrl"]
        assert url.startswith("https://")
        assert {status(url, *each) for each in (*READS.values(), *CHANGES.values())} == {"401"}
        assert status(url.replace("https:", "http:"), "/") == "000", "no answer without TLS"
        stack.wait_until_healthy()
        authority, login = tmp_path / "ca.crt", tmp_path / "login"
        authority.write_text(stack.outputs["certificateAuthority"])
        login.write_text(f'user = "operator:{stack.outputs["operatorPassword"]}"\n')
        curl = ["curl", "-fsS", "--noproxy", "*", "--cacert", str(authority), "-K", str(login)]
        subprocess.run([*curl, f"{url}/{ALIAS}/_count"], check=True, capture_output=True)
        for user, requests in MAY_NOT_IN_STRICT.items():
            for request in requests:
                assert_refused(stack.elasticsearch(user), request)
        known = KnownMessages(stack)
        known.send()
    finally:
        stack.up(refresh=False, security="guarded", credentialsGeneration="2")
    known.assert_one_outcome_each()
    url = stack.outputs["elasticsearchUrl"]
    for user in ELASTICSEARCH_ROLES:
        refused = ElasticsearchServer(url, user, ElasticsearchServer.of_stack(before, user).password)
        with refused.client() as client, pytest.raises(ApiError) as error:
            client.info()
        assert error.value.status_code == 401, user
    for user in ("producer", OPERATOR):
        with pytest.raises(KafkaLoginError):
            TopicClient(kafka_settings(before, user)).end_offsets("lol_matches")
    address, port = stack.outputs["services"]["cassandra"][str(CASSANDRA_PORT)].split(":")
    for key in (CASSANDRA_ADMIN, CASSANDRA_ARCHIVE, OPERATOR):
        assert not accepts(address, int(port), user_of(key), before["credentials"][key]), key
    stack.wait_until_healthy()
    assert set(stack.preview().change_summary) == {OpType.SAME}, "the next `up` changes something"
