"""The databases' images run as the chart runs them: as their user, with what they are given."""

from __future__ import annotations

import json
import subprocess
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from rehearsal.errors import RehearsalError
from rehearsal.images import databases
from rehearsal.images.debian import DebianFiles
from rehearsal.images.oci import Image
from tests.rehearsal.images.test_catalog import find
from tests.rehearsal.images.unpack import unpack

Run = Callable[..., str]

# A container's world: its own network, host name, mounts and processes, and user 999.
_ALONE = ["unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "--kill-child"]
_CONTAINER = """
set -e
ip link set lo up
hostname "$1"
mount --make-rprivate /
mkdir -p "$2/dev" "$2/proc"
mount --bind /dev "$2/dev"
mount -t proc proc "$2/proc"
root=$2
shift 2
exec chroot --userspec=999:999 "$root" "$@"
"""


def container(image: Image, folder: Path, *interpreter: str) -> Run:
    """Runs scripts in the image, with its environment; by the shell unless told otherwise."""
    root = unpack(image, folder)
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n127.0.0.1 box-0\n")

    def run(script: str, **environment: str) -> str:
        done = subprocess.run(
            [
                *_ALONE,
                "--",
                "sh",
                "-c",
                _CONTAINER,
                "sh",
                "box-0",
                str(root),
                *(interpreter or ("sh", "-ec")),
                script,
            ],
            env={
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                "HOME": "/tmp",
                **image.environment,
                **environment,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, f"{script}: {done.stdout} {done.stderr}"
        return done.stdout

    return run


@pytest.fixture(scope="module")
def postgresql(debian: DebianFiles, tmp_path_factory: pytest.TempPathFactory) -> Run:
    image = find(databases.images(debian), "/postgres:")
    return container(image, tmp_path_factory.mktemp("postgres"))


def test_postgresql_is_made_once_and_keeps_what_is_written(postgresql: Run) -> None:
    script = """
    mkdir -p /tmp/pg && umask 077 && printf %s "it's \\"secret\\"" > /tmp/password
    serve() {
      docker-entrypoint.sh -c unix_socket_directories=/tmp "$@" > /tmp/log 2>&1 &
      until pg_isready -q -h /tmp -U app -d shop; do kill -0 $! || { cat /tmp/log; exit 1; }; done
    }
    ask() { PGPASSWORD="$(cat /tmp/password)" psql -qtA -h 127.0.0.1 -U app -d shop -c "$1"; }
    serve
    ask 'CREATE TABLE kept AS SELECT 42 AS answer'
    kill $! && wait $! || true
    serve
    ask 'SELECT answer FROM kept'
    ask 'SHOW data_checksums'
    ask "SELECT datlocprovider::text || ' ' || datlocale FROM pg_database WHERE datname = 'shop'"
    pg_dump -h /tmp -U app shop | grep -c 'TABLE public.kept'
    PGPASSWORD=wrong psql -h 127.0.0.1 -U app -d shop -c '' 2>&1 | grep -o 'password auth.* failed'
    kill $! && wait $! || true
    """
    said = postgresql(
        script,
        PGDATA="/tmp/pg/data",
        POSTGRES_USER="app",
        POSTGRES_DB="shop",
        POSTGRES_PASSWORD_FILE="/tmp/password",
        POSTGRES_INITDB_ARGS="--data-checksums --auth-host=scram-sha-256 "
        "--locale-provider=builtin --locale=C.UTF-8",
    )
    assert said.split("\n")[:3] == ["42", "on", "b C.UTF-8"]
    assert "password authentication" in said


def test_postgresql_killed_while_it_is_made_is_made_anew(postgresql: Run) -> None:
    script = """
    mkdir -p "$PGDATA.new" && echo 17 > "$PGDATA.new/PG_VERSION"
    docker-entrypoint.sh postgres --version && test -s "$PGDATA/PG_VERSION"
    """
    said = postgresql(script, PGDATA="/tmp/half/data", POSTGRES_PASSWORD="secret")
    assert "postgres (PostgreSQL) 17." in said


def test_postgresql_is_not_made_without_a_password(postgresql: Run) -> None:
    script = "! docker-entrypoint.sh 2>&1 && ! test -e /tmp/none"
    assert "POSTGRES_PASSWORD_FILE" in postgresql(script, PGDATA="/tmp/none")


def test_rabbitmq_serves_as_its_configuration_says(debian: DebianFiles, tmp_path: Path) -> None:
    image = find(databases.images(debian), "/rabbitmq:")
    run = container(image, tmp_path)
    configuration = tmp_path / "root/etc/rabbitmq"
    (configuration / "conf.d").mkdir(parents=True)
    (configuration / "rabbitmq.conf").write_text("log.console = true\nlog.file = false\n")
    (configuration / "conf.d/20-user.conf").write_text("default_user = app\ndefault_pass = p\n")
    (configuration / "enabled_plugins").write_text("[rabbitmq_prometheus].\n")
    script = """
    rabbitmq-server > /tmp/log 2>&1 &
    until rabbitmqctl -q await_startup 2> /dev/null; do
      kill -0 $! || { cat /tmp/log; exit 1; }
    done
    rabbitmqctl -q authenticate_user app p
    rabbitmqctl -q list_users --formatter json
    rabbitmq-diagnostics -q check_port_listener 15692
    kill $! && wait $! || true
    """
    said = run(script)
    assert '"app"' in said and "guest" not in said


def test_curl_image_has_what_makes_passwords(debian: DebianFiles, tmp_path: Path) -> None:
    run = container(find(databases.images(debian), "/curl:"), tmp_path)
    said = run("head -c 24 /dev/urandom | base64 | tr '+/' '-_'; curl --version | head -1")
    assert len(said.splitlines()[0]) == 32
    assert databases.CURL_VERSION in said


def test_aws_cli_reaches_an_endpoint_and_knows_s3(debian: DebianFiles, tmp_path: Path) -> None:
    run = container(find(databases.images(debian), "/aws-cli:"), tmp_path, "python3", "-c")
    script = """
    import subprocess
    command = ["aws", "s3", "cp", "/etc/passwd", "s3://bucket/key", "--only-show-errors"]
    print(subprocess.run(command, capture_output=True, text=True).stderr)
    """
    code = textwrap.dedent(script)
    said = run(
        code,
        AWS_ENDPOINT_URL="http://127.0.0.1:9",
        AWS_ACCESS_KEY_ID="a",
        AWS_SECRET_ACCESS_KEY="a",
        AWS_REGION="ap-northeast-2",
    )
    assert "Could not connect to the endpoint URL" in said


def test_other_version_than_the_tag_says_is_refused(debian: DebianFiles, tmp_path: Path) -> None:
    known = json.loads((debian.root / "versions.json").read_text())
    (tmp_path / "versions.json").write_text(json.dumps({**known, "rabbitmq-server": "4.9.9-1"}))
    for name in ("usr", "etc"):
        (tmp_path / name).symlink_to(debian.root / name)
    with pytest.raises(RehearsalError, match=r"rabbitmq-server is 4\.9\.9 now, not 4\.0\.5"):
        databases.images(DebianFiles(tmp_path))
