"""The images of the databases, and of what makes and keeps their credentials and backups."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rehearsal.errors import RehearsalError
from rehearsal.images.debian import DebianFiles
from rehearsal.images.oci import Directory, Entry, File, Image, Link, layer
from rehearsal.images.parts import TMP, account, scripts

# Debian follows PostgreSQL's minor releases, so the tag names the major one and Debian's release,
# as the official image's floating tags do.
POSTGRESQL_MAJOR = "17"
RABBITMQ_VERSION = "4.0.5"
CURL_VERSION = "8.14.1"
AWS_CLI_VERSION = "2.23.6"

POSTGRESQL = f"docker.io/library/postgres:{POSTGRESQL_MAJOR}-trixie"
RABBITMQ = f"docker.io/library/rabbitmq:{RABBITMQ_VERSION}"
CURL = f"docker.io/curlimages/curl:{CURL_VERSION}"
AWS_CLI = f"public.ecr.aws/aws-cli/aws-cli:{AWS_CLI_VERSION}"
REFERENCES = frozenset({POSTGRESQL, RABBITMQ, CURL, AWS_CLI})

_POSTGRESQL_PROGRAMS = "cat chmod dash date grep id ls mkdir mktemp mv rm sed sleep"
_RABBITMQ_PROGRAMS = """
basename cat dash date df dirname env expr grep id ls mkdir mv readlink rm sed sleep sort stat uname
"""
_CURL_PROGRAMS = "base64 cat curl dash date head ls rm sleep tr"
_C_LOCALE = "usr/lib/locale/C.utf8"


def images(debian: DebianFiles) -> tuple[Image, ...]:
    """All of REFERENCES. Raises RehearsalError when Debian's versions are not the tags'."""
    return (_postgresql(debian), _rabbitmq(debian), _curl(debian), _aws_cli(debian))


def _postgresql(debian: DebianFiles) -> Image:
    home = f"usr/lib/postgresql/{POSTGRESQL_MAJOR}"
    _check(debian, f"postgresql-{POSTGRESQL_MAJOR}", f"{POSTGRESQL_MAJOR}.", "POSTGRESQL_MAJOR")
    # just-in-time compilation would bring all of LLVM
    libraries = [name for name in debian.names(f"{home}/lib/*.so") if "llvmjit" not in name]
    share = f"usr/share/postgresql/{POSTGRESQL_MAJOR}"
    return Image(
        POSTGRESQL,
        (
            layer(
                debian.programs(*debian.names(f"{home}/bin/*"), *libraries),
                _programs(debian, _POSTGRESQL_PROGRAMS),
                debian.tree(share, without=("man",)),
                debian.tree(_C_LOCALE),
                debian.tree("usr/share/zoneinfo", without=("right",)),
                account("postgres", "/var/lib/postgresql"),
                scripts("postgres"),
                [TMP, Directory("var/run/postgresql", mode=0o3777, uid=999, gid=999)],
                [Directory("var/lib/postgresql/data", mode=0o1777, uid=999, gid=999)],
            ),
        ),
        entrypoint=("docker-entrypoint.sh",),
        command=("postgres",),
        environment={
            "PATH": f"{_PATH}:/{home}/bin",
            "LANG": "C.UTF-8",
            "PGDATA": "/var/lib/postgresql/data",
        },
        user="999",
    )


def _rabbitmq(debian: DebianFiles) -> Image:
    _check(debian, "rabbitmq-server", RABBITMQ_VERSION, "RABBITMQ_VERSION")
    home = f"usr/lib/rabbitmq/lib/rabbitmq_server-{RABBITMQ_VERSION}"
    erlang = debian.tree("usr/lib/erlang", without=("src", "include", "man", "doc", "examples"))
    programs = _programs(debian, _RABBITMQ_PROGRAMS)
    return Image(
        RABBITMQ,
        (
            layer(
                _linked(debian, erlang),
                programs,
                [Link(f"usr/bin/{name}", f"../lib/erlang/bin/{name}") for name in _ERLANG],
            ),
            layer(
                debian.tree(home),
                debian.tree(_C_LOCALE),
                account("rabbitmq", "/var/lib/rabbitmq"),
                [Link("opt/rabbitmq", f"../{home}"), TMP],
                [Directory("var/lib/rabbitmq", mode=0o777, uid=999, gid=999)],
                [Directory("var/log/rabbitmq", mode=0o777, uid=999, gid=999)],
            ),
        ),
        command=("rabbitmq-server",),
        environment={
            "PATH": f"/opt/rabbitmq/sbin:{_PATH}",
            "HOME": "/var/lib/rabbitmq",
            "LANG": "C.UTF-8",
        },
        user="999",
    )


def _curl(debian: DebianFiles) -> Image:
    _check(debian, "curl", CURL_VERSION, "CURL_VERSION")
    certificates = File("etc/ssl/certs/ca-certificates.crt", debian.certificates(), mode=0o644)
    return Image(
        CURL,
        (layer(_programs(debian, _CURL_PROGRAMS), account("curl_user", "/"), [certificates, TMP]),),
        entrypoint=("curl",),
        user="999",
    )


def _aws_cli(debian: DebianFiles) -> Image:
    _check(debian, "awscli", AWS_CLI_VERSION, "AWS_CLI_VERSION")
    packages = debian.tree("usr/lib/python3", without=("examples", "topics", "__pycache__"))
    python = Path(debian.names("usr/bin/python3.*[0-9]")[0]).name
    standard = debian.tree(f"usr/lib/{python}", without=("__pycache__",))
    return Image(
        AWS_CLI,
        (
            layer(
                _linked(debian, [*packages, *standard]),
                debian.programs(
                    f"usr/bin/{python}",
                    "usr/bin/aws",
                    *debian.names("usr/lib/*/ossl-modules/legacy.so"),  # loaded by name
                ),
                [Link("usr/bin/python3", python), Link("usr/local/bin/aws", "../../bin/aws")],
                debian.tree(_C_LOCALE),
                account("aws", "/"),
                [TMP],
            ),
        ),
        entrypoint=("/usr/local/bin/aws",),
        environment={"LANG": "C.UTF-8"},
        workdir="/",
    )


_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ERLANG = ("erl", "erlc", "escript", "epmd")


def _programs(debian: DebianFiles, names: str) -> Iterable[Entry]:
    """Programs of /usr/bin, dash as the shell."""
    return [*debian.programs(*(f"usr/bin/{n}" for n in names.split())), Link("usr/bin/sh", "dash")]


def _linked(debian: DebianFiles, tree: Iterable[Entry]) -> Iterable[Entry]:
    """A tree, and the libraries of what is ELF in it."""
    entries = {entry.path: entry for entry in tree}
    binaries = [entry.path for entry in entries.values() if _is_elf(entry)]
    return (entries | {entry.path: entry for entry in debian.programs(*binaries)}).values()


def _is_elf(entry: Entry) -> bool:
    if not isinstance(entry, File) or not isinstance(entry.source, Path):
        return False
    with entry.source.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def _check(debian: DebianFiles, package: str, wanted: str, constant: str) -> None:
    version = debian.version(package)
    if not version.startswith(wanted):
        raise RehearsalError(
            f"Debian's {package} is {version} now, not {wanted}; set {constant} in "
            "rehearsal/images/databases.py and the tag in the chart's values to it."
        )
