"""Which images the rehearsal serves, at the names and tags that upstream and the program use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from rehearsal.errors import RehearsalError
from rehearsal.images import addons, databases
from rehearsal.images.debian import DebianFiles
from rehearsal.images.oci import Directory, Entry, File, Image, Link, layer
from rehearsal.images.parts import TMP, account, scripts

KUBERNETES_VERSION = "1.34.4"
ETCD_VERSION = "3.6.5"
PAUSE_VERSION = "3.10.1"
COREDNS_VERSION = "1.14.3"
ARGOCD_VERSION = "3.2.1"
REDIS_VERSION = "8.0.2"
SERVICE_VERSION = "v1.0.0"
NEXT_SERVICE_VERSION = "v1.0.1"  # the same program, to be rolled out later
SERVICES = ("auth", "my", "scan", "character", "location", "info", "chat", "storage", "ai")
NEW_SERVICE = "shop"  # of a domain that is not there yet
_SERVICE_BUILDS = (
    *((name, version) for version in (SERVICE_VERSION, NEXT_SERVICE_VERSION) for name in SERVICES),
    (NEW_SERVICE, SERVICE_VERSION),
)

CNI = "rehearsal.test/cni:1"
BUSYBOX = "rehearsal.test/busybox:1"
REDIS = f"docker.io/library/redis:{REDIS_VERSION}"

Binaries = Mapping[str, Path]
_HERE = Path(__file__).parent
_AGENT = _HERE.parent / "cni" / "agent.sh"

CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
# kubeadm reads etcd's and Kubernetes' own programs by name, so the file names are upstream's.
NEEDED = {
    "kubernetes": (*CONTROL_PLANE, "kube-proxy", "etcd", "etcdctl", "coredns", "pause"),
    "argocd": ("argocd", "helm", "kustomize"),
    "services": ("service",),
    "databases": (),
    "addons": addons.NEEDED,
}
GROUPS = tuple(NEEDED)

# Names, separated by blanks.
_BUSYBOX_APPLETS = """
[ awk basename cat chmod cp cut date df dirname du echo env false find free grep gunzip gzip head
hostname httpd id kill ln ls md5sum mkdir mktemp mv nc netstat nslookup ping printf ps pwd
readlink realpath rm route sed seq sha256sum sleep sort stat tail tar tee test touch tr
traceroute true uname uniq vi wc wget which whoami xargs yes
"""
_ARGOCD_PROGRAMS = """
basename cat chmod cp cut dash date dirname echo env false git gpg gpg-agent gpg-connect-agent
gpgconf grep gzip head id ln ls mkdir mktemp mv readlink rm rmdir sed sleep sort ssh ssh-keygen stat
tail tar test tini touch tr true uname wc whoami
"""
_GIT_HELPERS = ("remote-http", "sh-i18n", "sh-i18n--envsubst", "sh-setup", "submodule")
_ARGOCD_COMPONENTS = """
application-controller applicationset-controller cmp-server commit-server dex k8s-auth notifications
repo-server server
"""


def images(group: str, binaries: Binaries, debian: Callable[[], DebianFiles]) -> tuple[Image, ...]:
    """The images of one of GROUPS; `debian` is called only when its files are needed.

    Raises RehearsalError when a binary the group needs is not among `binaries`.
    """
    missing = [name for name in NEEDED[group] if name not in binaries]
    if missing:
        raise RehearsalError(
            f"The {group} images need {', '.join(missing)}, not built yet; build the tools first."
        )
    match group:
        case "kubernetes":
            return (*_kubernetes(binaries), *_nodes(binaries, debian()))
        case "argocd":
            return (_argocd(binaries, debian()), _redis(debian()))
        case "databases":
            return databases.images(debian())
        case "addons":
            return addons.images(binaries)
        case _:
            return tuple(_service(*each, binaries) for each in _SERVICE_BUILDS)


def references() -> frozenset[str]:
    """Full names with tags of all images of all groups."""
    kubernetes = (*CONTROL_PLANE, "kube-proxy")
    return frozenset(
        {
            *(f"registry.k8s.io/{name}:v{KUBERNETES_VERSION}" for name in kubernetes),
            f"registry.k8s.io/etcd:{ETCD_VERSION}-0",
            f"registry.k8s.io/pause:{PAUSE_VERSION}",
            f"registry.k8s.io/coredns/coredns:v{COREDNS_VERSION}",
            f"quay.io/argoproj/argocd:v{ARGOCD_VERSION}",
            *(_service_reference(*each) for each in _SERVICE_BUILDS),
            CNI,
            BUSYBOX,
            REDIS,
            *databases.REFERENCES,
            *addons.REFERENCES,
        }
    )


def _kubernetes(binaries: Binaries) -> list[Image]:
    kubernetes = [
        Image(f"registry.k8s.io/{name}:v{KUBERNETES_VERSION}", (_local_bin(binaries, name),))
        for name in CONTROL_PLANE
    ]
    return [
        *kubernetes,
        Image(f"registry.k8s.io/etcd:{ETCD_VERSION}-0", (_local_bin(binaries, "etcd", "etcdctl"),)),
        Image(
            f"registry.k8s.io/pause:{PAUSE_VERSION}",
            (layer([File("pause", binaries["pause"])]),),
            entrypoint=("/pause",),
            user="65535:65535",
        ),
        Image(
            f"registry.k8s.io/coredns/coredns:v{COREDNS_VERSION}",
            (layer([File("coredns", binaries["coredns"])]),),
            entrypoint=("/coredns",),
        ),
    ]


def _nodes(binaries: Binaries, debian: DebianFiles) -> list[Image]:
    """What every node runs. The network tools are one layer of two images, pulled once a host."""
    network = layer([*_network_tools(debian), TMP])
    # Not busybox's own shell: that runs busybox's `ip` whatever PATH says.
    shell = (*debian.programs("usr/bin/dash"), Link("usr/bin/sh", "dash"))
    programs = debian.programs("usr/bin/curl", "usr/bin/jq")
    tools = layer(programs, shell, _busybox(debian)) - network
    plugins = (
        File(f"opt/cni/bin/{Path(name).name}", debian.root / name)
        for plugin in ("bridge", "host-local", "loopback", "portmap")
        for name in debian.names(f"usr/lib/cni/{plugin}")
    )
    agent = File("usr/local/bin/agent", _AGENT.read_bytes())
    links = (Link("usr/bin/sh", "busybox"), Link("usr/bin/ip", "busybox"))
    return [
        Image(
            f"registry.k8s.io/kube-proxy:v{KUBERNETES_VERSION}",
            (network, _local_bin(binaries, "kube-proxy")),
        ),
        Image(
            CNI,
            (network, layer(tools, plugins), layer([agent])),
            entrypoint=("/usr/local/bin/agent",),
        ),
        Image(BUSYBOX, (layer(_busybox(debian), links, [TMP]),), command=("sh",)),
    ]


def _network_tools(debian: DebianFiles) -> list[Entry]:
    iptables = [
        Link(f"usr/sbin/{family}{action}", "xtables-nft-multi")
        for family in ("iptables", "ip6tables")
        for action in ("", "-save", "-restore")
    ]
    programs = ("nft", "conntrack", "ipset", "xtables-nft-multi", "bridge")
    return [
        *debian.programs(
            "usr/bin/ip",
            *(f"usr/sbin/{name}" for name in programs),
            *debian.names("usr/lib/*/xtables/*.so"),
        ),
        *iptables,
        Link("usr/sbin/ip", "../bin/ip"),
    ]


def _busybox(debian: DebianFiles) -> list[Entry]:
    applets = [
        Link(f"usr/bin/{name}", "busybox") for name in _BUSYBOX_APPLETS.split() if name != "ip"
    ]
    return [*debian.programs("usr/bin/busybox"), *applets]


def _argocd(binaries: Binaries, debian: DebianFiles) -> Image:
    home = Directory("home/argocd", mode=0o775, uid=999)
    system: list[Entry] = [
        *debian.programs(
            *(f"usr/bin/{name}" for name in _ARGOCD_PROGRAMS.split()),
            *(f"usr/lib/git-core/git-{name}" for name in _GIT_HELPERS),
        ),
        Link("usr/lib/git-core/git", "../../bin/git"),
        Link("usr/lib/git-core/git-remote-https", "git-remote-http"),
        *(Link(f"usr/bin/git-{name}", "git") for name in ("upload-pack", "receive-pack")),
        Directory("usr/share/git-core/templates"),
        Link("usr/bin/sh", "dash"),
        File("etc/ssl/certs/ca-certificates.crt", debian.certificates(), mode=0o644),
        *account("argocd", "/home/argocd"),
        home,
        TMP,
        # Where the pods' ConfigMaps and the key ring are mounted.
        File("app/config/ssh/ssh_known_hosts", b"", mode=0o644),
        Link("etc/ssh/ssh_known_hosts", "/app/config/ssh/ssh_known_hosts"),
        Directory("app/config/tls"),
        Directory("app/config/gpg/source"),
        Directory("app/config/gpg/keys", mode=0o700, uid=999),
        *scripts("argocd"),
        Link("usr/local/bin/uid_entrypoint.sh", "entrypoint.sh"),
    ]
    components = [
        Link(f"usr/local/bin/argocd-{name}", "argocd") for name in _ARGOCD_COMPONENTS.split()
    ]
    return Image(
        f"quay.io/argoproj/argocd:v{ARGOCD_VERSION}",
        (
            layer(system),
            _local_bin(binaries, "helm", "kustomize"),
            layer(_local_bin(binaries, "argocd"), components),
        ),
        entrypoint=("/usr/bin/tini", "--"),
        environment={"USER": "argocd", "ARGOCD_USER_ID": "999"},
        user="999",
        workdir="/home/argocd",
    )


def _redis(debian: DebianFiles) -> Image:
    if (version := debian.version("redis-server")) != REDIS_VERSION:
        raise RehearsalError(
            f"Debian's Redis is {version} now, not {REDIS_VERSION}; set REDIS_VERSION in "
            "rehearsal/images/catalog.py and the rehearsal stack's redis_image to it."
        )
    programs = debian.programs(*(f"usr/bin/{n}" for n in ("redis-server", "redis-cli", "dash")))
    return Image(
        REDIS,
        (
            layer(
                programs,
                account("redis", "/data"),
                scripts("redis"),
                [Link("usr/bin/sh", "dash"), Directory("data", uid=999, gid=999), TMP],
            ),
        ),
        entrypoint=("docker-entrypoint.sh",),
        command=("redis-server",),
        user="999",
        workdir="/data",
    )


def _service(name: str, version: str, binaries: Binaries) -> Image:
    return Image(
        _service_reference(name, version),
        (layer([File("service", binaries["service"])]),),
        entrypoint=("/service",),
        environment={"SERVICE_NAME": name, "SERVICE_VERSION": version},
        user="65532:65532",
    )


def _service_reference(name: str, version: str) -> str:
    return f"ghcr.io/sesacthon/{name}:{version}"


def _local_bin(binaries: Binaries, *names: str) -> frozenset[Entry]:
    return layer([TMP], [File(f"usr/local/bin/{name}", binaries[name]) for name in names])
