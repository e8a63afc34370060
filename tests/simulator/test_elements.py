"""Reading and writing configuration elements: keys, singletons, sub-elements, lists, pages, and bad content."""

import pytest

from tests.simulator.box import Client, element, found, message, sub, texts, values, xml


def test_reading_takes_no_lock_and_shows_every_attribute(client: Client) -> None:
    seeded = {
        "system-config": 1,
        "phy-interface": 2,
        "network-interface": 2,
        "realm-config": 2,
        "sip-interface": 1,
        "session-agent": 1,
        "session-group": 0,
        "sip-config": 0,
    }
    for kind, count in seeded.items():
        if kind == "sip-config":
            assert client.elements(kind).status_code == 404
            continue
        assert len(found(client.elements(kind))) == count, kind
    names = texts(client.call("GET", "configuration/elementTypes/metadata?elementType=realm-config"), "data/*/name")
    realm = found(client.elements("realm-config", identifier="core"))[0]
    assert [each.findtext("name") for each in realm.findall("attribute")] == [
        name for name in names if name != "auth-attribute"
    ]


def test_a_read_by_part_of_the_key_filters(editor: Client) -> None:
    editor.add(element("network-interface", name="s0p0", sub_port_id="100"))
    assert len(found(editor.elements("network-interface", name="s0p0"))) == 2
    assert len(found(editor.elements("network-interface", name="s9p0"))) == 0
    one = found(editor.elements("network-interface", **{"name": "s0p0", "sub-port-id": "100"}))
    assert values(one[0], "sub-port-id") == ["100"]


def test_adding_twice_is_a_conflict_and_changes_nothing(editor: Client) -> None:
    body = element("realm-config", identifier="core", description="again")
    assert editor.add(body).status_code == 409
    assert values(found(editor.elements("realm-config", identifier="core"))[0], "description") == ["carrier core"]


def test_the_order_of_a_list_key_does_not_make_another_element(editor: Client) -> None:
    def policy(*to: str) -> str:
        return element("local-policy", from_address="*", to_address=list(to), source_realm="core")

    assert editor.add(policy("1", "2")).status_code == 200
    assert editor.add(policy("2", "1")).status_code == 409
    assert editor.add(policy("2")).status_code == 200
    query = [("elementType", "local-policy"), ("from-address", "*"), ("source-realm", "core")]
    query += [("to-address", "2"), ("to-address", "1")]
    read = editor.call("GET", "configuration/configElements", params=query)
    assert values(found(read)[0], "to-address") == ["1", "2"]
    assert editor.call("DELETE", "configuration/configElements", params=query).status_code == 204
    assert len(found(editor.elements("local-policy"))) == 1


def test_a_singleton_is_added_bare_and_then_changed(editor: Client) -> None:
    assert editor.change(element("sip-config", home_realm_id="core")).status_code == 404
    early = editor.add(element("sip-config", home_realm_id="core"))
    assert early.status_code == 400 and "singleton" in message(early)
    assert editor.add(element("sip-config")).status_code == 200
    assert editor.add(element("sip-config")).status_code == 409
    assert values(found(editor.change(element("sip-config", home_realm_id="core")))[0], "home-realm-id") == ["core"]
    assert values(found(editor.elements("sip-config"))[0], "home-realm-id") == ["core"]
    assert editor.elements("sip-config", name="x").status_code == 400
    assert editor.delete("sip-config").status_code == 204
    assert editor.delete("sip-config").status_code == 404


def test_sub_elements_of_a_given_type_are_replaced_and_keep_what_is_left_out(editor: Client) -> None:
    first = sub("sip-port", address="192.0.2.10", port="5060", transport_protocol="UDP", allow_anonymous="agents-only")
    second = sub("sip-port", address="192.0.2.10", port="5061", transport_protocol="TLS")
    editor.change(element("sip-interface", first, second, realm_id="access"))
    third = sub("sip-port", address="192.0.2.11")
    again = sub("sip-port", address="192.0.2.10", port="5060", transport_protocol="UDP")
    changed = found(editor.change(element("sip-interface", again, third, realm_id="access")))[0]
    ports = changed.findall("subElement")
    assert [(values(port, "address"), values(port, "port")) for port in ports] == [
        (["192.0.2.10"], ["5060"]),
        (["192.0.2.11"], ["5060"]),
    ]
    assert values(ports[0], "allow-anonymous") == ["agents-only"]
    untouched = found(editor.change(element("sip-interface", realm_id="access", description="new")))[0]
    assert len(untouched.findall("subElement")) == 2


