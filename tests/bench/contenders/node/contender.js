// socket.io's official client, and one of Node's producers behind it: what the JavaScript sample would become.
//
// node contender.js CLIENT TASK. CLIENT is `none`, `kafka-javascript`, `kafkajs` or `ioredis`; TASK is JSON, see rows/task.rs.
"use strict";

const { io } = require("socket.io-client");

const [client, text] = process.argv.slice(2);
const task = JSON.parse(text);

const clients = {
  // Notes the number of each notification, and says when it has seen them all.
  async none({ nowhere }) {
    const seen = new Uint8Array(nowhere.count);
    let [count, wrong] = [0, 0];
    return (drive, argument) => {
      for (const { siteUrl } of JSON.parse(argument).value) {
        const number = Number(siteUrl.slice(siteUrl.lastIndexOf("-") + 1));
        if (seen[number] === 0) seen[number] = 1;
        else wrong += 1;
        count += 1;
        if (count === nowhere.count) console.log(wrong === 0 ? "complete" : `${wrong} wrong`);
      }
    };
  },

  // librdkafka under Node, with delivery callbacks.
  async "kafka-javascript"({ kafka }) {
    const { Producer } = require("@confluentinc/kafka-javascript");
    const producer = new Producer({
      "bootstrap.servers": kafka.servers,
      "acks": "all",
      "enable.idempotence": true,
      "compression.type": "none",
      "linger.ms": kafka.linger_ms,
      "queue.buffering.max.messages": 1000000,
      "dr_cb": true,
    });
    producer.on("delivery-report", (error) => {
      if (error) throw error;
    });
    producer.on("event.error", (error) => console.error(error.message));
    await new Promise((resolve, reject) => producer.connect({}, (error) => (error ? reject(error) : resolve())));
    producer.setPollInterval(10);
    return (drive, argument) => producer.produce(kafka.topic, null, Buffer.from(looked_at(argument)), drive);
  },

  // kafkajs sends what it is given in one request, and waits: so what came since the last request goes in the next one.
  async kafkajs({ kafka }) {
    const { Kafka, Partitioners, logLevel } = require("kafkajs");
    const kafkajs = new Kafka({ brokers: kafka.servers.split(","), logLevel: logLevel.ERROR });
    const producer = kafkajs.producer({
      createPartitioner: Partitioners.DefaultPartitioner,
      idempotent: true,
      maxInFlightRequests: 1,
    });
    await producer.connect();
    const waiting = [];
    let sending = false;
    const send = async () => {
      sending = true;
      while (waiting.length > 0) {
        // As many as a broker takes in one request by its default, a mebibyte.
        const messages = waiting.splice(0, 2000);
        await producer.send({ topic: kafka.topic, acks: -1, messages });
      }
      sending = false;
    };
    return (drive, argument) => {
      waiting.push({ key: drive, value: looked_at(argument) });
      if (!sending) setTimeout(() => sending || send(), kafka.linger_ms);
    };
  },

  async ioredis({ redis }) {
    const { Redis } = require("ioredis");
    const [host, port] = redis.address.split(":");
    const connection = new Redis({ host, port: Number(port), enableAutoPipelining: true });
    await connection.ping();
    return (drive, argument) => connection.publish(redis.channel, looked_at(argument));
  },
};

// Read, so that it is known to be a notification, and passed on as it came.
function looked_at(argument) {
  if (!Array.isArray(JSON.parse(argument).value)) throw new Error("not a notification");
  return argument;
}

async function main() {
  const bring = await clients[client](task.to);
  for (let n = 0; n < task.sockets; n += 1) {
    const drive = `bench-${String(n).padStart(4, "0")}`;
    const url = `${task.origin}/notifications?token=${drive}`;
    const socket = io(url, { transports: ["websocket"], forceNew: true, reconnection: false });
    socket.on("notification", (argument) => bring(drive, argument));
    await new Promise((resolve, reject) => socket.once("connect", resolve).once("connect_error", reject));
  }
}

process.on("SIGTERM", () => process.exit(0));
process.on("unhandledRejection", (error) => {
  console.error(error);
  process.exit(1);
});
main();
