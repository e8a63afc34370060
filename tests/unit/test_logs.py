"""The log: fields, one place that masks secrets, and tracebacks without what variables hold."""

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from opensdm.logs import configure_logs

SECRET = "Correct-horse-7"


Written = Callable[[], str]


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Iterator[Written]:
    """What standard error got since it was last asked; the test runner's own logging comes back at the end."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield lambda: capsys.readouterr().err
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_fields_named_like_secrets_are_masked_at_any_depth(written: Written) -> None:
    configure_logs("info", "json")
    structlog.get_logger("opensdm.test").info(
        "event",
        password=SECRET,
        api_token=SECRET,
        headers={"Cookie": SECRET, "Host": "here"},
        tried=[{"user": "bob", "old_password": SECRET}],
        deep={"a": {"b": {"c": {"d": {"e": SECRET}}}}},
    )
    text = written()
    (line,) = lines(text)
    assert SECRET not in text
    assert line["headers"]["Host"] == "here" and line["tried"][0]["user"] == "bob"
    assert (line["event"], line["level"], line["logger"]) == ("event", "info", "opensdm.test")


@pytest.mark.parametrize("form", ["json", "console"])
def test_tracebacks_show_no_variables(written: Written, form: str) -> None:
    configure_logs("info", form)
    log = structlog.get_logger("opensdm.test")

    def fail(password: str) -> None:
        raise RuntimeError("it broke")

    try:
        fail(SECRET)
    except RuntimeError:
        log.exception("failed")
    text = written()
    assert "it broke" in text and "RuntimeError" in text
    assert SECRET not in text


def test_libraries_write_the_same_log_and_only_warnings(written: Written) -> None:
    configure_logs("info", "json")
    logging.getLogger("uvicorn.error").info("Started server process")
    logging.getLogger("uvicorn.error").warning("something %s", "odd")
    (line,) = lines(written())
    assert (line["event"], line["level"], line["logger"]) == ("something odd", "warning", "uvicorn.error")


def test_levels_below_the_one_set_are_left_out(written: Written) -> None:
    configure_logs("warning", "json")
    log = structlog.get_logger("opensdm.test")
    log.info("quiet")
    log.warning("loud")
    assert [line["event"] for line in lines(written())] == ["loud"]


def test_each_connection_to_a_device_is_no_event_of_ours(written: Written) -> None:
    """Every poll of an SSH device would be half a dozen lines."""
    configure_logs("info", "json")
    logging.getLogger("asyncssh").info("Opening SSH connection to 192.0.2.1, port 22")
    logging.getLogger("asyncssh").warning("something odd")
    assert [line["event"] for line in lines(written())] == ["something odd"]
