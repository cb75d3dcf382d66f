"""The commands of jobs, on a snapshot as a runner has it, with the real engine."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from delivery.errors import Exit
from tests.delivery.conftest import TOKEN
from tests.delivery.fake_github import fake_github
from tests.delivery.recorded import CASES, GOLDEN, set_up
from tests.delivery.shop import LIMIT_S, OBJECTS, REGION, STATE, Done, Runner
from tests.delivery.test_comment import COMMIT
from tests.rehearsal.netns import until
from tests.rehearsal.plugins.project import needs_engine

LOCKS = ".pulumi/locks/organization/groundwork/shop/"

pytestmark = [needs_engine, pytest.mark.slow]


def delivery(runner: Runner, *arguments: str) -> Done:
    """A command with its own exit code, which `make` does not pass on."""
    return runner.run(".venv/bin/python", "-m", "delivery", *arguments)


def test_a_review_writes_the_comment_and_says_all_of_it(shop: Runner) -> None:
    set_up(shop, CASES["change"])
    done = shop.make("review", ENV="shop", OUT="review/comment.md", COMMIT=COMMIT)
    assert done.status == 0, done.err
    written = (shop.folder / "review/comment.md").read_text()
    assert written == (GOLDEN / "change.md").read_text()
    assert done.out.strip() == written.strip()


def test_a_broken_policy_fails_the_deployment_and_nothing_is_done(shop: Runner) -> None:
    set_up(shop, CASES["policy"])
    before = shop.pulumi("stack", "export", "--stack", "shop")
    done = delivery(shop, "deploy", "shop")
    assert done.status == Exit.FAILED
    assert "imds-v2: Instance 'k8s-api-auth' answers" in done.err
    assert "after 0 changes" in done.err
    assert _resources(shop.pulumi("stack", "export", "--stack", "shop")) == _resources(before)


def _resources(exported: str) -> object:
    return json.loads(exported)["deployment"]["resources"]


def test_drift_is_found_refused_and_put_back(shop: Runner) -> None:
    ec2 = shop.client("ec2")
    addresses = {
        tag["Value"]: each["AllocationId"]
        for each in ec2.describe_addresses()["Addresses"]
        for tag in each["Tags"]
        if tag["Key"] == "Name"
    }
    ec2.create_tags(Resources=[addresses["infra"]], Tags=[{"Key": "Name", "Value": "mine"}])
    ec2.release_address(AllocationId=addresses["gitops"])
    told = [
        "shop: aws:ec2/eip:Eip gitops is gone",
        'tags.Name: "infra" -> "mine"',
        "shop: aws:ec2/eip:Eip infra was changed:",
    ]
    with fake_github() as fake:
        noted = shop.make("drift", ENV="shop", ISSUE="1", **fake.variables)
        assert noted.status == 0, noted.err
        assert all(line in noted.out for line in told), noted.out
        (issue,) = fake.issues
        assert issue["title"] == "Drift: shop" and issue["state"] == "open"
        for text in ("`aws:ec2/eip:Eip` `gitops` is gone", '- `tags.Name`: `"infra"` → `"mine"`'):
            assert text in issue["body"]
        _refused_and_put_back(shop, told, addresses["infra"])
        noted = shop.make("drift", ENV="shop", ISSUE="1", **fake.variables)
        assert noted.status == 0, noted.err
        assert issue["state"] == "closed"


def _refused_and_put_back(shop: Runner, told: list[str], address: str) -> None:
    refused = delivery(shop, "deploy", "shop")
    assert refused.status == Exit.DRIFT
    assert all(line in refused.err for line in told), refused.err
    assert "--accept-drift" in refused.err
    assert _name(shop, address) == "mine"

    accepted = shop.make("deploy", ENV="shop", ACCEPT_DRIFT="1")
    assert accepted.status == 0, accepted.err
    assert _name(shop, address) == "infra"


def _name(runner: Runner, address: str) -> str:
    (found,) = runner.client("ec2").describe_addresses(AllocationIds=[address])["Addresses"]
    return next(str(tag["Value"]) for tag in found["Tags"] if tag["Key"] == "Name")


@contextmanager
def deploying(runner: Runner, gate: Path) -> Iterator[subprocess.Popen[str]]:
    """A deployment whose update has begun and waits; whatever happens, it ends."""
    reached = Path(f"{gate}.reached")
    os.mkfifo(gate)
    runner.configure("shop", gate=str(gate))
    process = runner.start(".venv/bin/python", "-m", "delivery", "deploy", "shop")
    try:
        until(lambda: reached.exists() or process.poll() is not None, LIMIT_S)
        assert process.poll() is None, process.communicate()
        yield process
    finally:
        os.close(os.open(gate, os.O_RDWR | os.O_NONBLOCK))  # lets the program through
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=LIMIT_S)
        reached.unlink(missing_ok=True)
        gate.unlink()
        runner.configure("shop", gate=None)


def holder(runner: Runner) -> int:
    """The process that holds the stack's lock."""
    s3 = runner.client("s3")
    (found,) = s3.list_objects_v2(Bucket=STATE, Prefix=LOCKS)["Contents"]
    lock = json.loads(s3.get_object(Bucket=STATE, Key=found["Key"])["Body"].read())
    return int(lock["pid"])


