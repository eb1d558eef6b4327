// Talks through turnstream.js with client tokens of ten seconds, and prints, as JSON, what came of it.
// Its arguments are the URL of a service with keys, and a key.
import { connect } from "turnstream";
import WebSocket from "ws";

const [url, key] = process.argv.slice(2);
const SHORT = { input: "Hello!", max_output_tokens: 4 };
const said = { sockets: 0, asked: [] };

class Counted extends WebSocket {
  constructor(...args) {
    super(...args);
    said.sockets++;
  }
}

const refused = connect({ url, key: "wrong", WebSocket });
said.refused = await refused.create(SHORT).done.catch(({ code }) => code);
said.state = [refused.state, refused.error.code];

const maker = connect({ url, key, WebSocket });
async function token(error) {
  said.asked.push(error?.code ?? null);
  if (!error) return "wrong";
  const json = { expires_after: { anchor: "created_at", seconds: 10 } };
  return (await maker.http("client_tokens", { json })).value;
}
const client = connect({ url, token, WebSocket: Counted });
await client.create(SHORT).done;
said.opened = said.sockets;
while (said.asked.length < 3) await new Promise((go) => setTimeout(go, 50));
await client.create(SHORT).done;
said.renewed = said.sockets;

for (const each of [maker, client]) each.close();
console.log(JSON.stringify(said));
