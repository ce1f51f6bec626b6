"""The images of the stack's containers: pulled from a registry, or built from package registries alone."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from ast import literal_eval
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pulumi
import pulumi_docker as docker

from infra.home import home_folder
from infra.images.source import Source
from infra.names import ROOT
from infra.provisioning.base_image import SCRIPT as BASE_SCRIPT
from infra.provisioning.base_image import BaseImage
from infra.provisioning.pulled_image import PulledImage
from infra.settings import SettingsError

CERTIFICATES = Path("/usr/local/share/ca-certificates")
PEM_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----[\sA-Za-z0-9+/=]+-----END CERTIFICATE-----")
BUILT_REPOSITORY = "lolstack.invalid"
"""The registry's host in the names of built images. No host can have a name under .invalid (RFC 6761), so that nobody
can serve an image under such a name to an engine or builder that does not find it locally."""
LOGIN_IN_URL = re.compile("([^/]*//)?[^/]*@")
PROXIES = ("http_proxy", "https_proxy", "no_proxy")  # build arguments that Docker predefines, also in upper case
MAX_ARGUMENT_BYTES = 131_071
"""The longest NAME=VALUE of a build argument: an environment variable of RUN, which Linux limits (MAX_ARG_STRLEN)."""
IGNORED = {"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"}


@dataclass(frozen=True)
class Recipe:
    """How an image is built: its context, its parent images by build argument, and the files of the context.

    The context is relative to the program, so that Pulumi's state does not depend on the checkout's path.
    """

    context: str
    parents: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None
    content: tuple[str, ...] = ("",)
    dockerfile: str = "Dockerfile"


def _in_checkout() -> tuple[str, ...]:
    """The files and folders that .dockerignore lets into the build context that is the checkout, and itself."""
    name = ".dockerignore"
    return (
        name,
        *(line[1:] for line in (ROOT / name).read_text(encoding="utf-8").splitlines() if line.startswith("!")),
    )


ON_BASE = {"BASE_IMAGE": "base"}
ON_JAVA = {"JAVA_IMAGE": "java"}
WITH_BUILDER = {"BUILDER_IMAGE": "builder", **ON_JAVA}

RECIPES = {
    "java": Recipe("infra/images/java", ON_BASE),
    "builder": Recipe("infra/images/builder", ON_JAVA),
    "kafka": Recipe("infra/images/kafka", WITH_BUILDER),
    "elasticsearch": Recipe("infra/images/elasticsearch", WITH_BUILDER),
    "cassandra": Recipe("infra/images/cassandra", WITH_BUILDER),
    # The images of JVM services: the official or built image plus the JMX exporter's agent, which official ones lack.
    "kafka-jmx": Recipe("infra/images/jmx", {"SERVICE_IMAGE": "kafka", "BUILDER_IMAGE": "builder"}),
    "cassandra-jmx": Recipe("infra/images/jmx", {"SERVICE_IMAGE": "cassandra", "BUILDER_IMAGE": "builder"}),
    "prometheus": Recipe("infra/images/prometheus", ON_BASE),
    "alertmanager": Recipe("infra/images/alertmanager", ON_BASE),
    "elasticsearch-exporter": Recipe("infra/images/elasticsearch-exporter", ON_BASE),
    "node-exporter": Recipe("infra/images/node-exporter", ON_BASE),
    # Master and workers run `spark`, the driver runs `job`: new code replaces only the driver.
    "spark": Recipe(
        "job",
        WITH_BUILDER,
        target="spark",
        content=("Dockerfile", "conf", "connector", "filesystem", "jvm", "pages", "requirements.txt"),
    ),
    "job": Recipe("job", WITH_BUILDER, target="job"),
    "generator": Recipe("generator", ON_JAVA),
    "dashboard": Recipe(
        ".",
        ON_JAVA,
        dockerfile="infra/images/dashboard/Dockerfile",
        content=_in_checkout(),
    ),
}


class Images(pulumi.ComponentResource):
    """The images of one stack. Each is declared as a resource at its first use."""

    def __init__(self, source: Source) -> None:
        self._network_arguments = network_arguments()  # first: an error ends the program before any resource
        super().__init__("lolstack:images:Images", "images")
        self.source = source
        self._declared: dict[str, docker.RemoteImage | PulledImage | BaseImage] = {}

    def id_of(self, service: str) -> pulumi.Output[str]:
        """The image id for `service`: a key of versions.OFFICIAL_IMAGES or of RECIPES."""
        image = self._declare(service)
        assert not isinstance(image, BaseImage), f"{service} is a base image, not a service"
        return image.image_id

    def _declare(self, name: str) -> docker.RemoteImage | PulledImage | BaseImage:
        if name not in self._declared:
            if name in self.source.official():
                opts = pulumi.ResourceOptions(parent=self)
                self._declared[name] = PulledImage(name, self.source.reference(name), opts)
            else:
                self._declared[name] = self._build(name)
        return self._declared[name]

    def _build(self, name: str) -> docker.RemoteImage | BaseImage:
        tag = reference(name, self.source)
        if name == "base":
            return BaseImage(tag, pulumi.ResourceOptions(parent=self))
        recipe = RECIPES[name]
        arguments: dict[str, pulumi.Input[str]] = {
            key: reference(parent, self.source) for key, parent in recipe.parents.items()
        }
        if name == "java":
            arguments["CA_CERTIFICATES"] = ca_certificates()
        text = dockerfile(name)
        arguments |= {
            key: pulumi.Output.secret(value)  # the URL of a proxy or an index may contain a password
            for key, value in self._network_arguments.items()
            if key.lower() in PROXIES or f"ARG {key}\n" in text
        }
        return docker.RemoteImage(
            name,
            name=tag,
            build=docker.RemoteImageBuildArgs(
                context=recipe.context,
                dockerfile=recipe.dockerfile,
                target=recipe.target,
                build_args=arguments,
                # The engine's own: a builder in a container, which may be the person's current one, has no access to
                # the engine's images and would look for parent images in a registry.
                builder="default",
            ),
            keep_locally=True,  # an image is a build cache: `destroy` keeps it
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[self._declare(parent) for parent in recipe.parents.values()],
                # Only a new tag, which is a content hash, triggers a rebuild.
                ignore_changes=["build"],
            ),
        )


def reference(name: str, source: Source) -> str:
    """The reference of image `name`. A built image has a hash of files, parents and CA certificates as its tag."""
    if name in source.official():
        return source.reference(name)
    if name == "base":
        return f"{BUILT_REPOSITORY}/base:{_digest([('build.sh', BASE_SCRIPT.read_bytes())])}"
    recipe = RECIPES[name]
    parts = [(argument, reference(parent, source).encode()) for argument, parent in sorted(recipe.parents.items())]
    parts += _content(ROOT / recipe.context, recipe.content)
    if name == "java":
        parts.append(("CA_CERTIFICATES", ca_certificates().encode()))
    return f"{BUILT_REPOSITORY}/{name}:{_digest(parts)}"


def dockerfile(name: str) -> str:
    """The Dockerfile of the image `name`."""
    recipe = RECIPES[name]
    return (ROOT / recipe.context / recipe.dockerfile).read_text(encoding="utf-8")


def _content(context: Path, content: Iterable[str]) -> list[tuple[str, bytes]]:
    roots = [context / part for part in content]
    missing = [str(root) for root in roots if not root.exists()]
    if missing:
        raise FileNotFoundError(f"files of an image are missing: {', '.join(missing)}")
    paths = sorted(
        path
        for root in roots
        for path in ([root] if root.is_file() else root.rglob("*"))
        if path.is_file() and not IGNORED & set(path.parts)
    )
    return [(f"{path.relative_to(context)} {path.stat().st_mode & 0o100:o}", path.read_bytes()) for path in paths]


def _digest(parts: Iterable[tuple[str, bytes]]) -> str:
    digest = hashlib.sha256()
    for name, content in parts:
        digest.update(f"{name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:12]


def ca_certificates() -> str:
    """The host's own CA certificates (PEM): behind a proxy that re-signs TLS each build needs them."""
    files = [_read(path) for path in sorted(CERTIFICATES.rglob("*.crt"))]
    text = "".join(f"{block.decode()}\n" for content in files for block in PEM_CERTIFICATE.findall(content))
    _require_size("CA_CERTIFICATES", text, f"the certificates of {CERTIFICATES} have")
    return text


