"""The command line, `opensdm`. Commands import what they need when they run, so that `--help` answers at once."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

INTERRUPTED = 130


def main() -> NoReturn:
    """Run one command and end the process with its exit code: 0 done, 1 failed, 2 wrong usage, 3 to 6 for locks."""
    from opensdm.cli.commands import app
    from opensdm.cli.failures import CommandFailed, failure

    try:
        app()
    except CommandFailed as failed:
        _end(failed.message, failed.exit_code)
    except KeyboardInterrupt:
        _end("interrupted", INTERRUPTED)
    except Exception as error:
        if os.environ.get("OPENSDM_LOG_LEVEL", "").lower() == "debug":
            raise
        told = failure(error)
        _end(told.message, told.exit_code)
    raise SystemExit(0)


def _end(message: str, exit_code: int) -> NoReturn:
    print(f"opensdm: {message}", file=sys.stderr)
    raise SystemExit(exit_code)