def test_a_second_deployment_is_told_who_holds_the_state(
    shop: Runner, tmp_path: Path, key_pair: Path
) -> None:
    with deploying(shop, tmp_path / "gate") as first:
        pid = holder(shop)
        second = delivery(shop, "deploy", "shop")
        assert second.status == Exit.LOCKED
        who = f"shop is locked by {_user()}@{socket.gethostname()} (process {pid}) since 20"
        assert who in second.err
        assert "which still runs here. Wait until that process ends." in second.err
        for marker in (TOKEN, *_lines(key_pair)):
            assert marker not in _command_lines()
        first.send_signal(signal.SIGTERM)  # as GitHub cancels a job
        _, err = first.communicate(timeout=LIMIT_S)
        assert first.returncode == Exit.INTERRUPTED, err
        assert "run it again to go on" in err
    # the engine has ended by itself: no lock is left, and nothing half done
    assert "Contents" not in shop.client("s3").list_objects_v2(Bucket=STATE, Prefix=LOCKS)
    assert "pending_operations" not in shop.pulumi("stack", "export", "--stack", "shop")


def test_a_killed_update_leaves_a_lock_that_can_be_cleared(shop: Runner, tmp_path: Path) -> None:
    with deploying(shop, tmp_path / "gate") as first:
        pid = holder(shop)
        os.kill(pid, signal.SIGKILL)
        first.communicate(timeout=LIMIT_S)
        assert first.returncode == Exit.FAILED
    told = delivery(shop, "deploy", "shop")
    assert told.status == Exit.LOCKED
    assert f"(process {pid}) since 20" in told.err
    assert "which is gone from this machine." in told.err
    assert "Traceback" not in told.err
    (command,) = (part for part in told.err.split("`") if part.startswith("pulumi cancel"))
    assert command == "pulumi cancel --yes --stack shop"
    shop.pulumi(*command.split()[1:])
    done = delivery(shop, "deploy", "shop")
    assert done.status == Exit.DONE, done.err


def _user() -> str:
    return subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()


def _lines(key_pair: Path) -> list[str]:
    """What only the private key has: every line of it but the first and the last."""
    return key_pair.read_text().splitlines()[1:-1]


def _command_lines() -> str:
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(file.read_text(errors="replace"))
        except OSError:  # it has ended meanwhile
            continue
    return "\n".join(found)


def test_no_secret_is_in_state_output_or_comment(shop: Runner, key_pair: Path) -> None:
    set_up(shop, CASES["secret"])
    new = CASES["secret"].token or ""
    shop.configure("shop", name="renamed")
    out = "review/comment.md"
    done = [delivery(shop, "preview", "shop", "--out", out), delivery(shop, "deploy", "shop")]
    assert [each.status for each in done] == [0, 0], done
    shop.configure("shop", broken="true")
    done.append(delivery(shop, "preview", "shop"))
    assert done[-1].status == Exit.FAILED and "the token is" in done[-1].out
    objects = shop.client("s3")
    keys = [each["Key"] for each in objects.list_objects_v2(Bucket=OBJECTS)["Contents"]]
    assert {"token", "key"} <= set(keys)  # the secrets have arrived where they belong
    state = objects.list_objects_v2(Bucket=STATE)["Contents"]
    texts = [
        *(each.out + each.err for each in done),
        (shop.folder / out).read_text(),
        shop.pulumi("stack", "export", "--stack", "shop"),
        *(_text(objects, each["Key"]) for each in state),
    ]
    for marker in (TOKEN, new, *_lines(key_pair)):
        assert not [text for text in texts if marker in text], marker


def _text(s3: Any, key: str) -> str:
    return str(s3.get_object(Bucket=STATE, Key=key)["Body"].read().decode(errors="replace"))


def test_an_environment_in_three_stacks_is_made_and_taken_down_in_order(layered: Runner) -> None:
    stacks = ["lay-infra", "lay-cluster", "lay-gitops"]
    first = layered.make("review", ENV="lay")
    assert first.status == 0, first.err
    assert first.out.count("| not deployed yet |") == 3
    refused = delivery(layered, "deploy", "lay")
    assert refused.status == Exit.REFUSED
    assert f"{' and '.join(stacks)} are not in the backend" in refused.err

    files = {name: (layered.folder / f"Pulumi.{name}.yaml").read_text() for name in stacks}
    made = layered.make("deploy", ENV="lay", INIT="1")
    assert made.status == 0, made.err
    assert [line.split()[1] for line in made.err.splitlines() if "updating" in line] == [
        f"{name}:" for name in stacks
    ]
    # another clone, to which nobody has committed the keys that the engine wrote into the files
    for name, text in files.items():
        assert "encryptedkey" in (layered.folder / f"Pulumi.{name}.yaml").read_text()
        (layered.folder / f"Pulumi.{name}.yaml").write_text(text)
    assert "**Nothing changes.**" in layered.make("review", ENV="lay").out

    for name, needing in (("lay-infra", "lay-cluster and lay-gitops"), ("lay-cluster", stacks[2])):
        refused = delivery(layered, "destroy", name, "--confirm", name)
        assert refused.status == Exit.REFUSED
        assert f"{name} is needed by {needing}, which hold" in refused.err
    assert delivery(layered, "destroy", "lay").status == Exit.REFUSED  # not confirmed

    gone = layered.make("destroy", ENV="lay-gitops", CONFIRM="lay-gitops")
    assert gone.status == 0, gone.err
    gone = layered.make("destroy", ENV="lay", CONFIRM="lay")
    assert gone.status == 0, gone.err
    told = [line.split("] ")[1] for line in gone.err.splitlines() if "lay-" in line]
    assert told[0] == "lay-gitops: holds nothing"
    assert [line for line in told if line.endswith("destroying")] == [
        "lay-cluster: destroying",
        "lay-infra: destroying",
    ]
    assert layered.make("leftovers", STACK="lay").out == (
        f"nothing of the cluster lay is left in {REGION}\n"
    )
    left = json.loads(layered.pulumi("stack", "ls", "--json"))
    assert {each["name"]: each["resourceCount"] for each in left if each["name"] in stacks} == {
        name: 0 for name in stacks
    }
