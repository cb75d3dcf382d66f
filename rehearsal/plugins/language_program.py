"""One run of a Pulumi program: a RunRequest on stdin, the engine's address as the only argument,
the result in the exit code.

Executed as a script, with the program's own interpreter, by the language host beside it: it
imports the SDK and nothing of this package, which that interpreter need not know.
"""

from __future__ import annotations

import asyncio
import logging
import os
import runpy
import signal
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

import grpc
import pulumi
import pulumi.runtime
from pulumi.runtime.proto import language_pb2

# As the official host's: the person has been told what is wrong.
SHOWN = 32


def main() -> int:
    """Runs the program; 0 when all of it is registered, SHOWN when an error has been logged."""
    request = language_pb2.RunRequest.FromString(sys.stdin.buffer.read())
    # A kill of the whole process group is no error of the program.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    entry, engine = _entry(request), sys.argv[1]
    sys.argv = [str(entry), *request.args]
    sys.path.insert(0, str(entry.parent))
    os.chdir(request.pwd or entry.parent)
    _configure(request, engine)

    # A program that fails leaves futures that nobody awaits: no news for the person.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    executor = ThreadPoolExecutor(max_workers=max(request.parallel, 1) * 4)
    loop.set_default_executor(executor)
    try:
        loop.run_until_complete(pulumi.runtime.run_in_stack(lambda: _run(entry)))
        return 0
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
    except grpc.RpcError as error:
        if error.code() == grpc.StatusCode.UNAVAILABLE:
            return SHOWN  # the engine has gone, or goes, and says why itself
        pulumi.log.error(_unhandled(error, entry))
    except Exception as error:
        pulumi.log.error(_unhandled(error, entry))
    finally:
        executor.shutdown(wait=True)
        loop.close()
        sys.stdout.flush()
        sys.stderr.flush()
    return SHOWN


def _entry(request: language_pb2.RunRequest) -> Path:
    """The program's file."""
    path = Path(request.info.program_directory or request.pwd, request.info.entry_point or ".")
    return path / "__main__.py" if path.is_dir() else path


def _configure(request: language_pb2.RunRequest, engine: str) -> None:
    pulumi.runtime.set_all_config(dict(request.config), list(request.configSecretKeys))
    pulumi.runtime.configure(
        pulumi.runtime.Settings(
            project=request.project,
            stack=request.stack,
            monitor=request.monitor_address,
            engine=engine,
            parallel=request.parallel,
            dry_run=request.dryRun,
            organization=request.organization or "organization",
            root_directory=request.info.root_directory,
        )
    )


def _run(entry: Path) -> None:
    if not entry.is_file():
        raise pulumi.RunError(f"there is no program: {entry} does not exist")
    runpy.run_path(str(entry), run_name="__main__")


def _unhandled(error: BaseException, entry: Path) -> str:
    """The traceback from the program's first line on; whole if it never was in the program."""
    first: TracebackType | None = error.__traceback__
    while first is not None and first.tb_frame.f_code.co_filename != str(entry):
        first = first.tb_next
    lines = traceback.format_exception(type(error), error, first or error.__traceback__)
    return "Program failed with an unhandled exception:\n" + "".join(lines)


if __name__ == "__main__":
    sys.exit(main())
