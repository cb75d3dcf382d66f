"""The comment on a pull request, made of previews that the real engine made."""

from __future__ import annotations

from dataclasses import replace

import pytest

from delivery.changes import Absent, Change, Secret, Unknown, changes, differences
from delivery.comment import comment, failure, marker
from delivery.danger import danger
from delivery.engine import Outcome
from delivery.events import SECRET_SIGNATURE, SIGNATURE, UNKNOWN, Record, Step, one_line
from delivery.markdown import LIMIT, change, code, prose
from delivery.masking import masked, names_a_secret
from delivery.preview import Plan, preview
from settings import Environment, Stack
from tests.delivery.conftest import TOKEN
from tests.delivery.recorded import CASES, EVENTS, GOLDEN, OTHER_TOKEN, Recorded, outcome, record

SHOP = Environment("shop", (Stack("shop", ("infra", "cluster", "gitops")),))
COMMIT = "0123456789abcdef0123456789abcdef01234567"
URN = "urn:pulumi:shop::groundwork::groundwork:infra:Infra$aws:ec2/eip:Eip::"
ENGINES_SECRET = {SIGNATURE: SECRET_SIGNATURE, "ciphertext": "[secret]"}
PEM = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaA\n-----END OPENSSH PRIVATE KEY-----"


def plan(name: str) -> Plan:
    return preview(Recorded(shop=name), SHOP, lambda _: None)


def step(
    op: str = "update", name: str = "one", type: str = "aws:ec2/eip:Eip", **given: object
) -> Step:
    fields = {"custom": True, "old": {}, "new": {}, "old_outputs": {}, **given}
    return Step(op=op, urn=f"{URN}{name}", type=type, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", CASES)
def test_the_comment_is_the_golden_one(name: str, request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--write-expected"):
        record(request.getfixturevalue("shop"), name)
        (GOLDEN / f"{name}.md").write_text(comment(plan(name), COMMIT))
    assert comment(plan(name), COMMIT) == (GOLDEN / f"{name}.md").read_text()
    assert plan(name).failed == (name in ("policy", "error"))


def test_no_golden_file_is_of_nothing() -> None:
    assert {file.stem for file in GOLDEN.iterdir()} == set(CASES)
    assert {file.stem for file in EVENTS.iterdir()} == set(CASES)


def test_no_secret_is_in_what_was_recorded() -> None:
    for file in (*GOLDEN.iterdir(), *EVENTS.iterdir()):
        assert not {TOKEN, OTHER_TOKEN, "PRIVATE KEY"} & set(file.read_text().split('"')), file
        assert TOKEN not in file.read_text() and OTHER_TOKEN not in file.read_text()


def test_several_stacks_are_in_one_comment_in_their_order() -> None:
    layers = ("infra", "cluster", "gitops")
    lay = Environment("lay", tuple(Stack(f"lay-{layer}", (layer,)) for layer in layers))
    found = preview(
        Recorded(**{"lay-cluster": "error", "lay-infra": "change"}), lay, lambda _: None
    )
    text = comment(found)
    rows = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| lay")]
    assert rows == ["lay-infra", "lay-cluster", "lay-gitops"]
    assert "| lay-gitops |  |  |  |  |  | not deployed yet |" in text
    assert "What changes in lay-infra" in text and "- lay-cluster: Program failed" in text
    assert found.failed and found.cost == "the preview did not get to its end"


@pytest.mark.parametrize("count", [300, 3000])
def test_a_comment_that_is_too_long_ends_in_whole_parts_and_says_so(count: int) -> None:
    found = Record()
    for number in range(count):
        told = step(
            name=f"n{number}", old={"tags": {"Name": "é" * 90}}, new={"tags": {"Name": "b"}}
        )
        found.steps[told.urn] = replace(told, changed=("tags",))
    text = comment(Plan("shop", {"shop": Outcome(found, True, ())}, "none"), COMMIT)
    assert LIMIT * 0.8 < len(text.encode()) <= LIMIT or count == 300
    shown = text.count("**update**")
    assert (f"*{count - shown} more changes do not fit here" in text) == (shown < count)
    assert text.count("<details") == text.count("</details>") == 1
    assert text.endswith("<sub>of `0123456789ab`</sub>\n")
    whole = comment(Plan("shop", {"shop": Outcome(found, True, ())}, "none"), limit=1 << 40)
    assert whole.count("**update**") == count and "do not fit" not in whole


def test_errors_beyond_the_limit_do_not_hide_the_summary() -> None:
    errors = tuple(f"{number} " + "*" * 4000 for number in range(2000))
    text = comment(Plan("shop", {"shop": Outcome(Record(), False, errors)}, "none"), limit=4000)
    assert len(text.encode()) <= 4000
    assert "| shop | 0 | 0 | 0 | 0 | 0 | **failed** |" in text
    assert "The rest does not fit here" in text


def test_a_preview_that_could_not_be_made_is_a_comment_too() -> None:
    text = failure("shop", "pulumi stack ls failed: no such bucket", COMMIT)
    assert text.startswith(marker("shop")) and "- pulumi stack ls failed" in text


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            step("replace", type="aws:ec2/instance:Instance", old={"tags": {"Role": "redis"}}),
            "redis",
        ),
        (
            step("delete", type="aws:ec2/instance:Instance", old={"tags": {"Role": "rabbitmq"}}),
            "dat",
        ),
        (
            step(
                "replace", type="aws:ec2/instance:Instance", old={"tags": {"Role": "control-plane"}}
            ),
            "etcd",
        ),
        (step("replace", type="aws:ec2/instance:Instance", old={"tags": {"Role": "api"}}), None),
        (step("update", type="aws:ec2/instance:Instance", old={"tags": {"Role": "redis"}}), None),
        (step("create", type="aws:s3/bucket:Bucket"), None),
        (step("delete", type="aws:s3/bucket:Bucket"), "bucket"),
        (step("replace", type="aws:kms/key:Key"), "key"),
        (step("delete", type="aws:route53/zone:Zone"), "zone"),
        (
            replace(
                step("replace", type="command:remote:Command"),
                urn="urn:pulumi:p::g::groundwork:cluster:Cluster$command:remote:Command::init",
            ),
            "kubeadm",
        ),
    ],
)
def test_what_loses_data_is_dangerous(found: Step, said: str | None) -> None:
    told = danger(found)
    assert (told is None) == (said is None)
    assert told is None or (said or "") in told.loses


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (
            step(old={"a": [1, {"b": 2}]}, new={"a": [1, {"b": 3}, 4]}, changed=("a",)),
            [("a[1].b", 2, 3), ("a[2]", Absent(), 4)],
        ),
        (step(old={"a": "x"}, new={"a": UNKNOWN}, changed=("a",)), [("a", "x", Unknown())]),
        # only what the provider says has changed, and not its own notes
        (step(old={"a": 1, "b": 1}, new={"a": 2, "b": 2}, changed=("a",)), [("a", 1, 2)]),
        (step(old={"a": {"__defaults": []}}, new={"a": {}}, changed=("a",)), []),
        # a secret, that it changes, and what was one
        (
            step(
                old={"a": {"k": ENGINES_SECRET, "l": 1}},
                new={"a": {"k": ENGINES_SECRET, "l": 1}},
                changed=("a",),
            ),
            [("a.k", Secret(), Secret())],
        ),
        (
            step(old={"a": ENGINES_SECRET}, new={"a": "open"}, changed=("a",)),
            [("a", Secret(), Secret())],
        ),
        # the program forgot to say that it is one
        (
            step(old={"a": {"dbPassword": "x"}}, new={"a": {"dbPassword": "y"}}, changed=("a",)),
            [("a.dbPassword", Secret(), Secret())],
        ),
        # the provider sees it in what exists alone
        (
            step(old={"a": 1}, new={"a": 1}, old_outputs={"a": 2}, changed=("a",)),
            [("a", 2, 1)],
        ),
        (
            step(old={"a": {"x-y.z": 1}}, new={"a": {"x-y.z": 2}}, changed=("a",)),
            [('a["x-y.z"]', 1, 2)],
        ),
    ],
)
def test_the_properties_that_change(
    found: Step, expected: list[tuple[str, object, object]]
) -> None:
    assert [(each.path, each.old, each.new) for each in changes(found)] == expected


