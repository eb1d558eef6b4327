// Two clients follow one conversation through a proxy while a third, at the service, talks in it. Prints, as
// JSON, what each has seen. Its arguments are the URLs of the proxy and of the service.
import { createInterface } from "node:readline";
import { connect } from "turnstream";
import WebSocket from "ws";

const [, , proxy, service] = process.argv;
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const said = {};
const feeds = [];

async function please(word) {
  console.log(word);
  await lines.next();
}

const writer = connect({ url: service, WebSocket });
const { id } = await writer.http("conversations", { json: {} });

async function watch() {
  const client = connect({ url: proxy, WebSocket });
  const feed = client.follow(id);
  feeds.push(feed);
  const numbers = [];
  const texts = [];
  for await (const entry of feed) {
    numbers.push(entry.sequence_number);
    if (entry.type === "turnstream:conversation.response.created") {
      const turn = client.resume(entry.response_id);
      texts.push(turn.done.then(() => turn.text, ({ code }) => code));
    }
  }
  const seen = [numbers, await Promise.all(texts), feed.ended, feed.error];
  client.close();
  return seen;
}

const watching = [watch(), watch()];
await please("cut at random");
said.texts = [];
for (let seed = 0; seed < 2; seed++) {
  const params = { input: "Write a long story.", conversation: id, temperature: 0, seed, max_output_tokens: 30 };
  const turn = writer.create(params);
  await turn.done;
  said.texts.push(turn.text);
}
await please("stop");
// What was not read by then is gone with the conversation.
while (feeds.some(({ cursor }) => parseInt(cursor) < 4)) await new Promise((go) => setTimeout(go, 10));
// Deleted while the followers have no connection.
await please("refuse");
await writer.http(`conversations/${id}`, { method: "DELETE" });
await please("accept");
said.seen = await Promise.all(watching);

const codes = [];
for (const [unknown, after] of [["conv_" + "0".repeat(32), -1], [(await writer.http("conversations", { json: {} })).id, 5]]) {
  try {
    for await (const entry of writer.follow(unknown, { after })) codes.push(entry.type);
  } catch ({ code }) {
    codes.push(code);
  }
}
said.codes = codes;
const open = writer.follow((await writer.http("conversations", { json: {} })).id);
for await (const entry of open) {
  said.first = entry.type;
  open.close();
}
writer.close();
console.log(JSON.stringify(said));
process.exit();
