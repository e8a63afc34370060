"""The lab's own promises: real devices answer, do what their manuals say and what they do not, and leave nothing."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncssh
import pytest
from ncclient import NCClientError, manager, operations

from lab.__main__ import noted
from lab.frr import CONFIGURATIONS, STATES, FrrRouter, namespaces
from lab.machine import run
from lab.netconf import NAMESPACE, NetconfDevice
from lab.processes import alive, tree
from lab.proxy import CuttingProxy
from tests.lab_fixtures import NetconfPool

ROOT = Path(__file__).parents[2]
NETCONF = "urn:ietf:params:xml:ns:netconf:base:1.0"
ROUTE = "203.0.113.0/24"


def hostname(name: str) -> str:
    return f'<config xmlns="{NETCONF}"><system xmlns="{NAMESPACE}"><hostname>{name}</hostname></system></config>'


@contextmanager
def connected(device: NetconfDevice, port: int | None = None) -> Iterator[manager.Manager]:
    """A session by ncclient, which shares no code with our driver. With `port`, by way of a proxy on loopback."""
    with manager.connect(
        host=device.address if port is None else "127.0.0.1",
        port=port or device.port,
        username=device.user,
        password=device.password,
        hostkey_b64=device.host_key.split()[1],
        hostkey_verify=True,
        allow_agent=False,
        look_for_keys=False,
        timeout=30,
    ) as session:
        yield session


def configured(session: manager.Manager, datastore: str = "running") -> str:
    return str(session.get_config(datastore).data_xml)


@asynccontextmanager
async def logged_in(router: FrrRouter) -> AsyncIterator[asyncssh.SSHClientConnection]:
    async with asyncssh.connect(
        router.address,
        router.port,
        username=router.user,
        password=router.password,
        known_hosts=([asyncssh.import_public_key(router.host_key)], [], []),
        client_keys=None,
        config=None,
    ) as connection:
        yield connection


async def typed(router: FrrRouter, *lines: str) -> str:
    """What the router's shell showed while these lines were typed."""
    async with logged_in(router) as connection, connection.create_process(term_type="vt100") as shell:
        shell.stdin.write("".join(f"{line}\n" for line in (*lines, "exit")))
        return str(await asyncio.wait_for(shell.stdout.read(), 30))


# -------------------------------------------------------------------------------------------- netconfd


def test_a_netconf_device_answers_and_keeps_what_is_committed(netconf_device: NetconfDevice) -> None:
    with connected(netconf_device) as session:
        capabilities = set(session.server_capabilities)
        assert f"{NAMESPACE}?module=opensdm-edge&revision=2026-11-20" in capabilities
        assert f"{NETCONF.rpartition('xml:')[0]}netconf:capability:candidate:1.0" in capabilities
        session.edit_config(hostname("changed"), target="candidate")
        assert "changed" not in configured(session)
        session.commit()
        assert "<hostname>changed</hostname>" in configured(session)


def test_it_says_ok_three_times_and_loses_the_edit(netconf_device: NetconfDevice) -> None:
    """Why a push reads back: netconfd 2.13 drops what was validated before it was committed."""
    with connected(netconf_device) as session:
        assert session.edit_config(hostname("lost"), target="candidate").ok
        assert session.validate("candidate").ok
        assert session.commit().ok
        assert "lost" not in configured(session)


def test_a_second_session_is_told_who_holds_the_lock(netconf_device: NetconfDevice) -> None:
    with connected(netconf_device) as holder, connected(netconf_device) as other:
        holder.lock("candidate")
        with pytest.raises(operations.RPCError) as refused:
            other.lock("candidate")
        assert refused.value.tag == "lock-denied"
        assert f"<session-id>{holder.session_id}</session-id>" in str(refused.value.info)


def test_wipe_and_restart(netconf_device: NetconfDevice) -> None:
    with connected(netconf_device) as session:
        session.edit_config(hostname("saved"), target="candidate")
        session.commit()
        session.copy_config(source="running", target="startup")
    netconf_device.restart()
    with connected(netconf_device) as session:
        assert "saved" in configured(session)
    netconf_device.wipe()
    with connected(netconf_device) as session:
        stores = [configured(session, datastore) for datastore in ("running", "candidate", "startup")]
    assert ["<hostname>edge</hostname>" in store for store in stores] == [True] * 3