def test_mandatory_sub_elements_come_by_themselves(editor: Client) -> None:
    added = found(editor.add(element("network-interface", name="s0p0", sub_port_id="7")))[0]
    assert [each.findtext("elementType") for each in added.findall("subElement")] == ["gw-heartbeat"]
    beat = sub("gw-heartbeat", state="enabled")
    changed = found(editor.change(element("network-interface", beat, name="s0p0", sub_port_id="7")))[0]
    assert [values(each, "state") for each in changed.findall("subElement")] == [["enabled"]]


def test_list_attributes(editor: Client) -> None:
    added = editor.add(element("session-group", group_name="sg1", dest=["softswitch.example", "b.example"]))
    assert values(found(added)[0], "dest") == ["softswitch.example", "b.example"]
    emptied = editor.change(element("session-group", group_name="sg1", dest=[]))
    assert values(found(emptied)[0], "dest") == [""]
    escaped = editor.change(element("session-group", group_name="sg1", description="a &lt;b&gt; &amp; ü"))
    assert values(found(escaped)[0], "description") == ["a <b> & ü"]


def test_pages_of_at_most_a_hundred(editor: Client) -> None:
    for number in range(230):
        dest = f"10.1.{number}.0"
        body = element("host-route", dest_network=dest, netmask="255.255.255.0", gateway="192.0.2.1")
        assert editor.add(body).status_code == 200
    answer = editor.elements("host-route", maxElements="500", running="false")
    seen = []
    for size in (100, 100, 30):
        page = [values(each, "dest-network")[0] for each in found(answer)]
        assert len(page) == size
        seen += page
        if links := texts(answer, "links/link"):
            answer = editor.http.get(links[0], timeout=10)
    assert links == [] and len(set(seen)) == 230
    some = editor.elements("host-route", offset="228", maxElements="5")
    assert len(found(some)) == 2 and texts(some, "links/link") == []
    assert len(found(editor.elements("host-route", offset="1000"))) == 0
    assert editor.elements("host-route", offset="-1").status_code == 400
    assert editor.elements("host-route", maxElements="many").status_code == 400


