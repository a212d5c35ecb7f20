// The package `ws`, with the options of OpenClaw's gateway: a server of `compare`, started by it.
// node ws.mjs FOLDER echo|rpc     says its port on stdout, and ends when its stdin does

import { createRequire } from "node:module";

const [folder, work] = process.argv.slice(2);
const { WebSocketServer } = createRequire(import.meta.url)(folder);

const answered = (text) => {
  const { id, params } = JSON.parse(text);
  return JSON.stringify({ type: "res", id, ok: true, payload: params });
};

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: 0,
  perMessageDeflate: false,
  allowSynchronousEvents: false,
  maxPayload: 25 * 1024 * 1024,
});
server.on("connection", (socket) => {
  socket.on("error", () => socket.terminate());
  socket.on("message", (data) => {
    const text = data.toString();
    socket.send(work === "rpc" ? answered(text) : text);
  });
});
server.on("listening", () => console.log(server.address().port));
process.stdin.on("end", () => process.exit()).resume();
