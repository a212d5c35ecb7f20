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

const payloads = { "connect.challenge": null, tick: "TickEvent", shutdown: "ShutdownEvent", presence: null };
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

const results = { health: null, status: null, "system-presence": null, "config.get": null, "channels.status": "ChannelsStatusResult" };
const main = await open({ token });

await step("it is let in, and what it is offered works", async () => {
  assert.equal(main.heard.hello.protocol, 4);
  assert.deepEqual([...main.heard.hello.features.methods].sort(), Object.keys(results).sort());
  for (const [method, definition] of Object.entries(results)) {
    const payload = await main.client.request(method, {});
    if (definition) valid(definition, payload);
  }
});
await step("an unknown method and params of the wrong shape are refused with the reason", async () => {
  await assert.rejects(main.client.request("nope.method", {}), /unknown method: nope\.method/);
  await assert.rejects(main.client.request("channels.status", { zzz: 1 }), /unexpected property 'zzz'/);
});
await step("a wrong token is refused and not tried again", async () => {
  await assert.rejects(open({ token: "wrong" }), /gateway token mismatch/);
});
await step("a device proves itself by its signature", async () => {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const raw = publicKey.export({ type: "spki", format: "der" }).subarray(-32);
  const device = await open({
    token,
    deviceIdentity: {
      deviceId: createHash("sha256").update(raw).digest("hex"),
      privateKeyPem: privateKey.export({ type: "pkcs8", format: "pem" }),
      publicKeyPem: publicKey.export({ type: "spki", format: "pem" }),
    },
    hostDeps: {
      signDevicePayload: (_, payload) => sign(null, Buffer.from(payload), privateKey).toString("base64url"),
      publicKeyRawBase64UrlFromPem: () => raw.toString("base64url"),
      loadDeviceAuthToken: () => null,
      storeDeviceAuthToken: () => {},
    },
  });
  const presence = await device.client.request("system-presence", {});
  assert.ok(presence.some((entry) => entry.deviceId), JSON.stringify(presence));
  await until("the other one has seen it come", () => main.heard.events.some((event) => event.event === "presence"));
  device.client.stop();
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