BAD = {
    "unknown attribute": (element("realm-config", identifier="x", colour="red"), "colour"),
    "no key": (element("realm-config", description="x"), "identifier is required"),
    "pattern": (element("realm-config", identifier="has space"), "identifier"),
    "choice": (element("realm-config", identifier="x", mm_in_realm="yes"), "must be one of enabled, disabled"),
    "range": (element("realm-config", identifier="x", nat_trust_threshold="65536"), "outside 0-65535"),
    "number": (element("realm-config", identifier="x", deny_period="soon"), "not a number"),
    "empty number": (element("realm-config", identifier="x", deny_period=""), "cannot be empty"),
    "two values": (element("realm-config", identifier="x", description=["a", "b"]), "takes one value"),
    "address": (element("network-interface", name="s0p0", sub_port_id="9", ip_address="300.1.1.1"), "IP address"),
    "prefix": (element("realm-config", identifier="x", addr_prefix="10.0.0.0/40"), "prefix"),
    "host": (element("session-agent", hostname="not a host"), "host name"),
    "required": (element("host-route", dest_network="10.0.0.0", netmask="255.0.0.0"), "gateway is required"),
    "sub-element type": (element("realm-config", sub("sip-port"), identifier="x"), "unknown sub-element sip-port"),
    "sub-element content": (
        element("sip-interface", sub("sip-port", port="1"), realm_id="core"),
        "address is required",
    ),
    "sub-element twice": (
        element("sip-interface", sub("sip-port", address="::1"), sub("sip-port", address="::1"), realm_id="core"),
        "given twice",
    ),
    "not XML": ("<configElement>", "not well-formed"),
    "wrong root": ("<element><elementType>realm-config</elementType></element>", "root element"),
    "no type": ("<configElement/>", "no elementType"),
    "namespace": ('<configElement xmlns="urn:x"><elementType>realm-config</elementType></configElement>', "root"),
    "stray": ("<configElement><elementType>realm-config</elementType><more/></configElement>", "unexpected element"),
    "attribute twice": (
        "<configElement><elementType>realm-config</elementType>"
        + "<attribute><name>identifier</name><value>x</value></attribute>" * 2
        + "</configElement>",
        "given twice",
    ),
    "attribute without name": (
        "<configElement><elementType>realm-config</elementType><attribute><value>x</value></attribute></configElement>",
        "one name and its values",
    ),
    "doctype": (
        '<!DOCTYPE c [<!ENTITY e "x">]><configElement><elementType>realm-config</elementType>'
        "<attribute><name>identifier</name><value>&e;</value></attribute></configElement>",
        "document type",
    ),
    "too deep": ("<configElement>" + "<subElement>" * 40 + "</subElement>" * 40 + "</configElement>", "deep"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_content_is_refused_whole(editor: Client, case: str) -> None:
    body, reason = BAD[case]
    before = [found(editor.elements(kind)) for kind in ("realm-config", "sip-interface", "host-route")]
    answer = editor.add(body)
    assert answer.status_code == 400 and reason in message(answer)
    after = [found(editor.elements(kind)) for kind in ("realm-config", "sip-interface", "host-route")]
    assert [len(kind) for kind in before] == [len(kind) for kind in after]


def test_a_bad_change_leaves_the_element_as_it_was(editor: Client) -> None:
    bad = element("realm-config", identifier="core", description="half", mm_in_realm="perhaps")
    assert editor.change(bad).status_code == 400
    assert values(found(editor.elements("realm-config", identifier="core"))[0], "description") == ["carrier core"]


def test_types_metadata_and_template(client: Client) -> None:
    types = xml(client.call("GET", "configuration/elementTypes")).findall("data/elementTypes/elementType")
    singles = {each.findtext("name") for each in types if each.get("single") == "true"}
    assert len(types) == 12 and singles == {"system-config", "sip-config"}
    metadata = xml(client.call("GET", "configuration/elementTypes/metadata?elementType=access-control"))
    facts = {each.findtext("name"): each for each in metadata.findall("data/attributeMetadata")}
    assert facts["realm-id"].findtext("key") == "true" and facts["realm-id"].findtext("required") == "true"
    assert facts["realm-id"].findtext("references") == "realm-config" and facts["realm-id"].findtext("pattern")
    assert [each.text for each in facts["access"].findall("enumeration/value")] == ["permit", "deny"]
    assert facts["access"].findtext("default/value") == "permit"
    assert (facts["deny-period"].findtext("minValue"), facts["deny-period"].findtext("maxValue")) == ("0", "999999999")
    group = xml(client.call("GET", "configuration/elementTypes/metadata?elementType=session-group"))
    multiple = {each.findtext("name"): each.findtext("multipleValues") for each in group.findall("data/*")}
    assert multiple["dest"] == "true" and multiple["strategy"] == "false"
    path = "configuration/elementTypes/template?elementType="
    bare = found(client.call("GET", path + "sip-interface"))[0]
    assert bare.findall("subElement") == [] and values(bare, "trust-mode") == ["all"]
    full = found(client.call("GET", path + "sip-interface&subElement=sip-port"))[0]
    assert [values(each, "port") for each in full.findall("subElement")] == [["5060"]]
    alone = xml(client.call("GET", path + "sip-interface/sip-port")).find("data/subElement/elementType")
    assert alone is not None and alone.text == "sip-port"
    assert client.call("GET", path + "sip-interface&subElement=nothing").status_code == 404
    assert client.call("GET", path + "nothing").status_code == 404
    assert client.call("GET", "configuration/elementTypes/metadata?elementType=nothing").status_code == 404
    assert client.call("GET", "configuration/elementTypes/metadata").status_code == 400
