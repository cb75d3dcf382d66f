"""The language host under the real engine, and what it answers by itself."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from pulumi.runtime.proto import language_pb2, language_pb2_grpc

from tests.rehearsal.plugins.command.sshd import until
from tests.rehearsal.plugins.harness import start_plugin, struct
from tests.rehearsal.plugins.project import Project, needs_engine

MakeProject = Callable[[str], Project]


@pytest.fixture
def make_project(tmp_path: Path) -> MakeProject:
    return lambda program: Project(tmp_path / "project", program)


@pytest.fixture(scope="module")
def host() -> Iterator[Any]:
    with (
        start_plugin("pulumi-language-python") as running,
        grpc.insecure_channel(f"127.0.0.1:{running.port}") as channel,
    ):
        yield language_pb2_grpc.LanguageRuntimeStub(channel)


@needs_engine
def test_a_program_runs_with_its_configuration(make_project: MakeProject) -> None:
    project = make_project(
        """
        import os, sys
        import pulumi
        from helper import greeting

        config = pulumi.Config()
        pulumi.export("plain", config.require("plain") + greeting)
        pulumi.export("secret", config.require_secret("secret"))
        pulumi.export("stack", [pulumi.get_project(), pulumi.get_stack()])
        pulumi.export("here", [os.getcwd(), pulumi.runtime.get_root_directory()])
        pulumi.export("preview", pulumi.runtime.is_dry_run())
        pulumi.export("clean", ["PULUMI_CONFIG" in os.environ, "PYTHONPATH" in os.environ])
        pulumi.export("arguments", sys.argv[1:])
        print("said by the program")
        pulumi.log.warn("warned by the program")
        """
    )
    (project.folder / "helper.py").write_text("greeting = ' hello'\n")
    project.pulumi("config", "set", "plain", "well")
    project.pulumi("config", "set", "--secret", "secret", "p1ea5e-h1de")
    output = project.pulumi("up", "--yes", "--skip-preview")
    assert "said by the program" in output
    assert "warning: warned by the program" in output
    assert "p1ea5e-h1de" not in output
    outputs = project.outputs()
    assert outputs == {
        "secret": "p1ea5e-h1de",
        "plain": "well hello",
        "stack": ["project", "test"],
        "here": [str(project.folder)] * 2,
        "preview": False,
        "clean": [False, False],
        "arguments": [],
    }
    assert "p1ea5e-h1de" not in project.pulumi("stack", "export")


@needs_engine
@pytest.mark.parametrize(
    ("program", "says", "never"),
    [
        ("import pulumi\nraise pulumi.RunError('only this')", "error: only this", "Traceback"),
        ("raise ValueError('broken')", "ValueError: broken", "runpy"),
        ("def f():\n    return 1 / 0\nf()", "in f\n", "language_program"),
        ("import nowhere", "No module named 'nowhere'", "runpy"),
        ("raise SystemExit('told so')", "told so", "Traceback"),
        ("import os; os._exit(7)", "program exited with non-zero exit code: 7", "Traceback"),
        ("import os; os.kill(os.getpid(), 9)", "the program was ended by SIGKILL", "Traceback"),
        (
            "import pulumi\npulumi.Output.from_input(1).apply(lambda v: v / 0)",
            "ZeroDivisionError",
            "non-zero exit code",
        ),
    ],
)
def test_a_failing_program_says_why_once(
    make_project: MakeProject, program: str, says: str, never: str
) -> None:
    status, output = make_project(program).run("preview")
    details = output.split("Diagnostics:")[1]
    assert status != 0
    assert details.count(says) == 1, output
    assert never not in details
    assert details.count("error: ") == 1, output


@needs_engine
def test_a_program_without_a_main_file_is_told(make_project: MakeProject) -> None:
    project = make_project("")
    (project.folder / "__main__.py").unlink()
    status, output = project.run("preview")
    assert status != 0
    assert "there is no program:" in output and "Traceback" not in output


@needs_engine
def test_the_virtualenv_of_the_project_runs_it(make_project: MakeProject) -> None:
    project = make_project("import sys, pulumi; pulumi.export('python', sys.executable)")
    project.set_runtime({"name": "python", "options": {"virtualenv": "venv", "toolchain": "pip"}})
    status, output = project.run("preview")
    assert status != 0
    assert f"there is no virtualenv 'venv': {project.folder}/venv/bin/python" in output
    (project.folder / "venv").symlink_to(sys.prefix)
    project.up()
    assert project.outputs() == {"python": f"{project.folder}/venv/bin/python"}
    about = json.loads(project.pulumi("about", "--json").partition("\n{")[2].join(["{", ""]))
    assert about["runtime"]["executable"] == f"{project.folder}/venv/bin/python"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"toolchain": "uv"}, "toolchain 'uv' is not handled"),
        ({"typechecker": "mypy"}, "runtime option 'typechecker' is not handled"),
    ],
)
def test_options_that_are_not_handled_are_refused(
    host: Any, options: dict[str, Any], says: str
) -> None:
    info = language_pb2.ProgramInfo(root_directory="/", options=struct(options))
    assert says in host.Run(language_pb2.RunRequest(info=info)).error
    with pytest.raises(grpc.RpcError, match=says):
        host.About(language_pb2.AboutRequest(info=info))


def test_a_pack_that_cannot_be_run_is_told_in_its_own_terms(host: Any) -> None:
    def run(**options: Any) -> None:
        info = language_pb2.ProgramInfo(root_directory="/", options=struct(options))
        list(host.RunPlugin(language_pb2.RunPluginRequest(kind="analyzer", info=info)))

    with pytest.raises(grpc.RpcError, match=r"PulumiPolicy\.yaml: there is no virtualenv 'none'"):
        run(virtualenv="none")
    with pytest.raises(grpc.RpcError, match=r"PulumiPolicy\.yaml: toolchain 'uv' is not handled"):
        run(toolchain="uv")
    with pytest.raises(grpc.RpcError, match="--attach-debugger is not handled"):
        list(host.RunPlugin(language_pb2.RunPluginRequest(attach_debugger=True)))


def test_dependencies_are_those_installed(host: Any) -> None:
    def names(transitive: bool) -> set[str]:
        request = language_pb2.GetProgramDependenciesRequest(transitiveDependencies=transitive)
        found = host.GetProgramDependencies(request).dependencies
        return {dependency.name.replace("_", "-").lower() for dependency in found}

    assert {"pulumi-command", "pulumi", "grpcio"} <= names(True)
    assert "pulumi-command" in names(False) and "grpcio" not in names(False)


def test_nothing_is_installed_silently(host: Any) -> None:
    with pytest.raises(grpc.RpcError, match="installs nothing"):
        list(host.InstallDependencies(language_pb2.InstallDependenciesRequest()))


@pytest.mark.parametrize("kind", ["resource", "analyzer"])
def test_a_plugin_written_in_python_runs(host: Any, tmp_path: Path, kind: str) -> None:
    """A policy pack is run by the SDK's own runner, with the engine's address and its folder."""
    (tmp_path / "__main__.py").write_text(
        "import os, sys\nprint(sys.argv[1:], os.environ['GIVEN'], os.getcwd())\n"
        "print('also', file=sys.stderr)\nsys.exit(3)\n"
    )
    request = language_pb2.RunPluginRequest(
        pwd=str(tmp_path),
        kind=kind,
        args=["127.0.0.1:1"],
        env=["GIVEN=a=b"],
        info=language_pb2.ProgramInfo(program_directory=str(tmp_path)),
    )
    answers = list(host.RunPlugin(request))
    out = b"".join(answer.stdout for answer in answers).decode()
    arguments = ["127.0.0.1:1"] + ([str(tmp_path)] if kind == "analyzer" else [])
    assert out == f"{arguments} a=b {tmp_path}\n"
    assert b"".join(answer.stderr for answer in answers) == b"also\n"
    assert answers[-1].exitcode == 3


@needs_engine
def test_an_interrupt_ends_the_program(make_project: MakeProject, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    project = make_project(
        f"""
        import os, time
        open("{pid}.new", "w").write(str(os.getpid()))
        os.rename("{pid}.new", "{pid}")
        time.sleep(600)
        """
    )
    process = project.start("preview")
    try:
        until(lambda: pid.exists() or process.poll() is not None)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
        assert "Traceback" not in output
        assert not Path(f"/proc/{pid.read_text()}").exists()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
