// Sends each line of its standard input to every subscriber; says its port. With Node's `ws`.
"use strict";
const { createInterface } = require("node:readline");
const { WebSocket, WebSocketServer } = require("ws");

const server = new WebSocketServer({ host: "127.0.0.1", port: 0, backlog: 4096 }, () => {
  console.log(server.address().port);
});
createInterface({ input: process.stdin }).on("line", (line) => {
  const data = Buffer.from(line);
  for (const client of server.clients) {
    if (client.readyState === WebSocket.OPEN) client.send(data, { binary: false });
  }
});
