"""The image sources: which reference is pulled, and that the tag of a built image is a hash of its content."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
from docker.errors import DockerException

from infra import images, versions
from infra.images import RECIPES, ca_certificates, dockerfile, network_arguments, reference
from infra.images.source import CredentialsError, Kind, RegistryError, Source, choose_image_source, mirrored
from infra.names import IMAGE_SOURCE_LABEL, ROOT, STACK_LABEL
from infra.settings import SettingsError
from tests.support.fake_docker import FakeContainer, FakeDockerEngine
from tests.support.pulumi_program import settings

NEEDED = ("base", *versions.BUILT_IMAGES)
"""The images without which there is no stack."""
CERTIFICATE = b"-----BEGIN CERTIFICATE-----\nTUlJ\n-----END CERTIFICATE-----\n"
HUB = 'Get "https://registry-1.docker.io/v2/": '
# Answers of Docker's engine: the registry's own status and text, or status 500 and the text.
REFUSALS = [
    (401, "unauthorized: authentication required"),
    (403, "denied: requested access to the resource is denied"),
    (429, "toomanyrequests: Rate exceeded"),
    (500, "toomanyrequests: You have reached your unauthenticated pull rate limit."),
    (500, "unexpected status code 429 Too Many Requests"),
    (500, HUB + "unauthorized: incorrect username or password"),
    (500, HUB + "no basic auth credentials"),
    (500, HUB + "Proxy Authentication Required"),
]
UNREACHABLE = [
    (500, HUB + "dial tcp: lookup registry-1.docker.io on 10.0.0.53:53: no such host"),
    (500, HUB + "dial tcp 1.2.3.4:443: connect: connection refused"),
    (500, HUB + "net/http: request canceled while waiting for connection (Client.Timeout exceeded)"),
    (500, HUB + "Forbidden"),  # a proxy that lets nothing through to registries
    (500, HUB + "x509: certificate signed by unknown authority"),
    (404, "manifest unknown: manifest unknown"),
]


@pytest.mark.parametrize(
    ("official", "expected"),
    [
        ("cassandra:5.0.9", "mirror:5000/x/library/cassandra:5.0.9"),
        ("apache/kafka:3.9.1", "mirror:5000/x/apache/kafka:3.9.1"),
        ("docker.elastic.co/kibana/kibana:8", "mirror:5000/x/kibana/kibana:8"),
        ("localhost:5000/a/b:1", "mirror:5000/x/a/b:1"),
    ],
)
def test_registry_mirror_serves_the_official_names(official: str, expected: str) -> None:
    assert mirrored(official, "mirror:5000/x") == expected
    assert mirrored(official, "") == official


def test_image_setting_replaces_the_pinned_reference() -> None:
    source = Source("registry", "", settings(images={"kafka": "example.com/kafka:1"}, registryMirror="localhost"))
    assert source.reference("kafka") == "example.com/kafka:1"
    assert source.reference("prometheus") == f"localhost/prom/prometheus:{versions.PROMETHEUS}"


def test_official_images_are_pinned_to_a_full_version() -> None:
    for service, official in versions.OFFICIAL_IMAGES.items():
        assert re.search(r":v?\d+\.\d+", official), service


def test_every_built_image_has_a_recipe_and_an_official_image() -> None:
    for service in versions.BUILT_IMAGES:
        assert service in RECIPES
        assert service in versions.OFFICIAL_IMAGES


def test_kibana_and_grafana_cannot_be_built_and_the_reason_is_given() -> None:
    source = Source("build", "no registry has it", settings())
    for service in ("kibana", "grafana"):
        assert "do not have it" in str(source.why_not(service))
    assert source.why_not("kafka") is None


class TestChoice:
    """`imageSource: auto`."""

    @pytest.fixture
    def engine(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeDockerEngine:
        fake = FakeDockerEngine(docker_root=tmp_path)
        monkeypatch.setattr("infra.images.source.connect", lambda timeout: fake)
        return fake

    def test_explicit_source_is_kept(self) -> None:
        assert choose_image_source(settings(imageSource="build"), "unit").kind == "build"
        assert choose_image_source(settings(imageSource="registry"), "unit").kind == "registry"

    @pytest.mark.parametrize("kind", ["registry", "build"])
    def test_existing_stack_keeps_its_source(self, engine: FakeDockerEngine, kind: Kind) -> None:
        engine.containers_by_label[f"{STACK_LABEL}=unit"] = [FakeContainer(), FakeContainer({IMAGE_SOURCE_LABEL: kind})]
        source = choose_image_source(settings(), "unit")
        assert (source.kind, source.reason) == (kind, "as in the running stack")

    def test_new_stack_pulls_if_every_image_is_in_a_registry_or_on_this_machine(self, engine: FakeDockerEngine) -> None:
        engine.registry = {versions.OFFICIAL_IMAGES[service] for service in NEEDED}
        assert choose_image_source(settings(), "unit").kind == "registry"
        engine.registry, engine.local_images = set(), engine.registry
        assert choose_image_source(settings(), "unit").kind == "registry"

    @pytest.mark.parametrize("missing", NEEDED)
    def test_new_stack_builds_if_one_image_is_in_no_registry(self, engine: FakeDockerEngine, missing: str) -> None:
        engine.registry = {versions.OFFICIAL_IMAGES[service] for service in NEEDED if service != missing}
        source = choose_image_source(settings(), "unit")
        assert source.kind == "build"
        assert versions.OFFICIAL_IMAGES[missing] in source.reason
        assert "no such host" in source.reason

    @pytest.mark.parametrize(("status", "answer"), REFUSALS)
    @pytest.mark.parametrize("refused", ["base", "elasticsearch", "elasticsearch-exporter"])
    def test_refusal_of_a_registry_ends_with_its_answer_instead_of_building(
        self, engine: FakeDockerEngine, status: int, answer: str, refused: str
    ) -> None:
        """One image for each of the three registries."""
        engine.registry = {versions.OFFICIAL_IMAGES[service] for service in NEEDED if service != refused}
        engine.answer = (status, answer)
        with pytest.raises(RegistryError) as error:
            choose_image_source(settings(), "unit")
        assert answer in str(error.value)
        assert versions.OFFICIAL_IMAGES[refused] in str(error.value)

    @pytest.mark.parametrize(("status", "answer"), UNREACHABLE)
    def test_registry_that_cannot_be_reached_is_no_refusal(
        self, engine: FakeDockerEngine, status: int, answer: str
    ) -> None:
        engine.answer = (status, answer)
        source = choose_image_source(settings(), "unit")
        assert source.kind == "build"
        assert answer in source.reason

    def test_missing_credential_helper_is_an_error_only_if_images_are_pulled(self, engine: FakeDockerEngine) -> None:
        """Docker Desktop leaves `credsStore: desktop` in config.json."""
        engine.credentials_error = DockerException("docker-credential-desktop not installed or not available in PATH")
        source = choose_image_source(settings(), "unit")
        assert source.kind == "build"
        assert "docker-credential-desktop not installed" in source.reason
        assert source.why_not("kafka") is None
        with pytest.raises(CredentialsError, match="set lolstack:imageSource to build") as error:
            Source("registry", "", settings()).why_not("kibana")
        assert "docker-credential-desktop" in str(error.value)
        assert "config.json" in str(error.value)

    def test_kibana_is_left_out_with_the_reason_but_not_because_of_a_rate_limit(self, engine: FakeDockerEngine) -> None:
        source = Source("registry", "", settings())
        engine.local_images = {versions.OFFICIAL_IMAGES["kibana"]}
        engine.registry = {versions.OFFICIAL_IMAGES["grafana"]}
        assert source.why_not("kibana") is source.why_not("grafana") is None
        engine.local_images = set()
        engine.answer = (404, "manifest unknown")
        assert "manifest unknown" in str(source.why_not("kibana"))
        engine.answer = (403, "denied: no such project")
        assert "denied: no such project" in str(source.why_not("kibana"))
        engine.answer = (429, "toomanyrequests")
        with pytest.raises(RegistryError, match="toomanyrequests"):
            source.why_not("kibana")


def copy_dashboard(folder: Path) -> None:
    """Copy the files that .dockerignore lets into the dashboard's image."""
    for part in RECIPES["dashboard"].content:
        target = folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, target, ignore=shutil.ignore_patterns("__pycache__"))
        elif not target.exists():
            shutil.copy(ROOT / part, target)