def test_outputs_that_come_and_go() -> None:
    found = differences({"a": 1, "kept": 1}, {"b": ENGINES_SECRET, "kept": 1})
    assert [(each.path, each.new) for each in found] == [("a", Absent()), ("b", Secret())]


def test_a_change_is_said_where_two_long_values_differ() -> None:
    long = "x" * 500
    text = change(Change("a", f"{long}old", f"{long}new", False))
    assert '…xxxxxxxxxxxxxxxxxxxxxxxxold"' in text and 'new"' in text and len(text) < 200


def test_a_change_of_a_text_of_lines_is_a_diff() -> None:
    old, new = ("\n".join(["a", "```", each, "b"]) for each in ("old", "new"))
    text = change(Change("script", old, new, True))
    assert text.splitlines()[1] == "  ````diff" and text.endswith("  ````")
    assert "  -old\n  +new\n" in text


@pytest.mark.parametrize(
    ("text", "said"),
    [("a|b", "a\\|b"), ("<b> & _x_", "\\<b\\> \\& \\_x\\_"), ("@team", "@\u200bteam")],
)
def test_words_from_elsewhere_are_no_markup(text: str, said: str) -> None:
    assert prose(text) == said


def test_code_holds_whatever_is_in_it() -> None:
    assert code("a`b") == "``a`b``"
    assert code("`") == "`` ` ``"
    assert code("a\nb") == "`a b`"


def test_private_keys_are_never_shown() -> None:
    assert masked(f"x {PEM} y") == "x [secret] y"
    assert masked(PEM[:60].replace("\n", "\\n")) == "[secret]"
    assert one_line(f"Traceback (most recent call last):\n  x\nValueError: {PEM}") == (
        "ValueError: [secret]"
    )
    names = ("dbPassword", "private_key", "secret", "httpTokens", "secretName", "key")
    assert [names_a_secret(name) for name in names] == [True, True, True, False, False, False]


def test_what_was_recorded_has_an_error_and_a_policy() -> None:
    assert not outcome("error").ok and not outcome("policy").ok
    assert not outcome("policy").errors and outcome("policy").record.broken
