"""Writes what the driver makes of captured sessions beside them, to be read by whoever adds them.

python -m tests.cli_expected tests/data/devices/PLATFORM/NAME.session...
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from tests.contract.test_cli_captures import described, load


async def main(paths: list[Path]) -> None:
    for path in paths:
        facts, elements = await load(path)
        found = {"facts": facts, "elements": [described(element) for element in elements]}
        file = path.with_suffix(".expected.json")
        file.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
        print(f"{file}: {len(elements)} elements")


if __name__ == "__main__":
    asyncio.run(main([Path(name) for name in sys.argv[1:]]))
