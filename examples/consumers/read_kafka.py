#!/usr/bin/env python3
"""Reads drivetap's events from Kafka: drops repeats by id, and says so if a feed's sequence skips.

A repeat is an event with the id of the newest one of its item: what came before that may rightly come again.

read_kafka.py BOOTSTRAP_SERVERS TOPIC    (Debian: apt-get install python3-confluent-kafka)
"""
import sys
from confluent_kafka import Consumer

servers, topic = sys.argv[1:]
consumer = Consumer({"bootstrap.servers": servers, "group.id": "drivetap-reader", "auto.offset.reset": "earliest"})
consumer.subscribe([topic])
newest, last = {}, {}  # the newest id of each item; the last number of each feed
while True:
    message = consumer.poll(1.0)
    if message is None or message.error():
        continue
    event = {name[3:]: value.decode() for name, value in message.headers() if name.startswith("ce_")}
    if "sequence" in event:  # of a change or a resync: it can repeat, and never skips
        feed, number = (event["account"], event["partitionkey"]), int(event["sequence"])
        if number > last.get(feed, number) + 1:
            print(f"lost: {feed} goes from {last[feed]} to {number}", file=sys.stderr, flush=True)
        last[feed] = number
    item = (event["account"], event["source"], event.get("subject", event["id"]))
    repeat = newest.pop(item, None) == event["id"]
    newest[item] = event["id"]
    if len(newest) > 100_000:
        del newest[next(iter(newest))]  # the one that was silent for longest
    if repeat:
        continue
    print(event["id"], event["type"], message.value().decode(), flush=True)
