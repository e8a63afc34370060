"""The SOAP door of the installed program: on the port of REST, under its own names or an operator's."""

from __future__ import annotations

from pathlib import Path

from tests.program import ADMIN_PASSWORD, Installation, refused, run

LOGIN = (
    '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><login><username>admin</username>'
    f"<password>{ADMIN_PASSWORD}</password></login></e:Body></e:Envelope>"
)


def test_soap_is_there_under_an_operators_names(installed: Installation, tmp_path: Path) -> None:
    names = tmp_path / "names.toml"
    names.write_text('[namespaces]\nAdminMgmtIF = "urn:vendor:admin"\n[paths]\nbase = "/vendor/services"\n')
    with installed.serve(OPENSDM_SOAP_NAMES=str(names)) as server:
        client = installed.client(server)
        assert "AdminMgmtIFService.wsdl" in client.get("/vendor/services").text
        wsdl = client.get("/vendor/services/AdminMgmtIF?wsdl").text
        assert 'targetNamespace="urn:vendor:admin"' in wsdl
        assert f'location="{server.url}/vendor/services/AdminMgmtIF"' in wsdl
        assert client.get("/ACMEWS/services").status_code == 404
        answer = client.http.post(
            f"{server.url}/vendor/services/AdminMgmtIF", data=LOGIN, headers={"Content-Type": "text/xml"}, timeout=20
        )
        assert answer.status_code == 200 and "<loginResponse><return>" in answer.text
        assert "Path=/vendor;" in answer.headers["Set-Cookie"] and "Secure" in answer.headers["Set-Cookie"]
        assert server.stop() == 0
        assert "Traceback" not in server.log


def test_a_file_of_names_that_is_wrong_stops_the_start(installed: Installation, tmp_path: Path) -> None:
    (tmp_path / "names.toml").write_text("[paths]\nbase = 7\n")
    arguments = ("serve", *installed.place, "--listen", "127.0.0.1:0")
    said = refused(run(*arguments, OPENSDM_SOAP_NAMES=str(tmp_path / "names.toml")))
    assert "soap.names" in said and "paths.base is no such name" in said
