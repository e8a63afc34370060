"""The one table from error class to answers: complete, inherited, and as the lock rules say."""

from __future__ import annotations

import pytest

from opensdm.core import errors as e
from opensdm.doors import errors as doors
from opensdm.doors import xml

DOCUMENTED = {400, 401, 403, 404, 405, 500} | {406, 408, 413, 415, 429, 503}
"""What the published pages list, and what the transport adds."""

ANSWERS = {
    e.InvalidRequest: (400, 400, 1),
    e.MalformedBody: (400, 400, 1),
    xml.BodyTooLarge: (413, 413, 1),
    xml.WrongCharset: (415, 415, 1),
    doors.MethodNotAllowed: (405, 405, 1),
    doors.NotAcceptable: (406, 406, 1),
    doors.UnsupportedMedia: (415, 415, 1),
    e.NotLoggedIn: (401, 401, 1),
    e.LoginFailed: (401, 401, 1),
    e.TooManyAttempts: (429, 429, 1),
    e.Forbidden: (403, 403, 1),
    e.NotFound: (404, 404, 1),
    e.AlreadyExists: (400, 409, 1),
    e.NotEmpty: (400, 409, 1),
    e.NotLoaded: (400, 409, 1),
    e.NotAssigned: (400, 409, 1),
    e.StaleConfiguration: (400, 409, 1),
    e.RebaseConflict: (400, 409, 1),
    e.NotRestorable: (400, 409, 1),
    e.Cancelled: (400, 409, 1),
    e.DeviceLocked: (400, 423, 3),
    e.DeviceBusy: (400, 409, 4),
    e.NotLockOwner: (400, 403, 5),
    e.LockLost: (400, 409, 6),
    e.LockChanged: (400, 409, 1),
    e.ReadOnlyDevice: (400, 409, 1),
    e.Unreachable: (500, 504, 1),
    e.UntrustedDevice: (500, 502, 1),
    e.Rejected: (500, 502, 1),
    e.EditLost: (500, 502, 1),
    e.StoreUnavailable: (503, 503, 1),
}


@pytest.mark.parametrize("error", ANSWERS, ids=lambda error: error.__name__)
def test_answers(error: type[e.SdmError]) -> None:
    row = doors.row(error)
    assert (row.status(exact=False), row.status(exact=True), row.exit_code) == ANSWERS[error]


def test_every_error_has_an_answer_from_the_documented_set() -> None:
    for error in e.all_errors():
        assert doors.row(error).status(exact=False) in DOCUMENTED, error


def test_a_new_error_inherits_its_parents_row() -> None:
    class LockedForMaintenance(e.DeviceLocked):
        """Not in the table."""

    assert doors.row(LockedForMaintenance) is doors.TABLE[e.DeviceLocked]
    with pytest.raises(TypeError):
        doors.row(ValueError)  # type: ignore[arg-type]


def test_the_device_lock_path_words_a_missing_privilege_as_published() -> None:
    row = doors.row(e.Forbidden)
    assert [row.status(exact=False, device_lock=True), row.status(exact=True, device_lock=True)] == [401, 403]
    assert doors.row(e.DeviceLocked).status(exact=False, device_lock=True) == 400


def test_when_to_try_again() -> None:
    assert doors.retry_after_s(e.DeviceBusy("busy")) == 5
    assert doors.retry_after_s(e.StoreUnavailable("away")) == 2
    assert doors.retry_after_s(e.TooManyAttempts("slow", retryAfterSeconds=17)) == 17
    assert doors.retry_after_s(e.TooManyAttempts("slow")) == 60
    assert doors.retry_after_s(e.DeviceLocked("locked")) is None


@pytest.mark.parametrize(
    ("error", "admin", "server"),
    [
        (e.InvalidRequest, False, False),
        (e.MalformedBody, False, False),
        (e.NotFound, False, False),
        (doors.NotOffered, False, False),
        (e.LoginFailed, True, False),
        (e.TooManyAttempts, True, False),
        (e.Forbidden, True, False),
        (e.AlreadyExists, False, True),
        (e.DeviceLocked, False, True),
        (e.LockLost, False, True),
        (e.Unreachable, False, True),
        (e.StoreUnavailable, False, True),
    ],
)
def test_over_soap(error: type[e.SdmError], admin: bool, server: bool) -> None:
    """Access errors are the admin fault; what the same request may get past later is the server's."""
    row = doors.row(error)
    assert (row.soap_admin, row.soap_server) == (admin, server)