def test_dashboards_image_has_every_module_that_it_imports(tmp_path: Path) -> None:
    copy_dashboard(tmp_path)
    modules = [f"dashboard.{path.stem}" for path in (tmp_path / "dashboard").glob("*.py")]
    imports = "".join(f"import {module}\n" for module in modules if module != "dashboard.app")
    subprocess.run([sys.executable, "-W", "ignore", "-c", imports], cwd=tmp_path, check=True)


class TestTag:
    """The tag of a built image: a hash of its content, so that a change triggers a rebuild of what contains it."""

    @pytest.fixture
    def root(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
        """A copy of all build contexts, which a test may change."""
        for context in ("infra/images", "job", "generator"):
            shutil.copytree(ROOT / context, tmp_path / context, ignore=shutil.ignore_patterns("__pycache__"))
        copy_dashboard(tmp_path)
        monkeypatch.setattr(images, "ROOT", tmp_path)
        monkeypatch.setattr(images, "CERTIFICATES", tmp_path / "certificates")
        return tmp_path

    @staticmethod
    def tags() -> dict[str, str]:
        source = Source("build", "", settings())
        return {name: reference(name, source) for name in RECIPES}

    def changed(self, before: dict[str, str]) -> set[str]:
        return {name for name, tag in self.tags().items() if tag != before[name]}

    def test_tag_is_stable_and_ignores_caches(self, root: Path) -> None:
        before = self.tags()
        cache = root / "job" / "sinks" / "__pycache__" / "x.pyc"
        cache.parent.mkdir(exist_ok=True)
        cache.write_bytes(b"compiled")
        assert self.changed(before) == set()

    def test_code_that_the_dashboard_shares_changes_its_image_and_other_tools_do_not(self, root: Path) -> None:
        before = self.tags()
        (root / "tools" / "new.py").write_text("")
        assert self.changed(before) == set()
        (root / "analytics" / "new.py").write_text("")
        assert self.changed(before) == {"dashboard"}

    def test_new_job_code_changes_only_the_jobs_image(self, root: Path) -> None:
        before = self.tags()
        (root / "job" / "new.py").write_text("")
        assert self.changed(before) == {"job"}

    def test_parent_image_changes_its_children(self, root: Path) -> None:
        before = self.tags()
        (root / "infra/images/builder/Dockerfile").write_text("FROM scratch\n")
        children = {"builder", "kafka", "elasticsearch", "cassandra", "kafka-jmx", "cassandra-jmx", "spark", "job"}
        assert self.changed(before) == children

    def test_executable_bit_and_content_change_the_tag(self, root: Path) -> None:
        before = self.tags()
        script = root / "infra/images/cassandra/bin/nodetool"
        script.chmod(0o644)
        assert self.changed(before) == {"cassandra", "cassandra-jmx"}

    def test_ca_certificates_change_the_tag(self, root: Path) -> None:
        before = self.tags()
        (root / "certificates").mkdir()
        (root / "certificates" / "own.crt").write_bytes(CERTIFICATE)
        assert "java" in self.changed(before)
        assert "prometheus" not in self.changed(before)

    def test_missing_context_file_is_an_error(self, root: Path) -> None:
        (root / "job" / "requirements.txt").unlink()
        with pytest.raises(FileNotFoundError, match=r"files of an image are missing: .*/job/requirements\.txt"):
            self.tags()


@pytest.fixture
def certificates(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of the host's own CA certificates."""
    monkeypatch.setattr(images, "CERTIFICATES", tmp_path)
    return tmp_path


def test_host_certificates_are_the_pem_blocks_of_its_files(certificates: Path) -> None:
    (certificates / "1.crt").write_bytes("Größe\n".encode("latin-1") + CERTIFICATE + b"# and\r\n" + CERTIFICATE)
    (certificates / "2.crt").write_bytes(b"\x30\x82\xff\x00")  # DER
    (certificates / "3.crt").symlink_to("nowhere")
    (certificates / "4.crt").mkdir()
    (certificates / "4.crt" / "5.crt").write_bytes(CERTIFICATE)
    assert ca_certificates().encode() == 3 * CERTIFICATE


def test_built_versions_are_the_pinned_versions() -> None:
    pins = {"kafka": versions.KAFKA, "elasticsearch": versions.ELASTIC, "cassandra": versions.CASSANDRA}
    for service, version in pins.items():
        context = ROOT / RECIPES[service].context
        texts = [path.read_text() for path in context.rglob("*") if path.suffix in (".xml", "") and path.is_file()]
        assert any(version in text for text in texts), f"images/{service} does not build {version}"


def test_every_build_context_is_relative_so_that_the_state_fits_any_checkout() -> None:
    for name, recipe in RECIPES.items():
        assert not Path(recipe.context).is_absolute()
        assert dockerfile(name)


def test_builds_use_the_hosts_proxy_debian_mirror_pip_index_and_maven_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in (
        "http_proxy",
        "HTTP_PROXY",
        "https_proxy",
        "HTTPS_PROXY",
        "no_proxy",
        "NO_PROXY",
        "PIP_INDEX_URL",
        "PIP_TRUSTED_HOST",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("DEBIAN_MIRROR", "http://mirror")
    # As Maven: the passwd entry's home folder.
    monkeypatch.setattr("infra.home.pwd.getpwuid", lambda _uid: SimpleNamespace(pw_dir=str(tmp_path)))
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    (tmp_path / "pip.conf").write_text("[global]\nindex-url = https://mirror/simple?a=b\ntrusted-host = one\n    two\n")
    (tmp_path / ".m2").mkdir()
    (tmp_path / ".m2" / "settings.xml").write_text("<settings/>")
    expected = {
        "https_proxy": "http://proxy:3128",  # apt reads only lower case
        "HTTPS_PROXY": "http://proxy:3128",
        "DEBIAN_MIRROR": "http://mirror",
        "PIP_INDEX_URL": "https://mirror/simple?a=b",
        "PIP_TRUSTED_HOST": "one\ntwo",
        "MAVEN_SETTINGS": "<settings/>",
    }
    assert network_arguments() == expected
    monkeypatch.setenv("PIP_INDEX_URL", "https://other/simple")
    assert network_arguments() == expected | {"PIP_INDEX_URL": "https://other/simple"}
    monkeypatch.setenv("https_proxy", "http://other:3128")
    assert {network_arguments()[name] for name in ("https_proxy", "HTTPS_PROXY")} == {"http://other:3128"}


@pytest.fixture
def maven_settings_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The host's settings.xml for Maven."""
    monkeypatch.setattr(images, "home_folder", lambda: tmp_path)
    (tmp_path / ".m2").mkdir()
    return tmp_path / ".m2" / "settings.xml"


def test_unreadable_file_of_the_host_is_named_in_one_line(certificates: Path, maven_settings_file: Path) -> None:
    for path in (certificates / "own.crt", maven_settings_file):
        path.symlink_to("/proc/self/mem")  # which root cannot read either
    with pytest.raises(SettingsError, match=r"^.*/own\.crt: Input/output error.*$"):
        ca_certificates()
    with pytest.raises(SettingsError, match=r"^.*/settings\.xml: Input/output error.*$"):
        network_arguments()


def test_file_of_the_host_that_is_too_large_for_a_build_is_named_with_its_size(
    certificates: Path, maven_settings_file: Path
) -> None:
    """A build argument is an environment variable of RUN, which Linux limits to 131,072 bytes with its name."""
    block = "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----"
    lengths = {"certificates": 131_072 - len(f"CA_CERTIFICATES={block.format('')}\n\0"), "maven": 131_072 - 16}
    (certificates / "own.crt").write_text(block.format("A" * lengths["certificates"]))
    maven_settings_file.write_text("m" * lengths["maven"])
    assert ca_certificates()
    assert network_arguments()["MAVEN_SETTINGS"]
    (certificates / "own.crt").write_text(block.format("A" * (lengths["certificates"] + 1)))
    maven_settings_file.write_text("m" * (lengths["maven"] + 1))
    with pytest.raises(SettingsError, match=r"certificates.* have 131,056 bytes, at most 131,055 "):
        ca_certificates()
    with pytest.raises(SettingsError, match=r"/settings\.xml.* has 131,057 bytes, at most 131,056 "):
        network_arguments()


def test_maven_settings_in_another_encoding_are_named_in_one_line(maven_settings_file: Path) -> None:
    maven_settings_file.write_bytes("<settings><!-- Größe --></settings>".encode("latin-1"))
    with pytest.raises(SettingsError, match=r"^.*/settings\.xml: not UTF-8.*$"):
        network_arguments()


@pytest.mark.parametrize("mirror", ["https://me:hush@mirror/apt", "http://hush@mirror", "me:hush@mirror"])
def test_debian_mirror_with_a_login_is_refused_before_any_resource(
    monkeypatch: pytest.MonkeyPatch, mirror: str
) -> None:
    """It would stay in the package sources of the images. Without Pulumi's mocks here, no resource can be declared."""
    monkeypatch.setenv("DEBIAN_MIRROR", mirror)
    with pytest.raises(SettingsError, match=r"^DEBIAN_MIRROR has a login") as refusal:
        images.Images(Source("build", "", settings()))
    assert "hush" not in str(refusal.value)
    monkeypatch.setenv("DEBIAN_MIRROR", "http://mirror/a@b")
    assert network_arguments()["DEBIAN_MIRROR"] == "http://mirror/a@b"


@pytest.mark.parametrize("option", ["index-url", "trusted-host"])
def test_pip_option_for_installing_takes_precedence_over_the_global_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, option: str
) -> None:
    """As in pip on the host."""
    argument = f"PIP_{option.upper().replace('-', '_')}"
    monkeypatch.delenv(argument, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    for rest in ("", f"[global]\n{option} = other\n"):
        (tmp_path / "pip.conf").write_text(f"[install]\n{option} = mirror\n{rest}")
        assert network_arguments()[argument] == "mirror"


def recipes_that_run(command: str) -> list[str]:
    """The names of the recipes whose Dockerfile runs this command."""
    return [name for name in RECIPES if command in dockerfile(name)]


@pytest.mark.parametrize("name", recipes_that_run("RUN mvn"))
def test_every_maven_build_has_the_maven_settings(name: str) -> None:
    text = dockerfile(name)
    assert text.count("RUN mvn") == text.count("ARG MAVEN_SETTINGS\nRUN mvn")


@pytest.mark.parametrize("name", recipes_that_run("pip install"))
def test_every_pip_install_has_the_hosts_package_index(name: str) -> None:
    assert "ARG PIP_INDEX_URL\nARG PIP_TRUSTED_HOST\n" in dockerfile(name)


def stages(path: Path) -> dict[str, list[list[str]]]:
    """The instructions of each stage of a Dockerfile as words, after those of the stage that it is based on."""
    found: dict[str, list[list[str]]] = {}
    instructions: list[list[str]] = []
    for line in re.sub(r"\\\n|^#.*\n", "", path.read_text(), flags=re.MULTILINE).splitlines():
        words = line.split()
        if words[:1] == ["FROM"]:
            instructions = found[words[-1]] = list(found.get(words[1], []))
        elif words:
            instructions.append(words)
    return found


@pytest.mark.parametrize("path", sorted(ROOT.glob("[!.]*/**/Dockerfile")), ids=lambda path: str(path.parent.name))
def test_image_is_not_built_from_old_package_lists_or_damaged_artifacts(path: Path) -> None:
    """By default apt goes on without the security updates if their server does not answer, and Maven with a jar of
    another checksum. The image would be kept."""
    text = path.read_text()
    assert text.count("apt-get update") == text.count("apt-get update --error-on=any")
    assert text.count("RUN mvn") == text.count("RUN mvn -B -ntp -q --strict-checksums ")


@pytest.mark.parametrize("path", sorted(ROOT.glob("[!.]*/**/Dockerfile")), ids=lambda path: str(path.parent.name))
def test_copied_files_are_readable_by_the_images_user(path: Path) -> None:
    """In a clone made with umask 077 they have mode 0600, and COPY makes them root's."""
    for stage, instructions in stages(path).items():
        user, private = "root", set[str]()
        for keyword, *words in [*instructions, ["CMD"]]:
            if keyword == "USER":
                user = words[0]
            elif keyword == "COPY" and not words[0].startswith((f"--chown={user}", "--from=")):
                private.add(words[-1])
            elif keyword in ("RUN", "CMD"):
                opened = words[3:] if words[:3] == ["chmod", "-R", "a+rX"] else []
                private = {target for target in private if not any(Path(target).is_relative_to(at) for at in opened)}
                assert user == "root" or not private, f"{user} may be unable to read {private} in the stage {stage}"


@pytest.mark.parametrize(
    ("environment", "host"),
    [
        ({}, "http://deb.debian.org"),
        ({"DEBIAN_MIRROR": "http://mirror.example.com/apt"}, "http://mirror.example.com/apt"),
        ({"DEBIAN_MIRROR": "http://mirror.example.com/apt/"}, "http://mirror.example.com/apt"),
    ],
)
def test_debian_mirror_is_in_the_package_sources(tmp_path: Path, environment: dict[str, str], host: str) -> None:
    """In both forms: the official base image has the newer one."""
    sources = {
        "sources.list": "deb {}/debian bookworm main\n",
        "sources.list.d/debian.sources": "URIs: {}/debian-security\n",
    }
    (tmp_path / "sources.list.d").mkdir()
    for name, text in sources.items():
        (tmp_path / name).write_text(text.format("http://deb.debian.org"))
    found = re.search(r"^RUN (mirror=.*?) \\\n && mkdir", dockerfile("java"), re.DOTALL | re.MULTILINE)
    assert found is not None
    program = found[1].replace("/etc/apt", shlex.quote(str(tmp_path)))
    subprocess.run(["sh", "-euc", program], env={"PATH": "/usr/bin:/bin"} | environment, check=True)
    assert {name: (tmp_path / name).read_text() for name in sources} == {
        name: text.format(host) for name, text in sources.items()
    }


def maven_settings(tmp_path: Path, **environment: str) -> str:
    """The settings.xml that mavenrc writes for mvn; empty if it writes none."""
    program = f". {shlex.quote(str(ROOT))}/infra/images/builder/mavenrc"
    outside = {"HOME": str(tmp_path), "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    subprocess.run(["sh", "-euc", program], env=outside | environment, check=True)
    settings = tmp_path / ".m2" / "settings.xml"
    return settings.read_text() if settings.exists() else ""


@pytest.mark.parametrize(
    ("url", "host", "port", "login"),
    [
        ("http://me:secret@proxy:3128/", "proxy", "3128", ("me", "secret")),
        ("http://DOMAIN%5Cme:p%40ss%3A%26%3Cword@proxy:3128", "proxy", "3128", ("DOMAIN\\me", "p@ss:&<word")),
        ("http://me:a&b@proxy.example.com", "proxy.example.com", "80", ("me", "a&b")),
        ("https://proxy", "proxy", "443", None),
        ("proxy:3128", "proxy", "3128", None),
    ],
)
def test_maven_settings_contain_the_proxy(
    tmp_path: Path, url: str, host: str, port: str, login: tuple[str, str] | None
) -> None:
    found = maven_settings(tmp_path, https_proxy=url, no_proxy="localhost,.example.com, 10.0.0.1")
    proxy = ElementTree.fromstring(found).find("proxies/proxy")
    assert proxy is not None
    assert {part.tag: (part.text or "").strip() for part in proxy} == {
        "active": "true",
        "protocol": "https",
        "host": host,
        "port": port,
        **({"username": login[0], "password": login[1]} if login else {}),
        "nonProxyHosts": "localhost|*.example.com|10.0.0.1",
    }


def test_maven_settings_of_the_host_are_kept(tmp_path: Path) -> None:
    assert maven_settings(tmp_path, MAVEN_SETTINGS="<settings/>", HTTPS_PROXY="http://proxy:3128") == "<settings/>\n"


def test_maven_has_no_settings_without_proxy(tmp_path: Path) -> None:
    assert maven_settings(tmp_path) == ""
