// The official client against a gateway that runs: connects, proves itself by a device, calls, sees others come and go,
// is sent away and comes again. Every frame that the gateway sends is held to the published schema.
//
// node check.mjs URL TOKEN PID: PID is the gateway, which is told to restart in place and to stop.
import assert from "node:assert/strict";
import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { readFileSync } from "node:fs";
import Ajv from "ajv";
import WebSocket from "ws";
import { GatewayClient } from "@openclaw/gateway-client";

const [url, token, pid] = process.argv.slice(2);
const published = "node_modules/@openclaw/gateway-protocol/protocol.schema.json";
const schema = JSON.parse(readFileSync(new URL(published, import.meta.url), "utf8"));
const ajv = new Ajv({ strict: false, allErrors: true, logger: false });
ajv.addSchema(schema, "protocol");
const valid = (name, value) => {
  const check = ajv.getSchema(`protocol#/definitions/${name}`);
  assert.ok(check, `the schema has no ${name}`);
  assert.ok(check(value), `${name}: ${ajv.errorsText(check.errors)}\n${JSON.stringify(value)}`);
};

// The events that are announced, and what the schema calls their payloads where it has a name for them.
const payloads = {
  chat: "ChatEvent",
  "connect.challenge": null,
  cron: null,
  "device.pair.requested": "DevicePairRequestedEvent",
  "device.pair.resolved": "DevicePairResolvedEvent",
  health: null,
  presence: null,
  "session.message": null,
  "sessions.changed": null,
  shutdown: "ShutdownEvent",
  tick: "TickEvent",
};
let frames = 0;
const look = (text) => {
  const frame = JSON.parse(text);
  frames += 1;
  if (frame.type === "event") {
    valid("EventFrame", frame);
    assert.ok(frame.event in payloads, `an event that is not announced: ${frame.event}`);
    if (payloads[frame.event]) valid(payloads[frame.event], frame.payload);
    for (const entry of frame.payload.presence ?? []) valid("PresenceEntry", entry);
  } else {
    valid("ResponseFrame", frame);
    if (frame.payload?.type === "hello-ok") valid("HelloOk", frame.payload);
  }
};
// Whatever any socket of the client hears is looked at first.
const emit = WebSocket.prototype.emit;
WebSocket.prototype.emit = function (name, ...rest) {
  if (name === "message") look(rest[0].toString());
  return emit.call(this, name, ...rest);
};

const open = (options) =>
  new Promise((resolve, reject) => {
    const heard = { events: [], closes: [], hellos: 0 };
    const client = new GatewayClient({
      url,
      deviceIdentity: null,
      clientName: "test",
      mode: "test",
      scopes: ["operator.admin"],
      ...options,
      onEvent: (event) => heard.events.push(event),
      onClose: (code, reason) => heard.closes.push(`${code} ${reason}`),
      onConnectError: (error) => (reject(error), client.stop()),
      onHelloOk: (hello) => {
        heard.hello = hello;
        heard.hellos += 1;
        resolve({ client, heard });
      },
    });
    client.start();
  });
