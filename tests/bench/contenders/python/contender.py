"""python-socketio, and one of Python's producers behind it.

contender.py TASK. TASK is JSON, see rows/task.rs.
"""

import asyncio
import json
import os
import signal
import ssl
import sys

import aiohttp
import socketio


# Kept, or they would be collected.
tasks = []


def nowhere(task):
    """Notes the number of each notification, and says when it has seen them all."""
    wanted = task["count"]
    seen, counts = bytearray(wanted), {"all": 0, "wrong": 0}

    async def bring(_drive, argument):
        for notification in json.loads(argument)["value"]:
            number = int(notification["siteUrl"].rpartition("-")[2])
            if seen[number]:
                counts["wrong"] += 1
            seen[number] = 1
            counts["all"] += 1
            if counts["all"] == wanted:
                print(f"{counts['wrong']} wrong" if counts["wrong"] else "complete", flush=True)

    return bring


def kafka(task):
    """librdkafka under Python, with delivery callbacks."""
    from confluent_kafka import Producer

    producer = Producer(
        {
            "bootstrap.servers": task["servers"],
            "acks": "all",
            "enable.idempotence": True,
            "compression.type": "none",
            "linger.ms": task["linger_ms"],
            "queue.buffering.max.messages": 1000000,
        }
    )
    producer.list_topics(task["topic"])

    def delivered(error, _message):
        if error is not None:
            raise RuntimeError(error.str())

    async def bring(drive, argument):
        producer.produce(task["topic"], looked_at(argument), drive, on_delivery=delivered)
        producer.poll(0)

    async def poll():
        while True:
            producer.poll(0)
            await asyncio.sleep(0.01)

    tasks.append(asyncio.create_task(poll()))
    return bring


def redis(task):
    """redis-py waits for the answer to each command on its connection: a pipeline sends what came since the last one."""
    from redis.asyncio import Redis

    connection = Redis.from_url(f"redis://{task['address']}")
    waiting, state = [], {"sending": None}

    async def send():
        while waiting:
            pipeline = connection.pipeline(transaction=False)
            for body in waiting:
                pipeline.publish(task["channel"], body)
            waiting.clear()
            await pipeline.execute()
        state["sending"] = None

    async def bring(_drive, argument):
        waiting.append(looked_at(argument))
        if state["sending"] is None:
            state["sending"] = asyncio.create_task(send())

    return bring


def looked_at(argument):
    """Read, so that it is known to be a notification, and passed on as it came."""
    if not isinstance(json.loads(argument)["value"], list):
        raise ValueError("not a notification")
    return argument


TARGETS = {"nowhere": nowhere, "kafka": kafka, "redis": redis}


async def main():
    task = json.loads(sys.argv[1])
    [(target, to)] = task["to"].items()
    bring = TARGETS[target](to)
    context = ssl.create_default_context(cafile=task["ca"]) if task["ca"] else None
    clients = []
    for n in range(task["sockets"]):
        drive = f"bench-{n:04}"
        session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context) if context else None)
        client = socketio.AsyncClient(reconnection=False, http_session=session)

        async def notification(argument, drive=drive):
            await bring(drive, argument)

        client.on("notification", notification, namespace="/notifications")
        url = f"{task['origin']}/?token={drive}"
        await client.connect(url, transports=["websocket"], namespaces=["/notifications"], wait_timeout=30)
        clients.append(client)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    # Sockets are not said goodbye to: the load does not wait for it either.
    sys.stdout.flush()
    os._exit(0)


asyncio.run(main())
