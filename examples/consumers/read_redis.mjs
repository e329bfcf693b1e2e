#!/usr/bin/env node
// Reads drivetap's events from Redis: drops repeats by id, and says so if a feed's sequence skips.
// A repeat is an event with the id of the newest one of its item: what came before that may rightly come again.
//
// read_redis.mjs redis://127.0.0.1:6379 CHANNEL    (here, first: npm ci)
import { createClient } from "@redis/client";

const [url, channel] = process.argv.slice(2);
const newest = new Map(); // the newest id of each item
const last = new Map(); // the last number of each feed

const client = await createClient({ url }).on("error", (error) => console.error(error.message)).connect();
await client.subscribe(channel, (message) => {
  const event = JSON.parse(message);
  if (event.sequence) { // of a change or a resync: it can repeat, and never skips
    const feed = `${event.account} ${event.partitionkey}`;
    const number = BigInt(event.sequence);
    const before = last.get(feed) ?? number;
    if (number > before + 1n) console.error(`lost: ${feed} goes from ${before} to ${number}`);
    last.set(feed, number);
  }
  const item = `${event.account} ${event.source} ${event.subject ?? event.id}`;
  const repeat = newest.get(item) === event.id;
  newest.delete(item);
  if (newest.set(item, event.id).size > 100_000) newest.delete(newest.keys().next().value); // silent for longest
  if (repeat) return;
  console.log(event.id, event.type, JSON.stringify(event.data));
});
console.error(`listening on ${channel}`);
