"""A whole configuration session, and what each step does to the three stores."""

import pytest

from tests.simulator.box import Box, Client, element, found, sub, texts, values, xml


def test_edit_verify_save_activate(box: Box, editor: Client) -> None:
    realm = {"identifier": "peer"}
    added = editor.add(element("realm-config", identifier="peer", network_interfaces=["s0p0:0.4", "s1p0:0"]))
    assert [values(each, "identifier") for each in found(added)] == [["peer"]]
    changed = editor.change(element("realm-config", identifier="peer", mm_in_realm="enabled", description="a peer"))
    assert values(found(changed)[0], "network-interfaces") == ["s0p0:0.4", "s1p0:0"]
    assert values(found(changed)[0], "mm-in-realm") == ["enabled"]
    assert editor.elements("realm-config", running="true", **realm).status_code == 404

    assert editor.do("PUT", "verify") == "success"
    assert editor.do("PUT", "save") == "success"
    assert editor.elements("realm-config", running="true", **realm).status_code == 404
    assert editor.do("POST", "activate") == "success"
    running = found(editor.elements("realm-config", running="true", **realm))[0]
    assert values(running, "description") == ["a peer"]
    assert editor.unlock() == 204


def test_activate_takes_the_saved_configuration_not_the_edited_one(editor: Client) -> None:
    editor.change(element("realm-config", identifier="core", description="saved"))
    assert editor.do("PUT", "save") == "success"
    editor.change(element("realm-config", identifier="core", description="edited"))
    assert editor.do("POST", "activate") == "success"
    running = found(editor.elements("realm-config", running="true", identifier="core"))[0]
    edited = found(editor.elements("realm-config", identifier="core"))[0]
    assert (values(running, "description"), values(edited, "description")) == (["saved"], ["edited"])


def test_edits_stay_when_the_lock_is_given_back(editor: Client) -> None:
    editor.change(element("realm-config", identifier="core", description="left behind"))
    assert editor.unlock() == 204
    assert values(found(editor.elements("realm-config", identifier="core"))[0], "description") == ["left behind"]


@pytest.mark.parametrize(("source", "expected"), [("running", "carrier core"), ("saved", "saved")])
def test_restore_replaces_the_edited_configuration(editor: Client, source: str, expected: str) -> None:
    editor.change(element("realm-config", identifier="core", description="saved"))
    assert editor.do("PUT", "save") == "success"
    editor.change(element("realm-config", identifier="core", description="edited"))
    assert editor.do("PUT", "restore", restoreSource=source) == "success"
    assert values(found(editor.elements("realm-config", identifier="core"))[0], "description") == [expected]


def test_backup_and_restore_from_its_file(editor: Client) -> None:
    editor.change(element("realm-config", identifier="core", description="kept"))
    assert editor.do("POST", "backup", backupSource="editing", filename="before") == "success"
    listed = editor.call("GET", "configuration/management/files")
    assert texts(listed, "data/backupFile/name") == ["before.gz"]
    assert int(texts(listed, "data/backupFile/size")[0]) > 100
    editor.change(element("realm-config", identifier="core", description="spoilt"))
    assert editor.do("PUT", "restore", restoreSource="backupFile", filename="before.gz") == "success"
    assert values(found(editor.elements("realm-config", identifier="core"))[0], "description") == ["kept"]


def test_verify_names_the_element_and_the_attribute(editor: Client) -> None:
    editor.add(element("sip-interface", sub("sip-port", address="198.51.100.10"), realm_id="nowhere"))
    editor.change(element("realm-config", identifier="core", network_interfaces=["s9p0:0.4", "s1p0:7"]))
    accepted = editor.manage("PUT", "verify")
    state = editor.finish(accepted)
    assert state.findtext("operation") == "verify" and state.findtext("status") == "fail"
    error = state.findtext("errorMessage") or ""
    assert "sip-interface [realm-id=nowhere] has reference to realm-config [nowhere] in realm-id" in error
    answer = editor.http.get(texts(accepted, "links/link")[0], timeout=10)
    findings = xml(answer).findall("data/additionalInfo/verifySummary/verify")
    assert [(each.findtext("object"), each.findtext("field")) for each in findings] == [
        ("realm-config [identifier=core]", "network-interfaces"),
        ("realm-config [identifier=core]", "network-interfaces"),
        ("sip-interface [realm-id=nowhere]", "realm-id"),
    ]


def test_verify_looks_into_sub_elements(editor: Client) -> None:
    policy = sub("policy-attribute", next_hop="softswitch.example", realm="gone")
    body = element("local-policy", policy, from_address="*", to_address=["1", "2"], source_realm="*")
    assert editor.add(body).status_code == 200
    error = editor.finish(editor.manage("PUT", "verify")).findtext("errorMessage") or ""
    assert "has reference to realm-config [gone] in policy-attribute realm, which does not exist" in error


def test_deleting_what_others_name_fails_verify_only(editor: Client) -> None:
    assert editor.delete("realm-config", identifier="access").status_code == 204
    error = editor.finish(editor.manage("PUT", "verify")).findtext("errorMessage") or ""
    assert "sip-interface [realm-id=access]" in error
    assert editor.do("PUT", "save") == "success"
