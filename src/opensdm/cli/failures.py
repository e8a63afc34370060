"""From what went wrong to one sentence and an exit code."""

from __future__ import annotations

FAILED, USAGE = 1, 2


class CommandFailed(Exception):
    """Ends a command: a sentence for standard error, and the exit code."""

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code


def failure(error: Exception) -> CommandFailed:
    """Any exception as the end of a command. Only expected ones speak for themselves."""
    from opensdm.core.errors import SdmError
    from opensdm.doors.errors import row

    if isinstance(error, CommandFailed):
        return error
    if isinstance(error, SdmError):
        return CommandFailed(error.message, row(type(error)).exit_code)
    if isinstance(error, OSError) and error.strerror:
        return CommandFailed(f"{error.strerror}: {error.filename}" if error.filename else error.strerror)
    return CommandFailed(
        f"internal error ({type(error).__name__}): please report it, with what OPENSDM_LOG_LEVEL=debug shows"
    )


def refused(code: str, message: str, hint: str | None = None) -> CommandFailed:
    """What the server answered over its console: an error by its code."""
    from opensdm.core.errors import all_errors
    from opensdm.doors.errors import row

    exit_code = next((row(cls).exit_code for cls in all_errors() if cls.code == code), FAILED)
    return CommandFailed(f"{message}; see: {hint}" if hint else message, exit_code)
