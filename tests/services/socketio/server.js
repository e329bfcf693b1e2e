// The official socket.io server as a test drives it. What it prints and obeys: ../README.md.
"use strict";

const { readFileSync } = require("node:fs");
const http = require("node:http");
const https = require("node:https");
const readline = require("node:readline");

const options = {
  port: 0,
  namespace: "/notifications",
  path: "/socket.io/",
  pingInterval: 25000,
  pingTimeout: 20000,
  major: 4,
  ...JSON.parse(process.argv[2] ?? "{}"),
};
const { Server } = require(options.major === 3 ? "socket.io-3" : "socket.io");
let refusal = options.refuse ?? false;

const print = (line) => process.stdout.write(JSON.stringify(line) + "\n");

const web = options.cert
  ? https.createServer({ cert: readFileSync(options.cert), key: readFileSync(options.key) })
  : http.createServer();

const io = new Server(web, {
  path: options.path,
  pingInterval: options.pingInterval,
  pingTimeout: options.pingTimeout,
  transports: ["websocket"], // Graph's service answers nothing else.
  serveClient: false,
});

io.engine.on("connection", (connection) => {
  const { url, headers } = connection.request;
  print({ event: "upgrade", url, headers: Object.keys(headers) });
  connection.on("close", (reason) => print({ event: "engine_close", reason }));
});

const namespace = io.of(options.namespace);

namespace.use((socket, next) => {
  if (refusal === false) return next();
  print({ event: "refused", nsp: socket.nsp.name });
  next(new Error(refusal));
});

namespace.on("connection", (socket) => {
  const { url, headers } = socket.request;
  const query = url.slice(url.indexOf("?") + 1);
  print({ event: "connect", id: socket.id, nsp: socket.nsp.name, query, headers: Object.keys(headers) });
  socket.on("disconnect", (reason) => print({ event: "disconnect", id: socket.id, reason }));
});

const obey = (command) => {
  if ("emit" in command) return namespace.emit("notification", command.emit);
  if ("emitObject" in command) return namespace.emit("notification", command.emitObject);
  if ("emitEvent" in command) return namespace.emit(command.emitEvent, ...(command.args ?? []));
  if ("refuse" in command) return (refusal = command.refuse);
  if ("emitAck" in command) {
    const acked = () => print({ event: "acked" });
    return namespace.sockets.forEach((socket) => socket.emit("notification", command.emitAck, acked));
  }
  if ("emitBinary" in command) return namespace.emit(command.emitBinary, Buffer.from("attached"), Buffer.from(""));
  // Not `disconnectSockets`, which came with version 4.
  if (command.disconnect) return namespace.sockets.forEach((socket) => socket.disconnect(false));
  if (command.closeEngine) return namespace.sockets.forEach((socket) => socket.conn.close());
  throw new Error(`no such command: ${JSON.stringify(command)}`);
};

readline
  .createInterface({ input: process.stdin })
  .on("line", (line) => {
    try {
      obey(JSON.parse(line));
    } catch (error) {
      print({ event: "error", message: error.message });
    }
  })
  // Whoever started this is gone, or done: sockets that are still open must not keep it alive.
  .on("close", () => process.exit(0));

web.listen(options.port, "127.0.0.1", () => print({ port: web.address().port }));
