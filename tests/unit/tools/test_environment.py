"""The environment of `tools/env.sh`: home folder, passphrase, Docker context, proxy; set-up's folder for the state."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from infra.names import ROOT

VARIABLES = (
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_TLS",
    "DOCKER_TLS_VERIFY",
    "DOCKER_CERT_PATH",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
)


def steps_with_apt_files_in(folder: Path) -> str:
    """Set-up's functions, with the files of Docker's package source, and the engine's log, in this folder."""
    return f"""
        docker_apt_source={folder}/docker.sources docker_apt_key={folder}/docker.asc dockerd_log={folder}/dockerd.log
        source tools/setup.d/steps.sh
        source tools/setup.d/system.sh
        source <(sed '/^readonly docker_apt_source/d; /^readonly dockerd_log/d' tools/setup.d/docker.sh)
        """


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment without this machine's proxies, Docker contexts and locale."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("LC_ALL", "C")  # bash prints a warning if the locale is not installed


def sourced(variable: str) -> str:
    """The value of an exported variable after sourcing env.sh twice, which must print nothing."""
    return bash(f"source tools/env.sh; source tools/env.sh; printenv {variable} || true")


def bash(program: str, error: str = "") -> str:
    """The output of a Bash program in the checkout. It must print no error, or fail with one that has this text."""
    done = subprocess.run(
        ["bash", "-euc", f"unset BASH_ENV; {program}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode != 0) == bool(error)
    assert error in done.stderr if error else done.stderr == ""
    return done.stdout.rstrip("\n")


@pytest.fixture
def passwd_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The home folder of the passwd entry, as Pulumi uses it. HOME is another one."""
    home = tmp_path / "passwd"
    home.mkdir()
    (tmp_path / "getent").write_text(f"#!/bin/sh\necho me:x:1000:1000::{home}:/bin/bash\n")
    (tmp_path / "getent").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("HOME", str(tmp_path / "other"))
    for name in ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE", "PULUMI_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    return home


@pytest.mark.parametrize("home", ["other", None])
def test_passphrase_and_cache_are_in_the_home_folder_that_pulumi_uses(
    passwd_home: Path, monkeypatch: pytest.MonkeyPatch, home: str | None
) -> None:
    """Not in HOME, which is another user's under sudo, and which may not be set."""
    if home is None:
        monkeypatch.delenv("HOME")
    assert sourced("PULUMI_CONFIG_PASSPHRASE_FILE") == f"{passwd_home}/.pulumi/lolstack.passphrase"
    assert f"{passwd_home}/.cache/lolstack/bin" in sourced("PATH").split(":")
    assert sourced("HOME") == (str(passwd_home.parent / home) if home else str(passwd_home))
    monkeypatch.setenv("PULUMI_HOME", "/srv/pulumi")
    monkeypatch.setenv("XDG_CACHE_HOME", "/srv/cache")
    assert sourced("PULUMI_CONFIG_PASSPHRASE_FILE") == "/srv/pulumi/lolstack.passphrase"
    assert "/srv/cache/lolstack/bin" in sourced("PATH").split(":")


def test_user_without_a_passwd_entry_has_the_home_folder_of_home(
    passwd_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container with an arbitrary user id. Also in a shell that ends at the first error of a pipe."""
    (passwd_home.parent / "getent").write_text("#!/bin/sh\nexit 2\n")
    expected = f"{passwd_home.parent}/other/.pulumi/lolstack.passphrase"
    assert sourced("PULUMI_CONFIG_PASSPHRASE_FILE") == expected
    assert bash("set -o pipefail; source tools/env.sh; echo $PULUMI_CONFIG_PASSPHRASE_FILE") == expected


def set_up(home: Path, step: str, error: str = "") -> str:
    """The output of a step of set-up for a user with this home folder, which has the folder `checkout`."""
    parts = "".join(f"source tools/setup.d/{part}.sh; " for part in ("steps", "system", "docker", "python", "pulumi"))
    variables = f"root={home}/checkout venv={home}/checkout/.venv cache={home}/.cache home={home} user=me part=user"
    return bash(f"set -o pipefail; source tools/versions.env; {variables}; {parts} {step}", error)


@pytest.mark.parametrize("exists", [True, False])
def test_state_is_accessible_to_its_user_only(passwd_home: Path, exists: bool) -> None:
    """Also the folder that Pulumi has made readable by everybody."""
    folder = passwd_home / ".pulumi"
    if exists:
        folder.mkdir()
        folder.chmod(0o755)
    set_up(passwd_home, "ensure_private_state")
    assert folder.stat().st_mode & 0o777 == 0o700


def test_passphrase_of_existing_stacks_is_copied_from_where_earlier_versions_kept_it(passwd_home: Path) -> None:
    """A new one is generated only for a user without stacks: theirs could not be decrypted with it."""
    former, passphrase = (home / ".pulumi/lolstack.passphrase" for home in (passwd_home.parent / "other", passwd_home))
    former.parent.mkdir(parents=True)
    former.write_text("former")
    set_up(passwd_home, "ensure_private_state; ensure_passphrase")
    assert passphrase.read_text() != "former"
    passphrase.unlink()
    (passwd_home / ".pulumi/stacks/lolstack").mkdir(parents=True)
    (passwd_home / ".pulumi/stacks/lolstack/dev.json").write_text("{}")
    assert str(former) in set_up(passwd_home, "ensure_passphrase")
    assert passphrase.read_text() == "former"
    assert passphrase.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("former", [True, False])
def test_full_disk_leaves_no_empty_passphrase(passwd_home: Path, former: bool) -> None:
    """The secrets of all stacks would be encrypted with it."""
    if former:
        (passwd_home / ".pulumi/stacks/lolstack").mkdir(parents=True)
        (passwd_home / ".pulumi/stacks/lolstack/dev.json").touch()
        (passwd_home.parent / "other/.pulumi").mkdir(parents=True)
        (passwd_home.parent / "other/.pulumi/lolstack.passphrase").write_text("former")
    set_up(passwd_home, "ulimit -f 0; ensure_passphrase", error="File size limit exceeded")
    set_up(passwd_home, "ensure_passphrase")
    passphrase = passwd_home / ".pulumi/lolstack.passphrase"
    assert len(passphrase.read_text().strip()) == (len("former") if former else 44)
    assert passphrase.stat().st_mode & 0o777 == 0o600


def test_empty_passphrase_is_refused(passwd_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless it is chosen, in PULUMI_CONFIG_PASSPHRASE."""
    passphrase = passwd_home / ".pulumi/lolstack.passphrase"
    passphrase.parent.mkdir()
    passphrase.touch()
    set_up(passwd_home, "ensure_passphrase", error=f"setup: error: the passphrase file {passphrase} is empty")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "")
    set_up(passwd_home, "ensure_passphrase")


@pytest.mark.parametrize("exists", [True, False])
def test_log_which_is_also_the_lock_is_open_to_its_user_only(tmp_path: Path, exists: bool) -> None:
    """Whoever may read it could lock it for ever. Also one of an earlier version, before set-up waits for its lock."""
    log = tmp_path / "folder/setup.log"
    if exists:
        log.parent.mkdir()
        log.touch(0o644)
    bash(f"umask 022; source tools/setup.d/steps.sh; open_log {log}")
    assert log.stat().st_mode & 0o777 == 0o600
    log.chmod(0o644)
    program = f"unset BASH_ENV; source tools/setup.d/steps.sh; open_log {log}; echo goes on"
    with log.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with subprocess.Popen(["bash", "-euc", program], cwd=ROOT, stdout=subprocess.PIPE, text=True) as waiting:
            assert waiting.stdout is not None
            assert waiting.stdout.readline() == f"setup: waiting for another set-up to finish, which has locked {log}\n"
            assert log.stat().st_mode & 0o777 == 0o600
            fcntl.flock(lock, fcntl.LOCK_UN)
            assert waiting.stdout.read() == "goes on\n"


def test_every_request_of_curl_in_set_up_has_a_time_limit() -> None:
    """A server that stalls would keep set-up waiting for good."""
    lines = [line for part in (ROOT / "tools").rglob("*.sh") for line in part.read_text().splitlines()]
    requests = [line for line in lines if "curl -" in line]
    assert len(requests) >= 2
    assert all("--max-time" in line or "--speed-time" in line for line in requests)


def test_moved_environment_is_outdated(passwd_home: Path) -> None:
    """Its scripts name the interpreter by its former path. A link to the environment moves nothing."""
    checkout = passwd_home / "checkout"
    (checkout / ".venv/bin").mkdir(parents=True)
    (checkout / ".venv/bin/python").symlink_to(sys.executable)
    activate = checkout / ".venv/bin/activate"
    activate.write_text(f'VIRTUAL_ENV="{checkout}/.venv"\n')
    for name in ("requirements.txt", "requirements-test.txt"):
        (checkout / name).touch()
    state = "if venv_is_current; then echo current; else echo outdated; fi"
    assert set_up(passwd_home, f'inspect_venv; echo "${{venv_contents[0]}}" >"$venv_stamp"; {state}') == "current"
    (passwd_home / "link").symlink_to(checkout / ".venv")
    assert set_up(passwd_home, f"venv={passwd_home}/link; {state}") == "current"
    activate.write_text(f'VIRTUAL_ENV="{passwd_home}/elsewhere/.venv"\n')
    assert set_up(passwd_home, state) == "outdated"


def test_used_environment_is_newer_than_its_requirements(passwd_home: Path) -> None:
    """`make` compares the times, to run set-up after `git pull`; it would run it each time."""
    (passwd_home / "checkout/.venv").mkdir(parents=True)
    stamp = passwd_home / "checkout/.venv/.lolstack"
    stamp.touch()
    os.utime(stamp, (0, 0))
    functions = "venv_is_current() { true; }; needs_test_packages() { false; }"
    set_up(passwd_home, f"{functions}; ensure_venv")
    assert stamp.stat().st_mtime > 0


def test_variables_that_change_where_packages_are_installed_do_not_reach_set_up(
    passwd_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mirrors and certificates do."""
    (passwd_home.parent / "getent").write_text(f"#!/bin/sh\nenv >{passwd_home}/environment\n")
    names = {
        "PYTHONHOME",
        "PYTHONPATH",
        "PYTHONSAFEPATH",
        "PYTHONWARNINGS",
        "PYTHONPLATLIBDIR",
        "PIP_TARGET",
        "CDPATH",
        "GOROOT",
        "GOOS",
    }
    for name in names | {"PIP_INDEX_URL", "GOPROXY", "PIP_USER", "PIP_DRY_RUN"}:
        monkeypatch.setenv(name, "/elsewhere")
    bash("tools/setup.sh wrong", error="setup: error: unknown arguments")
    found = dict(line.split("=", 1) for line in (passwd_home / "environment").read_text().splitlines() if "=" in line)
    assert not names & found.keys()
    assert found["PIP_INDEX_URL"] == found["GOPROXY"] == "/elsewhere"
    assert found["PIP_USER"] == found["PIP_DRY_RUN"] == "0", "also in place of the option in pip.conf"


def test_environment_without_its_packages_is_not_recorded_as_complete(
    passwd_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With such an option in pip.conf, pip installs the packages elsewhere, without an error."""
    checkout = passwd_home / "checkout"
    subprocess.run([sys.executable, "-m", "venv", checkout / ".venv"], check=True)
    with ZipFile(checkout / "sample-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("sample.py", "")
        wheel.writestr("template.py", "{{ no Python")
        wheel.writestr("sample-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: sample\nVersion: 1.0\n")
        wheel.writestr("sample-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("sample-1.0.dist-info/RECORD", "")
    for name in ("requirements.txt", "requirements-test.txt"):
        lines = ("--no-index", f"--find-links {checkout}", "sample==1.0 \\", "", "other==1 ; python_version<'3' \\", "")
        (checkout / name).write_text("\n".join(lines))
    monkeypatch.setenv("PIP_CONFIG_FILE", f"{passwd_home}/pip.conf")
    steps = f"log={passwd_home}/log; find_python() {{ echo python3; }}; needs_test_packages() {{ true; }}; ensure_venv"
    for option, current in (("target", "false"), ("root", "inspect_venv")):
        (passwd_home / "pip.conf").write_text(f"[global]\n{option} = {passwd_home}/elsewhere\n")
        functions = f"venv_is_current() {{ {current}; }}"
        set_up(passwd_home, f"{functions}; {steps}", error="pip has installed sample elsewhere: ")
        assert not (checkout / ".venv/.lolstack").exists()
    (passwd_home / "pip.conf").write_text("")
    set_up(passwd_home, steps)
    assert (checkout / ".venv/.lolstack").read_text().count("requirements") == 1
    assert list((checkout / ".venv").glob("lib/*/site-packages/__pycache__/sample.*.pyc")), "it is not compiled"


def add_java(folder: Path, version: str) -> Path:
    """A Java in the subfolder bin. Like the real one, it fails with an option that it does not know."""
    (folder / "bin").mkdir(parents=True)
    java = f"""#!/bin/sh
[ -z "$JAVA_TOOL_OPTIONS" ] || exit 1
echo 'openjdk version "{version}" 2025-04-15' >&2
"""
    (folder / "bin/java").write_text(java)
    (folder / "bin/java").chmod(0o755)
    return folder / "bin"


@pytest.mark.parametrize(
    ("on_path", "java_home", "found", "kept"),
    [
        ("17.0.15", "1.8.0_452", True, False),
        ("17.0.15", None, True, False),
        ("1.8.0_452", "25", True, True),
        ("17.0.15", "25", True, True),
        ("11.0.2", "11.0.2", False, False),
    ],
)
def test_java_on_path_is_used_if_that_of_java_home_is_unsuitable(
    passwd_home: Path, monkeypatch: pytest.MonkeyPatch, on_path: str, java_home: str | None, found: bool, kept: bool
) -> None:
    """Set-up would install another one each time, which does not replace JAVA_HOME's. The tests choose the same one."""
    monkeypatch.setenv("JAVA_HOME", str(passwd_home / "java"))
    if java_home:
        add_java(passwd_home / "java", java_home)
    monkeypatch.setenv("PATH", str(add_java(passwd_home / "other", on_path)), prepend=os.pathsep)
    assert set_up(passwd_home, "has_java && echo found || echo missing") == ("found" if found else "missing")
    assert ("JAVA_HOME" in variables_of_the_tests()) is kept


def variables_of_the_tests() -> dict[str, str]:
    """The environment of the tests of a person with this process's environment."""
    program = "import json, os, tests.conftest; print(json.dumps(dict(os.environ)))"
    variables: dict[str, str] = json.loads(subprocess.check_output([sys.executable, "-c", program], cwd=ROOT))
    return variables


def test_variables_of_spark_and_java_do_not_reach_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"HADOOP_CONF_DIR", "SPARK_DIST_CLASSPATH", "SPARK_LOCAL_DIRS", "JAVA_TOOL_OPTIONS", "PYSPARK_PYTHON"}
    for name in names:
        monkeypatch.setenv(name, "/elsewhere")
    assert not names & variables_of_the_tests().keys()


def test_set_up_never_searches_the_environment_that_it_creates(
    passwd_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often and wherever PATH has it: set-up would delete the interpreter that it runs."""
    own = (f"{ROOT}/.venv/bin", f"{passwd_home}/.cache/lolstack/bin")
    others = (str(passwd_home.parent), "/usr/bin", "/bin")
    entries = (own[0], own[0], own[1], own[1], own[0], others[0], own[0], own[1], *others[1:], own[1], own[1])
    id_ = shutil.which("id")
    (passwd_home.parent / "id").write_text(f'#!/bin/sh\necho "$PATH" >{passwd_home}/path\nexec {id_} "$@"\n')
    (passwd_home.parent / "id").chmod(0o755)
    monkeypatch.setenv("PATH", ":".join(entries))
    bash("tools/setup.sh wrong", error="setup: error: unknown arguments")
    found = (passwd_home / "path").read_text().strip().split(":")
    assert not set(own) & set(found)
    assert found[: len(others)] == list(others)


WITHOUT_SYSTEM_PYTHON = "system_python=/nowhere/python3; "


@pytest.fixture
def interpreters(passwd_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for stand-ins of Python, which are the only ones on PATH. WITHOUT_SYSTEM_PYTHON hides the system's."""
    folder = passwd_home / "python"
    folder.mkdir()
    for command in ("bash", "readlink", "sort", "head", "sha256sum", "sed", "grep", "paste"):
        (folder / command).symlink_to(shutil.which(command) or "")
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("BASH_ENV", raising=False)  # as `make` sets it: env.sh needs more commands
    return folder


def add_interpreter(folder: Path, name: str, version: str, ensurepip: bool = True) -> None:
    import_status = 0 if ensurepip else 1
    (folder / name).write_text(
        f"""#!/bin/bash
case $* in -V) echo Python {version}.0 ;; *ensurepip*) exit {import_status} ;; *) echo {version} ;; esac
"""
    )
    (folder / name).chmod(0o755)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"python3": "3.11"}, "python3"),
        ({"python3": "3.10", "python3.11": "3.11", "python3.14": "3.14"}, "python3.14"),
        ({"python3": "3.15", "python3.15": "3.15", "python3.12": "3.12"}, "python3.12"),
        (
            {"python3": "3.13 without ensurepip", "python3.13": "3.13 without ensurepip", "python3.11": "3.11"},
            "python3.11",
        ),
    ],
)
def test_interpreter_between_minimum_and_maximum_that_can_create_an_environment_is_found(
    passwd_home: Path, interpreters: Path, found: dict[str, str], expected: str
) -> None:
    for name, version in found.items():
        add_interpreter(interpreters, name, version.partition(" ")[0], "without" not in version)
    assert set_up(passwd_home, "find_python") == f"{interpreters}/{expected}"


def test_interpreter_of_the_system_is_found_behind_shims(passwd_home: Path, interpreters: Path) -> None:
    """As of pyenv or asdf: the shim of a version that is not selected fails."""
    add_interpreter(interpreters, "python3", "3.10")
    for minor in range(11, 15):
        shim = interpreters / f"python3.{minor}"
        shim.write_text("#!/bin/bash\necho 'pyenv: command not found' >&2\nexit 127\n")
        shim.chmod(0o755)
    system = passwd_home / "system_python"
    add_interpreter(passwd_home, system.name, "3.11")
    assert set_up(passwd_home, f"system_python={system}; find_python") == str(system)


@pytest.mark.parametrize("version", ["3.10", "3.15"])
def test_unsuitable_python_is_refused_before_the_machine_is_changed(
    passwd_home: Path, interpreters: Path, version: str
) -> None:
    add_interpreter(interpreters, "python3", version)
    steps = WITHOUT_SYSTEM_PYTHON
    steps += "needs_docker() { true; }; find_docker() { docker_state=absent; }; is_root() { true; }; system_command=(x)"
    steps += "; install_packages() { echo changed >&2; }; install_docker() { exit 3; }"
    error = f"setup: error: Python 3.11 to 3.14 with its module ensurepip is needed; python3 is Python {version}.0: "
    set_up(passwd_home, f"{steps}; needs_java_and_browser() {{ false; }}; ensure_system", error=error)


def test_part_of_root_leaves_the_interpreter_to_its_user(passwd_home: Path, interpreters: Path) -> None:
    """It may be one that root's PATH lacks, such as pyenv's."""
    add_interpreter(interpreters, "python3", "3.10")
    steps = f"{WITHOUT_SYSTEM_PYTHON}part=system; needs_java_and_browser() {{ false; }}; missing_packages"
    assert "python" not in set_up(passwd_home, steps)


def installed_pulumi(home: Path, version: str) -> tuple[Path, str]:
    """The folder of a Pulumi that the person has installed, and the step of a set-up that wants 3.4.1."""
    own = home / "own"
    for folder in (own, home / "checkout"):
        folder.mkdir(exist_ok=True)
    for name in ("pulumi", "pulumi-language-python", "pulumi-language-python-exec", "pulumi-resource-pulumi-python"):
        (own / name).write_text(f"#!/bin/sh\necho v{version}\n")
        (own / name).chmod(0o755)
    (home / "checkout/requirements.txt").write_text("pulumi-docker==1.0\n")
    steps = f"PULUMI_VERSION=3.4.1 bin={home}/.cache/bin; provider_is_installed() {{ true; }}"
    return own, f"{steps}; fetch_cli() {{ echo downloaded; }}; ensure_pulumi; echo $pulumi_version"


def test_installed_pulumi_is_found_again_without_its_folder_on_path(
    passwd_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by cron: it would be downloaded, and the tools would not find it."""
    own, steps = installed_pulumi(passwd_home, "3.4.1")
    with monkeypatch.context() as login:
        login.setenv("PATH", str(own), prepend=os.pathsep)
        assert set_up(passwd_home, steps) == "3.4.1"
    monkeypatch.setenv("PATH", f"{passwd_home.parent}:/usr/bin:/bin")
    assert set_up(passwd_home, steps) == "3.4.1"
    assert bash(f"PATH={passwd_home}/.cache/bin:/usr/bin:/bin pulumi version") == "v3.4.1"
    (own / "pulumi").unlink()
    assert set_up(passwd_home, steps).startswith("downloaded\n")


@pytest.mark.parametrize("version", ["3.3.9", "3.5.0", "3.40.0", "4.4.0", "3.4.0-alpha.1"])
def test_pulumi_of_another_minor_version_is_not_used(
    passwd_home: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    """Also not after it was used, and then upgraded."""
    own, steps = installed_pulumi(passwd_home, "3.4.2")
    monkeypatch.setenv("PATH", str(own), prepend=os.pathsep)
    assert set_up(passwd_home, steps) == "3.4.2"
    installed_pulumi(passwd_home, version)
    assert set_up(passwd_home, steps) == "downloaded\n3.4.1"


@pytest.mark.parametrize(
    "step", ["go=go; go_in module build", "have() { true; }; chmod() { :; }; GO_SUM_AMD64=x GO_SUM_ARM64=x; fetch_go"]
)
def test_go_settings_of_the_person_do_not_reach_the_build(
    passwd_home: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Neither those of the environment nor those of `go env -w`. Proxies and caches do."""
    for name, value in {"GO111MODULE": "off", "GOFLAGS": "-mod=vendor", "GOPROXY": "https://environment"}.items():
        monkeypatch.setenv(name, value)
    found = passwd_home / "found"
    (passwd_home.parent / "go").write_text(
        f"""#!/bin/sh
[ "$1" = env ] || {{ env >{found}; echo '"Sum": "x"'; exit; }}
shift
for name; do case $name in GOPROXY) echo "$GOPROXY" ;; GOCACHE) echo /written ;; *) echo ;; esac; done
"""
    )
    (passwd_home.parent / "go").chmod(0o755)
    (passwd_home / "checkout/tools/go/module").mkdir(parents=True)
    set_up(passwd_home, f"GOMODCACHE={passwd_home}; mkdir -p $go_cache; {step}")
    variables = dict(line.split("=", 1) for line in found.read_text().splitlines() if line.startswith("GO"))
    neutral = {"GO111MODULE": "on", "GOENV": "off", "GOFLAGS": "", "GOWORK": "off", "GOTOOLCHAIN": "local"}
    kept = {"GOPROXY": "https://environment", "GOCACHE": "/written"}
    assert variables.items() >= (neutral | kept).items()


@pytest.mark.parametrize(
    ("machine", "sum_", "error"),
    [
        ("x86_64", "h1:amd64", ""),
        ("aarch64", "h1:arm64", ""),
        ("x86_64", "h1:arm64", "linux-amd64 has the hash h1:arm64, which is not that of tools/versions.env"),
        ("x86_64", "", "linux-amd64 has the hash , which is not that of tools/versions.env"),
        ("riscv64", "", "linux-riscv64 has the hash , which is not"),
        ("riscv64", "h1:riscv64", "linux-riscv64 has the hash h1:riscv64, which is not"),
    ],
)
def test_downloaded_go_is_not_run_with_another_hash(
    passwd_home: Path, monkeypatch: pytest.MonkeyPatch, machine: str, sum_: str, error: str
) -> None:
    """Whatever the person's settings verify: without the checksum database, Go itself compares it with nothing."""
    monkeypatch.setenv("GOSUMDB", "off")
    monkeypatch.setenv("GOFLAGS", "-insecure")
    modules = passwd_home / ".cache/go/modules"
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
    program = modules / f"golang.org/toolchain@v0.0.1-go1.2.3.linux-{architecture}/bin/go"
    program.parent.mkdir(parents=True)
    (program.parent.parent / "pkg/tool").mkdir(parents=True)
    program.touch()
    answer = json.dumps({"Path": "golang.org/toolchain", "Sum": sum_, "GoModSum": "h1:mod"}, indent="\t")
    for name, script in (("uname", f"echo {machine}"), ("go", f"[ $1 = env ] || echo '{answer}'")):
        (passwd_home.parent / name).write_text(f"#!/bin/sh\n{script}\n")
        (passwd_home.parent / name).chmod(0o755)
    versions = "GO_VERSION=1.2.3 GO_SUM_AMD64=h1:amd64 GO_SUM_ARM64=h1:arm64"
    output = ">&2" if error else ">/dev/null"
    set_up(passwd_home, f"{versions}; have() {{ true; }}; GOMODCACHE={modules}; fetch_go {output}", error)
    assert os.access(program, os.X_OK) is not bool(error)
    assert program.exists() is not bool(error)


def test_package_of_go_is_found_in_any_language(passwd_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apt_cache = '[ "$LC_ALL" = C ] && word=Depends || word="Hängt ab von"; echo "  $word: golang-1.19-go"'
    for name, script in (("apt-cache", apt_cache), ("apt-get", "echo $@ >&2; exit 1")):
        (passwd_home.parent / name).write_text(f"#!/bin/sh\n{script}\n")
        (passwd_home.parent / name).chmod(0o755)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    (passwd_home / ".cache/go").mkdir(parents=True)
    set_up(passwd_home, "have() { false; }; fetch_go", error="download golang-1.19-go")


def ensure_system(
    home: Path, packages: str, sudo: bool, error: str = "", engine: str = "unix:///run/docker.sock"
) -> str:
    """What set-up prints and does as root for a user whose engine works, on a machine without uidmap."""
    return set_up(
        home,
        f"""
        is_root() {{ false; }}
        have() {{ [[ $1 != newuidmap ]]; }}
        docker() {{ echo {engine}; }}
        sudo() {{ if [[ $* == '-n true' ]]; then {str(sudo).lower()}; else echo as root: "$@"; fi; }}
        needs_docker() {{ true; }}
        find_docker() {{ docker_state=available; }}
        missing_packages() {{ echo {packages}; }}
        system_command=(tools/setup.sh system me)
        log={home}/log
        : >$log
        ensure_system
        grep '^as root' $log || true
        """,
        error,
    )


def test_root_only_installs_packages_if_the_users_engine_works(passwd_home: Path) -> None:
    """Root does not see a rootless engine or Docker Desktop, and would set up a second one."""
    done = ensure_system(passwd_home, "curl make", sudo=True)
    as_root = [line for line in done.splitlines() if line.startswith("as root")]
    assert all("apt-get" in line for line in as_root)
    installed = [line.partition(" --no-remove ")[2] for line in as_root if " install " in line]
    assert installed == ["curl make", "mmdebstrap uidmap"]
    assert "mmdebstrap" not in ensure_system(passwd_home, "curl make", sudo=True, engine="tcp://10.0.0.5:2376")


def test_failure_to_install_mmdebstrap_does_not_end_set_up(passwd_home: Path) -> None:
    """Only stacks with a built base image need it; Ubuntu has it in universe, which can be disabled."""
    steps = "is_root() { true; }; have() { [[ $1 != mmdebstrap ]]; }; docker() { echo unix:///run/docker.sock; }"
    steps += "; apt_install() { [[ $* != *mmdebstrap* ]]; }; su() { :; }; ensure_mmdebstrap; echo ready"
    done = set_up(passwd_home, f"log={passwd_home}/log; {steps}")
    assert "apt-get install mmdebstrap uidmap\nready" in done


def test_installation_of_mmdebstrap_that_failed_is_tried_again_after_an_hour(passwd_home: Path) -> None:
    """Each command runs set-up, and where no package source has it, each would wait for apt."""
    steps = "is_root() { true; }; have() { [[ $1 != mmdebstrap ]]; }; docker() { echo unix:///run/docker.sock; }"
    steps += f"; apt_install() {{ echo tried >>{passwd_home}/log2; false; }}; su() {{ :; }}"
    tried = "$cache/mmdebstrap-tried"
    steps += f"; ensure_mmdebstrap; ensure_mmdebstrap; touch -d '2 hours ago' {tried}; ensure_mmdebstrap"
    set_up(passwd_home, f"log={passwd_home}/log; {steps}")
    assert (passwd_home / "log2").read_text() == "tried\n" * 2


def test_command_for_root_only_installs_packages_if_the_users_engine_works(passwd_home: Path) -> None:
    refusal = "root is needed for the packages curl make; run this, then start again:\n  sudo apt-get update; "
    ensure_system(passwd_home, "curl make", sudo=False, error=f"{refusal}sudo apt-get install curl make\n")
    assert "\n  sudo apt-get install mmdebstrap uidmap\n" in ensure_system(passwd_home, "", sudo=False) + "\n"


@pytest.mark.parametrize("install", ["true", "false"])
def test_package_source_that_fails_does_not_end_set_up_if_the_packages_can_be_installed(
    passwd_home: Path, monkeypatch: pytest.MonkeyPatch, install: str
) -> None:
    """Such as a third party's, whose key has expired."""
    apt = f'case "$*" in *" update") echo broken source; exit 100 ;; *) echo installing; {install} ;; esac'
    (passwd_home.parent / "apt-get").write_text(f"#!/bin/sh\n{apt}\n")
    (passwd_home.parent / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", str(passwd_home.parent), prepend=os.pathsep)
    steps = f"log={passwd_home}/log; is_root() {{ true; }}; install_packages make"
    set_up(passwd_home, steps, error="" if install == "true" else "this step failed: installing the packages make")
    log = (passwd_home / "log").read_text()
    assert log.index("broken source") < log.index("failed with exit code 100") < log.index("installing\n")


@pytest.mark.parametrize(("locked", "expected"), [(2, 3), (1000, 5)])
def test_update_of_package_lists_waits_for_another_apt(
    passwd_home: Path, monkeypatch: pytest.MonkeyPatch, locked: int, expected: int
) -> None:
    """As at the first boot of a cloud image. For 300 s at most; its packages may be in the lists there are."""
    (passwd_home.parent / "apt-get").write_text(
        f"""#!/bin/bash
case $* in
  *' update')
    echo update >>{passwd_home}/updates
    [[ $(wc -l <{passwd_home}/updates) -le {locked} ]] || exit 0
    [[ $LC_ALL == C ]] && reason='Could not get lock' || reason='Sperre konnte nicht bekommen werden'
    echo "E: $reason /var/lib/apt/lists/lock" >&2
    exit 100
    ;;
  *) echo installing ;;
esac
"""
    )
    (passwd_home.parent / "apt-get").chmod(0o755)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    waiting = "sleep() { [[ $1 != 5 ]] || SECONDS=$((SECONDS + 80)); }"
    set_up(passwd_home, f"{waiting}; is_root() {{ true; }}; apt_install make >{passwd_home}/log 2>&1")
    log = (passwd_home / "log").read_text()
    assert (passwd_home / "updates").read_text().count("update") == expected
    assert ("failed with exit code 100" in log) == (locked > expected)
    assert log.endswith("installing\n")


@pytest.mark.parametrize(
    ("key", "state", "packages", "expected"),
    [
        ("docker.asc", "absent", "", "configure, docker-ce "),
        ("docker.asc", "stopped", "installed unpacked", "configure, docker-ce "),
        ("docker.asc", "stopped", "installed installed", ""),
        ("company.asc", "absent", "", "docker.io "),
    ],
)
def test_interrupted_installation_from_dockers_repository_is_completed(
    tmp_path: Path, key: str, state: str, packages: str, expected: str
) -> None:
    """Debian's packages would conflict with those that it has unpacked. Another package source is left alone."""
    (tmp_path / "docker.asc").write_text("key")
    (tmp_path / "docker.sources").write_text(f"Types: deb\nSigned-By: {tmp_path}/{key}\n")
    done = bash(
        f"""
        {steps_with_apt_files_in(tmp_path)}
        have() {{ [[ $1 != dockerd || {state} != absent ]]; }}
        find_docker() {{ docker_state={state}; }}
        needs_docker() {{ true; }}
        missing_packages() {{ :; }}
        dpkg-query() {{ echo {packages}; }}
        dpkg() {{ printf 'configure, ' >>{tmp_path}/installed; }}
        apt_install() {{ echo "$@" >>{tmp_path}/installed; }}
        start_docker() {{ :; }}
        ensure_mmdebstrap() {{ :; }}
        touch {tmp_path}/installed
        set_up_system root >/dev/null
        cat {tmp_path}/installed
        """
    )
    assert done.startswith(expected) if expected else done == ""
    assert (tmp_path / "docker.sources").read_text().endswith(f"{key}\n")


@pytest.mark.parametrize(
    ("keys", "accepted"),
    [
        (["9DC858229FC7DD38854AE2D88D81803C0EBFCD88"], True),
        (["9DC858229FC7DD38854AE2D88D81803C0EBFCD89"], False),
        (["9DC858229FC7DD38854AE2D88D81803C0EBFCD88", "0" * 40], False),
        ([], False),
    ],
)
def test_repository_of_docker_is_only_used_with_dockers_own_key(
    tmp_path: Path, keys: list[str], accepted: bool
) -> None:
    listing = "".join(
        f"pub:-:4096:1:x:::\nfpr:::::::::{key}:\nsub:-:4096:1:y:::\nfpr:::::::::{'1' * 40}:\n" for key in keys
    )
    (tmp_path / "listing").write_text(listing)
    done = bash(
        f"""
        {steps_with_apt_files_in(tmp_path)}
        download() {{ touch "$2"; }}
        gpg() {{ cat {tmp_path}/listing; }}
        apt_install() {{ :; }}
        dpkg() {{ :; }}
        umask 077
        install_docker_ce debian || echo refused
        """
    )
    assert done.endswith("refused") is not accepted
    assert (tmp_path / "docker.sources").exists() is accepted
    if accepted:
        modes = [(tmp_path / f"docker.{name}").stat().st_mode & 0o777 for name in ("sources", "asc")]
        assert modes == [0o644, 0o644], "apt's programs for every user read them"


def test_log_of_an_engine_without_an_init_system_is_kept_for_one_more_start(tmp_path: Path) -> None:
    """Nothing rotates it."""
    (tmp_path / "dockerd").write_text("#!/bin/sh\nread -r line <number; echo start $line\n")
    (tmp_path / "dockerd").chmod(0o755)
    start = f"cd {tmp_path}; PATH={tmp_path}:$PATH; start() {{ echo $1 >number; run_dockerd; wait $pid; }}"
    assert bash(f"{steps_with_apt_files_in(tmp_path)} {start}; start 1; start 2; start 3") == ""
    logs = {path.name: path.read_text() for path in tmp_path.glob("dockerd.log*")}
    assert logs == {"dockerd.log": "start 3\n", "dockerd.log.1": "start 2\n"}


def denied(home: Path, functions: str, error: str) -> None:
    """What set-up says to a user whose engine denies access. `functions` stand in for the machine's own commands."""
    set_up(
        home,
        f"""
        is_root() {{ false; }}
        needs_docker() {{ true; }}
        missing_packages() {{ :; }}
        find_docker() {{ docker_state=denied; }}
        sudo() {{ echo "root is used"; }}
        have() {{ true; }}
        docker_is_snap() {{ false; }}
        docker_socket() {{ echo /run/docker.sock; }}
        system_command=(tools/setup.sh system me)
        {functions}
        ensure_system
        """,
        error,
    )


@pytest.mark.parametrize(
    ("groups", "error"),
    [
        ('[[ $# == 2 ]] && echo "me docker" || echo me', "me is in the group docker, which may use the Docker "),
        # This login has the group, and nothing that root could do here helps.
        ("echo me docker", "may not use the Docker Engine's socket /run/docker.sock (owner and group: root:docker): "),
    ],
)
def test_new_login_is_only_asked_for_if_it_helps(passwd_home: Path, groups: str, error: str) -> None:
    functions = f"id() {{ {groups}; }}; stat() {{ [[ $* == *%U* ]] && echo root:docker || echo docker; }}"
    denied(passwd_home, functions, f"setup: error: {'me ' if error.startswith('may') else ''}{error}")


@pytest.mark.parametrize(("group", "advice"), [("root", '"group": "docker" in'), ("wheel", "add me to the group")])
def test_socket_with_another_group_than_docker_is_named_before_root_is_used(
    passwd_home: Path, group: str, advice: str
) -> None:
    """The group docker, to which root would add the user, gives no permission then."""
    functions = f"id() {{ echo me; }}; stat() {{ [[ $* == *%U* ]] && echo root:{group} || echo {group}; }}"
    denied(passwd_home, functions, advice)
    denied(passwd_home, f"{functions}; set_up_system() {{ exit 3; }}", f"root:{group}")
    denied(passwd_home, f"{functions}; docker_is_snap() {{ true; }}", "sudo snap restart docker")


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ("Cannot connect to the Docker daemon at unix:///run/docker.sock. Is the docker daemon running?", "stopped"),
        ("failed to connect to the docker API at unix:///run/docker.sock; check if the path is correct", "stopped"),
        ("error during connect: dial unix /run/docker.sock: connect: connection refused", "stopped"),
        ("Error response from daemon: client version 1.41 is too old. Minimum supported API version is 1.44", None),
        ("no answer in 20 seconds", "stopped"),  # one that starts with the first request needs longer after a boot
        ("", "stopped"),
    ],
)
def test_engine_that_answers_with_an_error_is_not_started_again(
    passwd_home: Path, answer: str, state: str | None
) -> None:
    steps = f"""
        have() {{ true; }}
        docker() {{ if [[ $1 == context ]]; then echo default; else false; fi; }}
        timeout() {{
          [[ $* == *version\\ --format* ]] || return 0
          [[ "{answer}" != no\\ answer* ]] || return 124
          echo "{answer}" >&2
          return 1
        }}
        set_up_system() {{ echo $docker_state; exit 0; }}
        needs_docker() {{ true; }}
        missing_packages() {{ :; }}
        is_root() {{ true; }}
        ensure_system
        """
    refusal = "" if state else f"setup: error: the Docker Engine does not work: {answer}"
    assert set_up(passwd_home, steps, error=refusal) == (state or "")


@pytest.mark.parametrize(
    ("folder", "script", "error"),
    [
        ("bin", "echo podman version 4.3.1", "setup: error: the command docker is Podman's ({folder}/docker)"),
        (
            "bin",
            # Docker's own client, with Podman's socket
            "case $* in *Components*) echo Podman Engine; echo Conmon ;; *) echo 5.4.2 ;; esac",
            "setup: error: the command docker uses Podman's engine, with which the stack does not run: unset",
        ),
        (
            "snap/bin",
            "echo 'Cannot connect to the Docker daemon' >&2; exit 1",
            "setup: error: Docker's snap is installed, but does not run: ",
        ),
    ],
)
def test_podman_and_a_stopped_snap_are_named_instead_of_a_second_engine_installed(
    passwd_home: Path, monkeypatch: pytest.MonkeyPatch, folder: str, script: str, error: str
) -> None:
    command = passwd_home / folder / "docker"
    command.parent.mkdir(parents=True)
    command.write_text(f"#!/bin/sh\n[ $1 = context ] && echo default && exit\n{script}\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(command.parent), prepend=os.pathsep)
    set_up(passwd_home, "find_docker; echo $docker_state >&2; exit 1", error.format(folder=command.parent))


@pytest.mark.parametrize("host", ["", "unix:///run/user/1000/docker.sock"])
def test_engine_without_a_client_on_path_is_named_instead_of_a_second_one_installed(
    passwd_home: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """As cron and sudo run set-up, if the client is in a folder of the person's own."""
    socket = host.removeprefix("unix://") or "/run/docker.sock"
    (passwd_home.parent / "curl").write_text(f"#!/bin/sh\ncase $* in *{socket}*/_ping) ;; *) exit 7 ;; esac\n")
    (passwd_home.parent / "curl").chmod(0o755)
    if host:
        monkeypatch.setenv("DOCKER_HOST", host)
    steps = """
        have() { [[ $1 != docker && $1 != dockerd ]]; }
        needs_docker() { true; }
        missing_packages() { :; }
        install_docker() { echo "a second engine" >&2; exit 1; }
        """
    error = f"setup: error: there is a Docker Engine at {host or socket}, but its client, the command docker, is not on"
    for root in ("true", "false"):
        done = f"{steps} is_root() {{ {root}; }}; system_command=(x); ensure_system"
        set_up(passwd_home, done, error)
    set_up(passwd_home, f"{steps} set_up_system me", error)


def test_client_without_an_answer_is_of_an_engine_that_runs(passwd_home: Path) -> None:
    """Wherever its program is: another engine is not installed."""
    steps = """
        have() { [[ $1 != dockerd ]]; }
        docker() { echo default; }
        timeout() { [[ $* != *version\\ --format* ]] || return 124; }
        find_docker
        echo $docker_state
        """
    assert set_up(passwd_home, steps) == "failing"


@pytest.mark.parametrize("program", ["source tools/env.sh; id", "tools/setup.sh wrong || true"])
def test_commands_that_cron_and_sudo_leave_out_of_path_are_found(
    passwd_home: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    """Docker's own client or the snap's: set-up would install a second engine."""
    id_ = shutil.which("id")
    (passwd_home.parent / "id").write_text(f'#!/bin/sh\necho "$PATH" >{passwd_home}/path\nexec {id_} "$@"\n')
    (passwd_home.parent / "id").chmod(0o755)
    monkeypatch.setenv("PATH", f"{passwd_home.parent}:/usr/bin:/bin")
    bash(f"({program}) >/dev/null 2>&1")
    assert {"/usr/local/bin", "/snap/bin"} <= set((passwd_home / "path").read_text().strip().split(":"))


def test_no_proxy_includes_this_machine_if_a_proxy_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sourced("no_proxy") == ""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    assert sourced("no_proxy") == sourced("NO_PROXY") == "localhost,127.0.0.1"
    monkeypatch.setenv("NO_PROXY", ".example.com")
    assert sourced("no_proxy") == ".example.com,localhost,127.0.0.1"
    monkeypatch.setenv("no_proxy", "localhost,127.0.0.1,10.0.0.1")
    assert sourced("no_proxy") == sourced("NO_PROXY") == "localhost,127.0.0.1,10.0.0.1,.example.com"
    monkeypatch.setenv("NO_PROXY", "*")
    assert sourced("no_proxy") == sourced("NO_PROXY") == "*"


@pytest.mark.parametrize("name", ["http_proxy", "https_proxy"])
def test_proxy_in_upper_case_is_exported_in_lower_case_too(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """apt, which bootstraps the base image as well, reads only lower case."""
    assert sourced(name) == ""
    monkeypatch.setenv(name.upper(), "http://me:a'b$c@proxy:3128")
    assert sourced(name) == "http://me:a'b$c@proxy:3128"
    monkeypatch.setenv(name, "http://other")
    assert sourced(name) == "http://other"


@pytest.mark.skipif(shutil.which("docker") is None, reason="needs Docker's client, not its engine")
@pytest.mark.parametrize("host", ["unix:///run/user/1000/docker.sock", "ssh://a@b", "tcp://10.0.0.5:2376"])
def test_docker_host_follows_the_docker_context(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, host: str) -> None:
    """Including a remote engine, which preflight then rejects."""
    assert sourced("DOCKER_HOST") == ""
    subprocess.run(
        ["docker", "context", "create", "other", "--docker", f"host={host}"], check=True, capture_output=True
    )
    assert sourced("DOCKER_HOST") == ""
    monkeypatch.setenv("DOCKER_CONTEXT", "other")
    assert (sourced("DOCKER_HOST"), sourced("DOCKER_CONTEXT")) == (host, "")
    monkeypatch.delenv("DOCKER_CONTEXT")
    subprocess.run(["docker", "context", "use", "other"], check=True, capture_output=True)
    assert json.loads((tmp_path / "config.json").read_text())["currentContext"] == "other"
    assert sourced("DOCKER_HOST") == host


def test_docker_host_takes_precedence_over_the_docker_context(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"currentContext": "other"}))
    monkeypatch.setenv("DOCKER_HOST", "unix:///mine.sock")
    assert sourced("DOCKER_HOST") == "unix:///mine.sock"
    monkeypatch.setenv("DOCKER_CONTEXT", "other")
    assert sourced("DOCKER_HOST") == "unix:///mine.sock"
    assert sourced("DOCKER_CONTEXT") == "", "Pulumi's Docker provider would use it in place of DOCKER_HOST"


@pytest.mark.parametrize(
    ("host", "kept"), [(None, False), ("unix:///run/user/1000/docker.sock", False), ("tcp://localhost:2376", True)]
)
@pytest.mark.parametrize("name", ["DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"])
def test_tls_settings_of_another_engine_are_not_used_for_a_local_socket(
    monkeypatch: pytest.MonkeyPatch, host: str | None, kept: bool, name: str
) -> None:
    """As `minikube docker-env` sets them, if only DOCKER_HOST was unset."""
    if host:
        monkeypatch.setenv("DOCKER_HOST", host)
    monkeypatch.setenv(name, "1")
    assert sourced(name) == ("1" if kept else "")
