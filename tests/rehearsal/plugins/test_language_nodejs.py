"""The language host for Node.js under the real engine, and what it answers by itself."""

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

from rehearsal.paths import CHECKOUT
from rehearsal.plugins.language_nodejs import node
from tests.contract.npm import install
from tests.rehearsal.plugins.command.sshd import until
from tests.rehearsal.plugins.harness import start_plugin, struct
from tests.rehearsal.plugins.project import Project, needs_engine

PACKAGES = CHECKOUT / "contract" / "examples" / "typescript"
RUNTIME = {"name": "nodejs", "options": {"typescript": False}}
MakeProject = Callable[..., Project]


@pytest.fixture
def make_project(tmp_path: Path) -> MakeProject:
    def make(program: str, name: str = "index.js", runtime: Any = RUNTIME) -> Project:
        project = Project(tmp_path / "project", "", runtime)
        (project.folder / name).write_text(program)
        (project.folder / "package.json").write_text(json.dumps({"name": "p", "main": name}))
        (project.folder / "node_modules").symlink_to(install(PACKAGES))
        return project

    return make


@pytest.fixture(scope="module")
def host() -> Iterator[Any]:
    with (
        start_plugin("pulumi-language-nodejs", {"GROUNDWORK_PYTHON": sys.executable}) as running,
        grpc.insecure_channel(f"127.0.0.1:{running.port}") as channel,
    ):
        yield language_pb2_grpc.LanguageRuntimeStub(channel)


@needs_engine
def test_a_program_runs_with_its_configuration(make_project: MakeProject) -> None:
    project = make_project(
        """
        import * as pulumi from "@pulumi/pulumi";

        const config = new pulumi.Config();
        export const plain: pulumi.Output<string> = pulumi.output(config.require("plain"));
        export const secret = config.requireSecret("secret");
        export const stack = [pulumi.getOrganization(), pulumi.getProject(), pulumi.getStack()];
        export const here = [process.cwd(), pulumi.runtime.getRootDirectory()];
        export const preview = pulumi.runtime.isDryRun();
        export const clean = "PYTHONPATH" in process.env;
        console.log("said by the program");
        void pulumi.log.warn("warned by the program");
        """,
        "index.ts",
        "nodejs",
    )
    secret = "p1ea5e-h1de"
    project.pulumi("config", "set", "plain", "well")
    project.pulumi("config", "set", "--secret", "secret", secret)
    output = project.pulumi("up", "--yes")
    assert "said by the program" in output
    assert "warning: warned by the program" in output
    assert project.outputs() == {
        "plain": "well",
        "secret": secret,
        "stack": ["organization", "project", "test"],
        "here": [str(project.folder)] * 2,
        "preview": False,
        "clean": False,
    }
    assert secret not in output + project.pulumi("stack", "export")


@needs_engine
@pytest.mark.parametrize(
    ("program", "says", "never"),
    [
        (
            "const p = require('@pulumi/pulumi'); throw new p.RunError('only this')",
            "error: only this",
            "    at ",
        ),
        ("throw new Error('broken')", "Error: broken", "non-zero exit code"),
        ("require('nowhere')", "Cannot find module 'nowhere'", "non-zero exit code"),
        ("process.exit(7)", "program exited with non-zero exit code: 7", "    at "),
        ("process.kill(process.pid, 9)", "the program was ended by SIGKILL", "    at "),
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
def test_an_error_of_types_is_told_before_anything_is_done(make_project: MakeProject) -> None:
    project = make_project("export const wrong: number = 'text';", "index.ts", "nodejs")
    status, output = project.run("preview")
    assert status != 0
    assert "index.ts" in output and "'string' is not assignable to type 'number'" in output


@needs_engine
def test_a_program_without_its_packages_is_told(make_project: MakeProject) -> None:
    project = make_project("")
    (project.folder / "node_modules").unlink()
    status, output = project.run("preview")
    assert status != 0
    assert f"there is no @pulumi/pulumi in {project.folder}; run `npm ci` there" in output


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"packagemanager": "yarn"}, "packagemanager 'yarn' is not handled"),
        ({"nodeargs": "--inspect"}, "runtime option 'nodeargs' is not handled"),
        ({"typescript": "yes"}, "typescript is 'yes'; make it true or false"),
    ],
)
def test_options_that_are_not_handled_are_refused(
    host: Any, options: dict[str, Any], says: str
) -> None:
    info = language_pb2.ProgramInfo(root_directory="/", options=struct(options))
    assert says in host.Run(language_pb2.RunRequest(info=info)).error


def test_what_it_does_not_do_is_refused(host: Any) -> None:
    debug = host.Run(language_pb2.RunRequest(attach_debugger=True))
    assert "--attach-debugger is not handled" in debug.error
    with pytest.raises(grpc.RpcError, match="run `npm ci` in the program's folder yourself"):
        list(host.InstallDependencies(language_pb2.InstallDependenciesRequest()))
    with pytest.raises(grpc.RpcError, match="no plugin or policy pack"):
        list(host.RunPlugin(language_pb2.RunPluginRequest(kind="analyzer")))


def test_dependencies_are_those_of_the_lock(host: Any, tmp_path: Path) -> None:
    def asked(folder: Path, transitive: bool) -> dict[str, str]:
        info = language_pb2.ProgramInfo(program_directory=str(folder))
        request = language_pb2.GetProgramDependenciesRequest(
            info=info, transitiveDependencies=transitive
        )
        found = host.GetProgramDependencies(request).dependencies
        return {dependency.name: dependency.version for dependency in found}

    package = json.loads((PACKAGES / "package.json").read_text())
    assert asked(PACKAGES, False) == {**package["dependencies"], **package["devDependencies"]}
    assert "@grpc/grpc-js" in asked(PACKAGES, True)
    with pytest.raises(grpc.RpcError, match=r"has no package-lock\.json; run `npm install` there"):
        asked(tmp_path, True)


def test_the_runtime_is_the_environments_node(host: Any) -> None:
    about = host.About(language_pb2.AboutRequest())
    assert about.executable == str(node())
    assert about.version.startswith("v")


@needs_engine
def test_an_interrupt_ends_the_program(make_project: MakeProject, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    project = make_project(
        f"""
        const fs = require("fs");
        fs.writeFileSync("{pid}.new", String(process.pid));
        fs.renameSync("{pid}.new", "{pid}");
        setTimeout(() => undefined, 600000);
        """
    )
    process = project.start("preview")
    try:
        until(lambda: pid.exists() or process.poll() is not None)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert not Path(f"/proc/{pid.read_text()}").exists()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