def test_a_killed_device_is_gone_and_a_frozen_one_is_silent(netconf_device: NetconfDevice) -> None:
    with contextlib.suppress(NCClientError), connected(netconf_device) as session:
        session.timeout = 0.3
        netconf_device.pause()
        with pytest.raises(operations.TimeoutExpiredError):
            configured(session)
        netconf_device.resume()
        below = [pid for root in netconf_device.pids for pid in tree(root)]
        assert len(below) > 2
        netconf_device.kill()
    assert [pid for pid in below if alive(pid)] == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((netconf_device.address, netconf_device.port), 1)


def test_a_cut_connection_releases_the_lock(netconf_device: NetconfDevice) -> None:
    with contextlib.suppress(NCClientError), connected(netconf_device) as session:
        session.lock("candidate")
        netconf_device.cut()
    with connected(netconf_device) as session:
        assert session.lock("candidate").ok


def test_nothing_but_netconf_is_served(netconf_device: NetconfDevice) -> None:
    """The account has a shell, because sshd needs one; a login must not get it."""

    async def ask() -> str:
        async with asyncssh.connect(
            netconf_device.address, netconf_device.port, username=netconf_device.user,
            password=netconf_device.password, known_hosts=None, client_keys=None, config=None,
        ) as connection:  # fmt: skip
            with pytest.raises(asyncssh.Error):
                await connection.open_connection("127.0.0.1", netconf_device.port)
            async with connection.create_process("id; echo broken-in") as process:
                return str(await asyncio.wait_for(process.stdout.readuntil("]]>]]>"), 30))

    assert "broken-in" not in asyncio.run(ask())


def test_twenty_devices_come_up_side_by_side(netconf_pool: NetconfPool, capsys: pytest.CaptureFixture[str]) -> None:
    before = time.perf_counter()
    devices = netconf_pool.take(20)
    took = time.perf_counter() - before
    with capsys.disabled():
        print(f"\n20 NETCONF devices up in {took:.2f} s")
    assert len({(device.address, device.port, device.host_key) for device in devices}) == 20
    with connected(devices[-1]) as session:
        assert "edge" in configured(session)


# ------------------------------------------------------------------------------------------------- FRR


async def test_a_route_typed_over_ssh_lands_in_the_kernel(frr_router: FrrRouter) -> None:
    shown = await typed(frr_router, "configure terminal", f"ip route {ROUTE} blackhole", "end", "write memory")
    assert "router-1(config)#" in shown
    assert frr_router.routed(ROUTE)
    assert [line.split()[0] for line in frr_router.kernel_routes() if ROUTE in line] == ["blackhole"]
    assert f"ip route {ROUTE} blackhole" in frr_router.saved.read_text()
    frr_router.restart()
    assert frr_router.routed(ROUTE)
    frr_router.kill()
    assert not any(ROUTE in line for line in frr_router.kernel_routes())
    frr_router.wipe()
    assert f"ip route {ROUTE}" not in await typed(frr_router, "show running-config")
    assert not frr_router.routed(ROUTE)


async def test_a_frozen_router_is_silent(frr_router: FrrRouter) -> None:
    frr_router.pause()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3), logged_in(frr_router):
            pass
    frr_router.resume()
    assert "router-1#" in await typed(frr_router)


# ---------------------------------------------------------------------------------------- nothing is left


def test_stop_leaves_nothing(netconf_device: NetconfDevice, frr_router: FrrRouter) -> None:
    # The shared ones are asked for only so that a machine without the tools skips this too.
    device, router = NetconfDevice(200), FrrRouter(200)
    device.start()
    router.start()
    name, directories = router.name, (device.directory, router.directory)
    roots = (*device.pids, *router.pids)
    running = [pid for root in roots for pid in tree(root)]
    # Below them something may end by itself, such as what served our probes of a port.
    assert len(running) >= 5 and all(map(alive, roots))
    assert name in namespaces()
    device.stop()
    router.stop()
    assert [pid for pid in running if alive(pid)] == []
    assert name not in namespaces()
    assert name.removeprefix("osdm") not in run("ip", "-oneline", "link")
    assert [path for path in (*directories, CONFIGURATIONS / name, STATES / name) if path.exists()] == []


