"""The Pulumi program under mocks: its configuration, its typed settings, and the resources that it declares.

No Docker engine, no service and no Pulumi CLI is needed.
"""

from __future__ import annotations

import asyncio
import json
import runpy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any, Literal

import pulumi
import pytest
import yaml
from pulumi.dynamic import ResourceProvider
from pulumi.runtime.stack import wait_for_rpcs

from infra import preflight, versions
from infra.images.source import Source
from infra.names import PROJECT, ROOT
from infra.settings import Settings

SCHEMA: dict[str, Any] = yaml.safe_load((ROOT / "Pulumi.yaml").read_text(encoding="utf-8"))["config"]
CONTAINER = "docker:index/container:Container"
IMAGE = "docker:index/remoteImage:RemoteImage"
"""An image that is built."""
PULLED_IMAGE = "pulumi-python:dynamic/image:PulledImage"
CREDENTIALS = "pulumi-python:dynamic/secret:Credentials"
CERTIFICATES = "pulumi-python:dynamic/secret:Certificates"

ImageSource = Literal["registry", "build"]


def raw_config(**changes: Any) -> dict[str, str]:
    """Pulumi's raw configuration: the defaults of Pulumi.yaml with `changes`, as the CLI hands it over."""
    values = {key: entry["default"] for key, entry in SCHEMA.items()} | changes
    return {f"{PROJECT}:{key}": value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}


def settings(stack: str = "dev", **changes: Any) -> Settings:
    """The default settings with `changes` (camelCase keys)."""
    return Settings.load(raw_config(**changes), stack)


@dataclass(frozen=True)
class Options:
    """A resource's options as the engine receives them. Other resources by their names."""

    depends_on: frozenset[str]
    deleted_with: str
    delete_before_replace: bool
    replace_on_changes: frozenset[str]
    replace_with: frozenset[str]
    ignore_changes: frozenset[str]
    secret_outputs: frozenset[str]


class Recorder(pulumi.runtime.Mocks):
    """Accepts every declared resource and records its inputs (type → name → inputs), and the stack's outputs."""

    def __init__(self) -> None:
        self.resources: dict[str, dict[str, dict[str, Any]]] = {}
        self.options: dict[str, Options] = {}
        """The resources' options by name; a component's are replaced by those of its child of the same name."""
        self.options_by_type: dict[str, dict[str, Options]] = {}
        self.outputs: dict[str, Any] = {}
        """The outputs as the program exports them."""
        self.secret_outputs: set[str] = set()
        self.known_outputs: dict[str, Any] = {}
        """The values of those that are Pulumi's outputs."""

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        self.resources.setdefault(args.typ, {})[args.name] = args.inputs
        return f"{args.name}-id", args.inputs | self._computed(args)

    def call(self, args: pulumi.runtime.MockCallArgs) -> Any:
        raise AssertionError(f"the program calls {args.token}")

    @staticmethod
    def _computed(args: pulumi.runtime.MockResourceArgs) -> dict[str, Any]:
        """The outputs that the real provider adds to the inputs."""
        if args.typ in (IMAGE, PULLED_IMAGE):
            return {"image_id": f"{args.name}-image"}
        if args.typ == CREDENTIALS:
            passwords = {login: f"password of {login}" for login in args.inputs["logins"]}
            return {"passwords": passwords, "former": [{login: f"former {text}" for login, text in passwords.items()}]}
        if args.typ == CERTIFICATES:
            servers = args.inputs["servers"]
            return {
                "authority": "certificate of the authority\n",
                "expires_at": "2028-03-01T00:00:00+00:00",
                "certificates": {server: f"certificate of {server}\n" for server in servers},
                "keys": {server: f"key of {server}\n" for server in servers},
            }
        return {}

    @property
    def containers(self) -> dict[str, dict[str, Any]]:
        """The declared containers' inputs, by service."""
        return self.resources[CONTAINER]


class OptionsMonitor(pulumi.runtime.mocks.MockMonitor):
    """Records the options of each registered resource in its recorder."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(recorder)
        self._recorder = recorder

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802  # the gRPC method's name
        options = Options(
            frozenset(_name(urn) for urn in request.dependencies),
            _name(request.deletedWith),
            request.deleteBeforeReplace,
            frozenset(request.replaceOnChanges),
            frozenset(_name(urn) for urn in request.replace_with),
            frozenset(request.ignoreChanges),
            frozenset(request.additionalSecretOutputs),
        )
        self._recorder.options[request.name] = options
        self._recorder.options_by_type.setdefault(request.type, {})[request.name] = options
        return super().RegisterResource(request)  # type: ignore[no-untyped-call]


def _name(urn: str) -> str:
    return urn.rpartition("::")[2]


def declare(
    kind: ImageSource, network_arguments: Mapping[str, str] | None = None, ca_certificates: str = "", **config: Any
) -> Recorder:
    """Run the program for a stack `unit`, wait for all its resources, and return the declarations.

    The program runs once for equal arguments: nobody may change the result.
    `network_arguments`: the build arguments for network access, and `ca_certificates`: the host's own CA certificates,
    in place of this machine's.
    """
    return _declare(
        kind, tuple((network_arguments or {}).items()), ca_certificates, tuple(raw_config(**config).items())
    )


@cache
def _declare(
    kind: ImageSource,
    network_arguments: tuple[tuple[str, str], ...],
    ca_certificates: str,
    config: tuple[tuple[str, str], ...],
) -> Recorder:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("infra.images.network_arguments", lambda: dict(network_arguments))
        monkeypatch.setattr("infra.images.ca_certificates", lambda: ca_certificates)
        return _run_program(monkeypatch, kind, dict(config))


def _run_program(monkeypatch: pytest.MonkeyPatch, kind: ImageSource, config: dict[str, str]) -> Recorder:
    def choose_image_source(settings: Settings, _stack: str) -> Source:
        return Source(kind, "the test says so", settings)

    monkeypatch.setattr("infra.images.source.choose_image_source", choose_image_source)
    monkeypatch.setattr(preflight, "check", lambda *_: "id of the engine")
    monkeypatch.setattr(preflight, "check_ports", lambda *_: None)
    monkeypatch.setattr(
        Source,
        "why_not",
        lambda self, service: (
            None if self.kind == "registry" or service in versions.BUILT_IMAGES else "the test says so"
        ),
    )
    monkeypatch.setattr(pulumi.runtime, "get_config_env", lambda: config)
    recorder = Recorder()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    pulumi.runtime.set_mocks(recorder, project=PROJECT, stack="unit", monitor=OptionsMonitor(recorder))

    monkeypatch.setattr(pulumi, "export", recorder.outputs.__setitem__)
    runpy.run_path(str(ROOT / "__main__.py"))
    loop.run_until_complete(wait_for_rpcs())
    recorder.known_outputs = {
        name: loop.run_until_complete(value.future())
        for name, value in recorder.outputs.items()
        if isinstance(value, pulumi.Output)
    }
    recorder.secret_outputs = {
        name
        for name, value in recorder.outputs.items()
        if isinstance(value, pulumi.Output) and loop.run_until_complete(value.is_secret())
    }
    loop.close()
    return recorder


def dynamic_provider(module: ModuleType) -> ResourceProvider:
    """The dynamic provider of a module of infra.provisioning."""
    (provider,) = [
        each
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, ResourceProvider) and each is not ResourceProvider
    ]
    return provider()
