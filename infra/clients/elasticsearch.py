"""Clients for Elasticsearch: its address with a login; its index templates, and the live indices of their aliases."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from elastic_transport import TlsError
from elasticsearch import (
    ApiError,
    AuthenticationException,
    BadRequestError,
    Elasticsearch,
    NotFoundError,
    TransportError,
)

from infra.clients.docker_engine import is_published
from infra.logins import OPERATOR, login_of
from infra.names import ELASTICSEARCH_PORT
from job.errors import first_line

TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class ElasticsearchServer:
    """Elasticsearch's URL, and where it needs them: a login, and the certificate authority (PEM) of an https URL.

    Not `published`: no running container publishes the port, and another program may listen there.
    """

    url: str
    username: str = ""
    password: str = field(default="", repr=False)
    ca_certificate: str = field(default="", repr=False)
    published: bool = True

    @classmethod
    def of_stack(cls, outputs: Mapping[str, Any], user: str = OPERATOR) -> ElasticsearchServer:
        """The stack's, from its outputs. Those of a version before the logins have neither URL nor passwords."""
        url = (
            outputs.get("elasticsearchUrl") or f"http://{outputs['services']['elasticsearch'][str(ELASTICSEARCH_PORT)]}"
        )
        password = outputs.get("credentials", {}).get(login_of("elasticsearch", user))
        published = is_published(url)
        if password is None or not published:
            return cls(url, published=published)
        return cls(url, user, password, outputs["certificateAuthority"] if url.startswith("https:") else "")

    def client(self, **options: Any) -> Elasticsearch:
        """A client; `options` are those of elasticsearch.Elasticsearch. Raises TransportError while no container
        publishes the port."""
        if not self.published:
            raise TransportError("no running container publishes its port")
        if self.username:
            options["basic_auth"] = (self.username, self.password)
        if self.ca_certificate:
            options["ssl_context"] = ssl.create_default_context(cadata=self.ca_certificate)
        return Elasticsearch(self.url, **options)


def describe_failure(error: ApiError | TransportError) -> str:
    """An error in one line, with what to do about a refused login or certificate, or that a shard is missing."""
    text = first_line(error.message if isinstance(error, TransportError) else error)
    if isinstance(error, AuthenticationException):
        return f"{text}; it has other passwords than the stack's state: deploy the stack again"
    if isinstance(error, TlsError):
        if "certificate is not yet valid" in text:
            return (
                f"{text}; this machine's clock is behind the beginning of its certificate: correct the clock, or it "
                "was issued while the clock was ahead: deploy the stack again"
            )
        if "certificate has expired" in text:
            return f"{text}; a deployment of the stack renews it"
        return f"{text}; it has another certificate than the stack: deploy the stack again"
    if isinstance(error, ApiError) and (error.status_code, error.message) == (503, "search_phase_execution_exception"):
        return f"{text}; a shard is not available: it recovers, or `GET /_cluster/allocation/explain` has the reason"
    return text


class IndexTemplateError(Exception):
    """Elasticsearch rejected a request about an index template, or did not answer."""


class ElasticsearchUnavailableError(IndexTemplateError):
    """Elasticsearch does not answer, or refuses the login: that of another deployment."""


