#!/usr/bin/env python3
"""Reads drivetap's events from Kafka: drops repeats by id, and says so if a feed's sequence skips.

read_kafka.py BOOTSTRAP_SERVERS TOPIC    (Debian: apt-get install python3-confluent-kafka)
"""
import sys
from confluent_kafka import Consumer

servers, topic = sys.argv[1:]
consumer = Consumer({"bootstrap.servers": servers, "group.id": "drivetap-reader", "auto.offset.reset": "earliest"})
consumer.subscribe([topic])
seen, last = {}, {}  # the newest ids, oldest first; the last number of each feed
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
    if event["id"] in seen:
        continue
    seen[event["id"]] = True
    if len(seen) > 100_000:
        del seen[next(iter(seen))]
    print(event["id"], event["type"], message.value().decode(), flush=True)