def _require_size(argument: str, value: str, what: str) -> None:
    """Raises SettingsError if the build argument is too long, with `what` as the sentence's beginning."""
    size, most = len(value.encode()), MAX_ARGUMENT_BYTES - len(f"{argument}=")
    if size > most:
        raise SettingsError(
            f"{what} {size:,} bytes, at most {most:,} can be passed to image builds: keep only what downloads need"
        )


def _read(path: Path) -> bytes:
    """The content of a file of the host; empty if there is none, or if it is no regular file."""
    try:
        return path.read_bytes() if path.is_file() else b""
    except OSError as error:
        raise SettingsError(
            f"{path}: {error.strerror}, but image builds use this file: make it readable for your user, or remove it"
        ) from error


def network_arguments() -> dict[str, str]:
    """Build arguments for network access like this machine's: proxies, Debian mirror, pip's index, Maven's settings.

    They change how packages are downloaded, not which, and are not part of an image's tag. Raises SettingsError if a
    file cannot be read, or for a Debian mirror with a login: it would stay in the package sources of every image.
    """
    if LOGIN_IN_URL.match(os.environ.get("DEBIAN_MIRROR", "")):
        raise SettingsError(
            "DEBIAN_MIRROR has a login, which would stay in every image that is built: set it to a URL without one, of "
            "a mirror that needs none, or unset it"
        )
    found = {"DEBIAN_MIRROR": os.environ.get("DEBIAN_MIRROR", "")}
    for name in PROXIES:  # apt reads only lower case
        found[name] = found[name.upper()] = os.environ.get(name) or os.environ.get(name.upper(), "")
    pip = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False)
    configured = dict(line.split("=", 1) for line in pip.stdout.splitlines() if "=" in line)  # values as Python text
    for option in ("index-url", "trusted-host"):
        argument = f"PIP_{option.upper().replace('-', '_')}"
        value = configured.get(f"install.{option}") or configured.get(f"global.{option}", "''")
        found[argument] = os.environ.get(argument) or literal_eval(value)
    maven = home_folder() / ".m2" / "settings.xml"
    try:
        found["MAVEN_SETTINGS"] = _read(maven).decode()
    except UnicodeDecodeError as error:
        raise SettingsError(f"{maven}: not UTF-8, which image builds need: save it in UTF-8") from error
    _require_size("MAVEN_SETTINGS", found["MAVEN_SETTINGS"], f"{maven} has")
    return {argument: value for argument, value in found.items() if value}
