"""What is done to many devices at once, each for itself: load, and push as work that goes on by itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from opensdm.core.element import Element
from opensdm.core.operations import AddElement, ListTasks, LockDevice
from opensdm.simulator import VirtualSbc
from tests.gatehouse import house_with_users
from tests.proof.place import soon
from tests.web.plain import pages_of, sign_in, token_in


@pytest.mark.parametrize("held_by_another", [False, True])
async def test_a_selection_is_loaded_and_pushed_to(held_by_another: bool, tmp_path: Path) -> None:
    sbcs = [VirtualSbc(f"edge-{n}", username="ops", password="s3cret-pw", plain_http=True) for n in (1, 2)]
    async with house_with_users(f"sqlite:///{tmp_path / 'opensdm.db'}", tmp_path) as house:
        try:
            ids = []
            for sbc in sbcs:
                host, port = await sbc.start("127.0.0.1", 0)
                ids.append(await house.enrol(sbc.name, f"{host}:{port}", transport="http"))
            async with pages_of(house) as http:
                await sign_in(http, "alice")
                csrf = token_in((await http.get("/web/devices")).text)
                chosen = {"csrf": csrf, "device": [f"ID{device}" for device in ids]}
                loaded = await http.post("/web/selection", data={**chosen, "kind": "load"})
                assert "2 devices loaded" in loaded.text, loaded.text
                redrawn = loaded.text.partition('hx-swap-oob="innerHTML"')[2]
                assert redrawn.count(" checked>") == redrawn.count(">in sync<") == 2
                idle = (await http.post("/web/selection", data={**chosen, "kind": "push"})).text
                assert "0 devices being pushed to, 2 with nothing to push" in idle, idle
                assert idle.count("you have nothing staged there") == 2
                for device in ids:
                    await house.do("alice", AddElement(device_id=device, element=Element("realmConfig", {"id": "new"})))
                if held_by_another:
                    await house.do("bob", LockDevice(device_id=ids[1], reason="night work"))
                pushed = await http.post("/web/selection", data={**chosen, "kind": "push"})
                refused = "1 device being pushed to, 1 refused" in pushed.text
                assert refused if held_by_another else "2 devices being pushed to" in pushed.text, pushed.text
                assert ("night work" in pushed.text) == held_by_another
                tasks = re.findall(r"/web/devices/ID\d+/provisioning/tasks/([\w-]+)", pushed.text)
                assert len(tasks) == len(ids) - held_by_another
                assert "every 1s" in pushed.text

                async def over() -> bool:
                    listed = (await house.do("alice", ListTasks())).items
                    return {task.state.value for task in listed if task.task_id in tasks} == {"SUCCESS"}

                await soon(over, "the pushes end")
                asked = {"task": tasks, "q": "edge", "device": chosen["device"]}
                ended = (await http.get("/web/selection/tasks", params=asked)).text
                assert ended.count("push succeeded") == len(tasks) and "every 1s" not in ended
                assert ended.count(" checked>") == 2 and 'value="edge"' in ended
                wrong = await http.post("/web/selection", data={**chosen, "kind": "reboot"})
                assert wrong.status_code == 400 and "lock, unlock, load, push" in wrong.text
        finally:
            for sbc in sbcs:
                await sbc.stop()
