#!/usr/bin/env node
// Reads drivetap's events from Redis: drops repeats by id, and says so if a feed's sequence skips.
//
// read_redis.mjs redis://127.0.0.1:6379 CHANNEL    (here, first: npm ci)
import { createClient } from "@redis/client";

const [url, channel] = process.argv.slice(2);
const seen = new Set(); // the newest ids, oldest first
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
  if (seen.has(event.id)) return;
  if (seen.add(event.id).size > 100_000) seen.delete(seen.values().next().value);
  console.log(event.id, event.type, JSON.stringify(event.data));
});
console.error(`listening on ${channel}`);
