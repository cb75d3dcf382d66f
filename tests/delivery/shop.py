"""A runner: a snapshot of this checkout with a small program, the real engine, AWS by moto.

The state is in moto's S3 and its secrets are encrypted by moto's KMS, as an environment's are.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Any

import boto3
import yaml

from rehearsal.paths import CHECKOUT, Paths
from tests.rehearsal.moto_server import moto_server
from tests.rehearsal.plugins.harness import BIN

TOOLS = Paths().tools / "bin"
REGION = "ap-northeast-2"
STATE, OBJECTS = "shop-state", "shop-objects"
PROVIDER = f"awskms://alias/shop-secrets?region={REGION}"
IMAGE = "ami-12c6146b"  # one of those that moto knows by itself
LIMIT_S = 300

PROGRAM = '''
    """One address a layer, and nodes and secrets as the stack's own configuration has them."""

    from pathlib import Path

    import pulumi
    import pulumi_aws as aws

    from infra.provider import aws_provider
    from settings import environment, load
    from settings.check import resolve

    project, stack = Path(__file__).resolve().parent, pulumi.get_stack()
    settings, whole = load(project, stack), environment(project, stack)
    config = pulumi.Config("shop")
    provider = aws_provider(settings, whole.name)
    token = config.get_secret("token") or pulumi.Output.secret("")
    private_key = resolve(project, settings.ssh.private_key_file).read_text()

    if (gate := config.get("gate")) and not pulumi.runtime.is_dry_run():
        Path(f"{gate}.reached").touch()
        open(gate).read()  # until somebody opens and closes it

    for layer in whole.stack(stack).layers:
        component = pulumi.ComponentResource(f"groundwork:{layer}:{layer.title()}", layer)
        opts = pulumi.ResourceOptions(parent=component, provider=provider)
        name = config.get("name") or layer
        address = aws.ec2.Eip(layer, domain="vpc", tags={"Name": name}, opts=opts)
        if layer != "infra":
            continue
        for node, given in (config.get_object("nodes") or {}).items():
            aws.ec2.Instance(
                node,
                ami=config.require("image"),
                instance_type=given["type"],
                availability_zone=given["zone"],
                metadata_options=aws.ec2.InstanceMetadataOptionsArgs(http_tokens=given["imds"]),
                root_block_device=aws.ec2.InstanceRootBlockDeviceArgs(
                    volume_type="gp3", volume_size=given["disk"], encrypted=True
                ),
                tags={"Name": node, "Role": given["role"]},
                opts=opts,
            )
        for key, content in (("token", token), ("key", pulumi.Output.secret(private_key))):
            aws.s3.BucketObjectv2(
                key, bucket=config.require("objects"), key=key, content=content, opts=opts
            )
        pulumi.export("token", token)
        pulumi.export("name", name)
        if config.get("broken"):
            raise ValueError("the token is " + config.require("token"))
'''
NODES = {
    "k8s-postgresql": {
        "role": "postgresql",
        "type": "t3.small",
        "zone": f"{REGION}a",
        "disk": 20,
        "imds": "required",
    },
    "k8s-api-auth": {
        "role": "api",
        "type": "t3.small",
        "zone": f"{REGION}a",
        "disk": 20,
        "imds": "required",
    },
}


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    status: int
    out: str
    err: str


@dataclass
class Runner:
    """folder: the snapshot. variables: what the job's environment has besides."""

    folder: Path
    home: Path
    endpoint: str
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """Nothing of the person's own set-up."""
        address = self.endpoint.removeprefix("http://")
        return {
            "PATH": f"{BIN}:{TOOLS}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.home),
            "GROUNDWORK_PYTHON": sys.executable,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
            "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
            "PULUMI_HOME": str(self.home / ".pulumi"),
            "PULUMI_BACKEND_URL": f"s3://{STATE}?region={REGION}&endpoint={address}"
            "&s3ForcePathStyle=true&disable_https=true",
            "PULUMI_SECRETS_PROVIDER": PROVIDER,
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            **self.variables,
        }

    def start(self, *command: str, **variables: str) -> subprocess.Popen[str]:
        """A command in the snapshot, as a job's step runs it."""
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env={**self.environment, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *command: str, **variables: str) -> Done:
        """The same, to its end."""
        process = self.start(*command, **variables)
        try:
            out, err = process.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            raise
        return Done(process.returncode, out, err)

    def make(self, target: str, **variables: str) -> Done:
        """`make TARGET`, with the variables that a workflow sets for it."""
        return self.run("make", "--no-print-directory", target, **variables)

    def pulumi(self, *arguments: str) -> str:
        """The output of a command of the engine that must succeed."""
        done = self.run("pulumi", "--non-interactive", *arguments)
        assert done.status == 0, done.err
        return done.out

    def configure(self, stack: str, **values: Any) -> None:
        """Lays values on the stack's own configuration (shop:…); None takes one away."""
        file = self.folder / f"Pulumi.{stack}.yaml"
        document = yaml.safe_load(file.read_text())
        for key, value in values.items():
            document["config"].pop(f"shop:{key}", None)
            if value is not None:
                document["config"][f"shop:{key}"] = value
        file.write_text(yaml.safe_dump(document, sort_keys=False))

    def client(self, service: str) -> Any:
        """boto3's, of moto."""
        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )


@contextmanager
def runner(folder: Path) -> Iterator[Runner]:
    """A runner whose account has a bucket and a key for state, and nothing else."""
    with moto_server() as endpoint:
        made = Runner(folder / "checkout", folder / "home", endpoint)
        made.home.mkdir()
        snapshot(made.folder)
        (made.folder / "__main__.py").write_text(dedent(PROGRAM).lstrip())
        s3, kms = made.client("s3"), made.client("kms")
        for bucket in (STATE, OBJECTS):
            place = {"LocationConstraint": REGION}
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=place)
        key = kms.create_key()["KeyMetadata"]["KeyId"]
        kms.create_alias(AliasName="alias/shop-secrets", TargetKeyId=key)
        yield made


def snapshot(folder: Path) -> None:
    """What a clone of the working tree would be, with the virtual environment linked."""
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={CHECKOUT}", "ls-files", "-coz", "--exclude-standard"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        source = CHECKOUT / name
        if source.is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    (folder / ".venv").symlink_to(Path(sys.executable).parent.parent)


def stack_file(settings: Mapping[str, Any], **values: Any) -> str:
    """The text of a Pulumi.<stack>.yaml with these settings and values of `shop:`."""
    config = {"groundwork:settings": dict(settings)}
    config |= {f"shop:{key}": value for key, value in values.items()}
    return yaml.safe_dump({"config": config}, sort_keys=False)
