"""A drive's pages by aiohttp and json. The next page is asked for before this one is worked through.

walk.py TASK. TASK is JSON, see rows/task.rs.
"""

import asyncio
import json
import sys

import aiohttp


async def main():
    task = json.loads(sys.argv[1])
    wanted = task["to"]["nowhere"]["count"]
    seen, count, wrong = bytearray(wanted), 0, 0
    headers = {"Authorization": "Bearer EwB4A8l6BAAUopaque.access.token"}
    async with aiohttp.ClientSession(raise_for_status=True, headers=headers) as session:

        async def ask(url):
            async with session.get(url) as answer:
                return json.loads(await answer.read())

        coming = asyncio.create_task(ask(task["origin"] + "/v1.0/me/drive/root/delta"))
        while coming:
            page = await coming
            following = page.get("@odata.nextLink")
            coming = following and asyncio.create_task(ask(following))
            # So that it is sent before this one is worked through.
            await asyncio.sleep(0)
            for item in page["value"]:
                number = int(item["id"][-8:])
                if seen[number]:
                    wrong += 1
                seen[number] = 1
                count += 1
    print("complete" if count == wanted and not wrong else f"{count} came, {wrong} of them wrong", flush=True)
    # Until it is ended: what it took is looked at.
    await asyncio.Event().wait()


asyncio.run(main())