const until = async (what, holds) => {
  for (let tries = 0; !holds(); tries += 1) {
    assert.ok(tries < 500, `never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};
const step = async (name, run) => {
  await run();
  console.log(`ok  ${name}`);
};

const each = (name, key) => (payload) => payload[key].forEach((row) => valid(name, row));
// Everything that is offered: with which params, and what the answer must be.
const calls = {
  health: [{}, (payload) => assert.equal(payload.ok, true)],
  status: [{}, (payload) => assert.equal(payload.pid, Number(pid))],
  "system-presence": [{}, (payload) => payload.forEach((entry) => valid("PresenceEntry", entry))],
  "config.get": [{}, (payload) => assert.equal(payload.exists, true)],
  "channels.status": [{}, (payload) => valid("ChannelsStatusResult", payload)],
  "sessions.subscribe": [{}, (payload) => assert.equal(payload.subscribed, true)],
  "sessions.messages.subscribe": [{ key: "main" }, (payload) => assert.equal(payload.key, "main")],
  "chat.send": [
    { sessionKey: "main", message: "hi", idempotencyKey: "k" },
    (payload) => assert.deepEqual(payload, { runId: "k", status: "started" }),
  ],
  "chat.history": [{ sessionKey: "main" }, (payload) => assert.equal(payload.messages[0].content[0].text, "hi")],
  "sessions.list": [{}, each("SessionRow", "sessions")],
  "sessions.messages.unsubscribe": [{ key: "main" }, (payload) => assert.equal(payload.subscribed, false)],
  "sessions.unsubscribe": [{}, (payload) => assert.equal(payload.subscribed, false)],
  "cron.list": [{ includeDisabled: true }, each("CronJob", "jobs")],
  "cron.status": [{}, (payload) => assert.equal(payload.jobs, 2)],
  "cron.run": [{ id: "once" }, (payload) => assert.equal(payload.ok, true)],
  "cron.runs": [{}, each("CronRunLogEntry", "entries")],
  "device.pair.list": [{}, (payload) => assert.deepEqual(payload, { pending: [], paired: [] })],
  "device.pair.approve": [{ requestId: "x" }, /unknown requestId/],
  "device.pair.reject": [{ requestId: "x" }, /unknown requestId/],
  "device.pair.remove": [{ deviceId: "x" }, /unknown deviceId/],
  "device.token.revoke": [{ deviceId: "x", role: "operator" }, /unknown deviceId/],
  "diagnostics.stability": [{}, (payload) => assert.equal(payload.count, payload.events.length)],
  "gateway.identity.get": [{}, (payload) => assert.equal(payload.deviceId.length, 64)],
  "gateway.restart.preflight": [{}, (payload) => assert.equal(payload.counts.clients, 1)],
  "logs.tail": [{}, (payload) => valid("LogsTailResult", payload)],
  "last-heartbeat": [{}, (payload) => assert.equal(payload, null)],
};
const main = await open({ token });

await step("it is let in, and what it is offered works", async () => {
  assert.equal(main.heard.hello.protocol, 4);
  assert.deepEqual([...main.heard.hello.features.methods].sort(), Object.keys(calls).sort());
  assert.deepEqual([...main.heard.hello.features.events].sort(), Object.keys(payloads).sort());
  for (const [method, [params, expected]] of Object.entries(calls)) {
    assert.ok(schema.methods[method] || method === "sessions.unsubscribe", `the protocol has no ${method}`);
    const answer = main.client.request(method, params);
    if (expected instanceof RegExp) await assert.rejects(answer, expected, method);
    else expected(await answer);
  }
});
await step("a message is answered once, and both are heard of", async () => {
  const params = { sessionKey: "main", message: "hi", idempotencyKey: "k" };
  await until("it is answered", () => main.heard.events.some((event) => event.event === "chat"));
  assert.deepEqual(await main.client.request("chat.send", params), { runId: "k", status: "ok" });
  const { messages } = await main.client.request("chat.history", { sessionKey: "main" });
  assert.deepEqual(messages.map((message) => message.content[0].text), ["hi", "echo: hi"]);
});
await step("a job that was asked for has run", async () => {
  await until("it has", () => main.heard.events.some((event) => event.payload?.action === "finished"));
  const { entries } = await main.client.request("cron.runs", { id: "once" });
  entries.forEach((entry) => valid("CronRunLogEntry", entry));
  assert.equal(entries[0].status, "ok");
});
await step("an unknown method and params of the wrong shape are refused with the reason", async () => {
  await assert.rejects(main.client.request("nope.method", {}), /unknown method: nope\.method/);
  await assert.rejects(main.client.request("channels.status", { zzz: 1 }), /unexpected property 'zzz'/);
});
await step("a wrong token is refused and not tried again", async () => {
  await assert.rejects(open({ token: "wrong" }), /gateway token mismatch/);
});
const pair = generateKeyPairSync("ed25519");
const raw = pair.publicKey.export({ type: "spki", format: "der" }).subarray(-32);
const deviceId = createHash("sha256").update(raw).digest("hex");
// What the client has been given, as it keeps it.
let kept = null;
const device = {
  deviceIdentity: {
    deviceId,
    privateKeyPem: pair.privateKey.export({ type: "pkcs8", format: "pem" }),
    publicKeyPem: pair.publicKey.export({ type: "spki", format: "pem" }),
  },
  hostDeps: {
    signDevicePayload: (_, payload) => sign(null, Buffer.from(payload), pair.privateKey).toString("base64url"),
    publicKeyRawBase64UrlFromPem: () => raw.toString("base64url"),
    loadDeviceAuthToken: () => kept,
    storeDeviceAuthToken: ({ token, scopes }) => (kept = { token, scopes }),
    clearDeviceAuthToken: () => (kept = null),
  },
};
await step("a device proves itself by its signature, and is given a token", async () => {
  const { client, heard } = await open({ token, ...device });
  const presence = await client.request("system-presence", {});
  assert.ok(presence.some((entry) => entry.deviceId === deviceId), JSON.stringify(presence));
  await until("the other one has seen it come", () => main.heard.events.some((event) => event.event === "presence"));
  assert.equal(heard.hello.auth.deviceToken.length, 43);
  assert.equal(kept.token, heard.hello.auth.deviceToken);
  client.stop();
});
await step("it comes again with that token alone, until the token is revoked", async () => {
  const { client, heard } = await open(device);
  assert.equal(heard.hello.auth.deviceToken, undefined);
  const { paired } = await main.client.request("device.pair.list", {});
  assert.equal(paired[0].deviceId, deviceId);
  await main.client.request("device.token.revoke", { deviceId, role: "operator" });
  await until("it was sent away", () => heard.closes.length > 0);
  client.stop();
  await assert.rejects(open(device), /device token mismatch/);
  assert.equal(kept, null, "the client has thrown it away");
});
await step("a restart in place sends it away, and it comes again by itself", async () => {
  process.kill(Number(pid), "SIGUSR1");
  await until("it has come again", () => main.heard.hellos === 2);
  assert.deepEqual(main.heard.closes, ["1012 service restart"]);
  assert.ok(main.heard.events.some((event) => event.event === "shutdown"));
  await main.client.request("health", {});
});
await step("a stop is told before it comes", async () => {
  process.kill(Number(pid), "SIGTERM");
  await until("it was sent away", () => main.heard.closes.length === 2);
  assert.equal(main.heard.closes[1], "1012 service restart");
  main.client.stop();
});
console.log(`${frames} frames, all as the schema wants them`);
process.exit(0);
