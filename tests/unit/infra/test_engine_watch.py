"""A process of dynamic providers, which is Pulumi's own, ends with the engine. Only the engine's port is a fake."""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import closing

import grpc  # type: ignore[import-untyped]
from google.protobuf.struct_pb2 import Struct  # type: ignore[import-untyped]
from pulumi.dynamic.dynamic import serialize_provider
from pulumi.runtime.proto.provider_pb2 import DiffRequest
from pulumi.runtime.proto.provider_pb2_grpc import ResourceProviderStub

from infra.names import ROOT
from infra.provisioning import health_gate
from tests.support.pulumi_program import dynamic_provider


def test_process_of_providers_ends_after_the_engine() -> None:
    """A killed `pulumi up` leaves it behind: any local user could have it run code."""
    properties = Struct()
    properties["__provider"] = serialize_provider(dynamic_provider(health_gate))
    properties.update({"container": "lolstack-unit-kafka", "container_id": "1"})
    with closing(socket.create_server(("127.0.0.1", 0))) as engine:
        engine.settimeout(60)
        command = [
            sys.executable,
            "-u",
            "-m",
            "pulumi.dynamic",
            "--logtostderr",
            f"127.0.0.1:{engine.getsockname()[1]}",
        ]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as providers:
            assert providers.stdout
            with grpc.insecure_channel(f"127.0.0.1:{int(providers.stdout.readline())}") as channel:
                request = DiffRequest(id="1", olds=properties, news=properties)
                ResourceProviderStub(channel).Diff(request, timeout=60)
                engine.accept()  # the watch has found the engine
                assert providers.poll() is None
                engine.close()
                assert providers.wait(timeout=60) == 1