def test_what_a_killed_lab_left_is_swept(frr_router: FrrRouter) -> None:
    program = "from lab.frr import FrrRouter; r = FrrRouter(); r.start(); print(r.name, flush=True); input()"
    lab = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert lab.stdin is not None and lab.stdout is not None
    with lab, lab.stdin, lab.stdout:
        name = lab.stdout.readline().strip()
        assert name in namespaces()
        lab.send_signal(signal.SIGKILL)
        lab.wait(10)
    assert list(Path(tempfile.gettempdir()).glob(f"opensdm-lab-{lab.pid}-*")) != []
    other = FrrRouter(201)
    try:
        other.start()
        assert name not in namespaces()
        assert list(Path(tempfile.gettempdir()).glob(f"opensdm-lab-{lab.pid}-*")) == []
    finally:
        other.stop()


def test_the_command_brings_up_and_down(netconf_device: NetconfDevice, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lab", "up", "--netconf", "1", "--frr", "0", "--sbc", "1"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    with (tmp_path / "out").open("w") as output:
        lab = subprocess.Popen(
            [*command, "--directory", str(tmp_path / "lab")], cwd=ROOT, stdout=output, env=environment
        )
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(lab.wait)
        cleanup.callback(lab.kill)
        for _ in range(3000):
            if "Ctrl-C" in (shown := (tmp_path / "out").read_text()):
                break
            assert lab.poll() is None, shown
            time.sleep(0.02)
        assert "netconf-1" in shown and "sbc-1" in shown and "ssh.host.key" in shown
        running = [pid for pid in tree(lab.pid) if pid != lab.pid]
        assert len(running) >= 3
        found = noted(tmp_path / "lab")
        assert found is not None and found[0] == lab.pid and len(found[1]) == 2
        lab.send_signal(signal.SIGINT)
        assert lab.wait(60) == 0
    assert noted(tmp_path / "lab") is None
    assert [pid for pid in running if alive(pid)] == []


# ----------------------------------------------------------------------------------------------- proxy


async def test_the_proxy_forwards_and_cuts(netconf_device: NetconfDevice) -> None:
    async with CuttingProxy(netconf_device.address, netconf_device.port) as proxy:

        def edit() -> str:
            with connected(netconf_device, proxy.listens_at) as session:
                session.edit_config(hostname("proxied"), target="candidate")
                session.commit()
                return configured(session)

        assert "proxied" in await asyncio.to_thread(edit)
        whole = proxy.passed["to_device"]
        assert proxy.connections == 1 and whole > 1000
        proxy.cut_after(whole // 2)
        with pytest.raises(NCClientError):
            await asyncio.to_thread(edit)
        assert proxy.passed["to_device"] == whole + whole // 2


async def test_the_proxy_cuts_refuses_and_waits() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while line := await reader.read(100):
                writer.write(line)
        writer.close()

    async def asked(port: int) -> bytes:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"0123456789")
            answer = await asyncio.wait_for(reader.read(100), 30)
            writer.close()
        except ConnectionError:
            return b""
        return answer

    async with (
        await asyncio.start_server(echo, "127.0.0.1", 0) as server,
        CuttingProxy("127.0.0.1", server.sockets[0].getsockname()[1]) as proxy,
    ):
        at = proxy.listens_at
        assert await asked(at) == b"0123456789"
        proxy.cut_connection(2)
        assert [await asked(at) for _ in range(3)] == [b"0123456789", b"", b"0123456789"]
        proxy.cut_after(4, "from_device")
        assert await asked(at) in (b"0123", b"")
        proxy.refuse()
        assert await asked(at) == b""
        proxy.behave()
        proxy.delay_s = 0.1
        before = time.perf_counter()
        assert await asked(at) == b"0123456789"
        assert time.perf_counter() - before >= 0.2