class IndexTemplateClient:
    """Creates, reads and deletes index templates. Each has the name of the alias that it gives to its indices."""

    def __init__(self, server: ElasticsearchServer) -> None:
        self._host = server.url
        self._client = server.client(request_timeout=TIMEOUT_SECONDS, retry_on_timeout=True, max_retries=3)

    def put(self, name: str, body: Mapping[str, Any]) -> None:
        """Create or update the template, and apply to the live indices the changes of mapping and settings that
        Elasticsearch allows without a reindex: new fields, and settings of an open index. Without an index, create one,
        so that the alias always exists. If somebody has removed this month's index from the alias, add it again.

        Raises IndexTemplateError with Elasticsearch's reason, for example a changed field type in a live index.
        """
        template = body["template"]
        try:
            self._client.indices.put_index_template(name=name, body=dict(body))
            self._restore_alias(name, template["aliases"][name])
            if self._client.indices.exists_alias(name=name):
                self._client.indices.put_mapping(index=name, body=template["mappings"])
                self._client.indices.put_settings(index=name, settings=dynamic_settings(template["settings"]))
            else:
                self._create_index(name)
        except BadRequestError as error:
            raise IndexTemplateError(
                f"Elasticsearch at {self._host} rejects index template {name}: {_reason(error)}; a change that a live "
                "index does not allow needs new indices: delete the old ones, or reset the stack"
            ) from error
        except (ApiError, TransportError) as error:
            raise IndexTemplateError(
                f"Elasticsearch at {self._host} did not update index template {name}: {describe_failure(error)}"
            ) from error

    def _create_index(self, name: str) -> None:
        try:
            self._client.indices.create(index=_this_month(name))
        except BadRequestError:
            # The job, which waits for the template, may have created the index in between.
            if not self._client.indices.exists_alias(name=name):
                raise

    def _restore_alias(self, name: str, declared: Mapping[str, Any]) -> None:
        """Elasticsearch applies a template's alias to new indices only. Indices of earlier months may have been taken
        out of it: docs/operations.md, "Retire a month"."""
        indices = indices_of_this_month(self._client, name)
        if without := [index for index, found in indices.items() if found["aliases"].get(name) != declared]:
            self._client.indices.update_aliases(actions=[{"add": {"indices": without, "alias": name, **declared}}])

    def read(self, name: str) -> dict[str, Any] | None:
        """The template as Elasticsearch has it, in canonical form; None if the template or its alias does not exist, or
        if this month's index differs in what `put` would restore: the alias and the dynamic settings.

        Raises IndexTemplateError; ElasticsearchUnavailableError if Elasticsearch does not answer or refuses the login.
        """
        try:
            found = self._client.indices.get_index_template(name=name)["index_templates"][0]["index_template"]
            alias = found["template"].get("aliases", {}).get(name)
            settings = dynamic_settings(found["template"].get("settings", {}))
            live = indices_of_this_month(self._client, name).values()
            if not self._client.indices.exists_alias(name=name) or any(
                index["aliases"].get(name) != alias or settings.items() - dynamic_settings(index["settings"]).items()
                for index in live
            ):
                return None
        except NotFoundError:
            return None
        except (TransportError, AuthenticationException) as error:
            raise ElasticsearchUnavailableError(
                f"Elasticsearch at {self._host} does not answer: {describe_failure(error)}"
            ) from error
        except ApiError as error:
            raise IndexTemplateError(
                f"Elasticsearch at {self._host} did not return index template {name}: {error}"
            ) from error
        return canonical(found)

    def delete(self, name: str) -> None:
        """Delete the template, if it exists. Its indices and their documents stay. Raises IndexTemplateError."""
        try:
            self._client.options(ignore_status=404).indices.delete_index_template(name=name)
        except (ApiError, TransportError) as error:
            raise IndexTemplateError(
                f"Elasticsearch at {self._host} did not delete index template {name}: {error}"
            ) from error


def indices_of_this_month(client: Elasticsearch, alias: str) -> dict[str, dict[str, Any]]:
    """The alias's index of this month by its name, with its `aliases` and `settings`; empty if it does not exist.

    After a reindex, the month's name may be an alias, of one or several indices.
    """
    try:
        return dict(client.indices.get(index=_this_month(alias), features=["aliases", "settings"]).body)
    except NotFoundError:
        return {}


def _this_month(name: str) -> str:
    return f"{name}-{datetime.now(UTC):%Y.%m}"


def canonical(body: Mapping[str, Any]) -> dict[str, Any]:
    """The template in one canonical form, so that only a difference in meaning is drift.

    Elasticsearch accepts many forms of the same settings; here they are flat, under `index.`, as text.
    """
    template = dict(body["template"])
    template["settings"] = {
        key if key.startswith("index.") else f"index.{key}": value
        for key, value in sorted(_flat(template.get("settings", {})))
    }
    known = ("index_patterns", "priority", "allow_auto_create", "_meta")
    return {key: body[key] for key in known if key in body} | {"template": template}


def dynamic_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that can change on an open index: without number of shards, codec and sorting."""
    fixed = ("index.number_of_shards", "index.codec", "index.sort.")
    flat = canonical({"template": {"settings": settings}})["template"]["settings"]
    return {key: value for key, value in flat.items() if not key.startswith(fixed)}


def _flat(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for key, value in settings.items():
        if isinstance(value, Mapping):
            pairs += _flat(value, f"{prefix}{key}.")
        else:
            pairs.append((prefix + key, str(value).lower() if isinstance(value, bool) else str(value)))
    return pairs


def _reason(error: ApiError) -> str:
    body = error.body if isinstance(error.body, dict) else {}
    cause = body.get("error", {})
    deepest = cause.get("caused_by", cause) if isinstance(cause, dict) else {}
    return first_line(deepest.get("reason", error))
