// Talks through turnstream.js while a test breaks its connection, and prints, as JSON, what came of it.
// A line on stdout says what is to be done; a line on stdin, that it was. Its arguments are the proxy's URL
// and how many tokens a long answer may have.
import { createInterface } from "node:readline";
import { connect, memoryStorage } from "turnstream";
import WebSocket from "ws";

const STORY = { input: "Write a long story.", temperature: 0, max_output_tokens: Number(process.argv[3]) };
const SHORT = { ...STORY, max_output_tokens: 20 };
const storage = memoryStorage();
const url = process.argv[2];
let client = connect({ url, WebSocket, storage });
const said = {};
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function please(word) {
  console.log(word);
  await lines.next();
}

async function joined(turn) {
  let text = "";
  for await (const slice of turn.slices()) text += slice;
  return text;
}

async function becomes(state) {
  while (client.state !== state) await new Promise((go) => setTimeout(go, 10));
}

const stored = async ({ id }) => (await client.http(`responses/${id}`)).output[0].content[0].text;

// Cut at random times while four turns are answered, two of them on one lane.
await please("cut at random");
const turns = [null, null, "one", "one"].map((lane, i) => client.create({ ...STORY, seed: i }, { lane: lane ?? undefined }));
const texts = await Promise.all(turns.map(joined));
// More is said while another answer is written: it ends, and its successor goes on with that. What
// a cut delays until the answer has ended is given back, so then it is another answer's turn.
let long, more, response;
do {
  long = client.create({ ...STORY, max_output_tokens: 600 });
  more = [long.steer("Who directed Titanic?"), long.steer("And when?")];
  response = await long.done;
} while (more.some(({ state }) => state !== "accepted"));
const successor = await long.successor.done;
await please("stop");
said.steered = [more.map(({ state }) => state), response.incomplete_details.reason];
said.follows = successor.previous_response_id === long.id;
const { data } = await client.http(`responses/${successor.id}/input_items?order=asc`);
said.added = data.map(({ content }) => content[0].text);
said.given = [long.successor.text, await stored(long.successor)];
said.cut = [texts, await Promise.all(turns.map(stored))];

// The request arrives and its answer does not.
await please("lose a reply");
const lost = client.create(SHORT);
said.lost = [await joined(lost), await stored(lost)];
const again = client.create(SHORT, { idempotencyKey: lost.key });
await again.done;
said.once = again.id === lost.id;

// Asked without a network, by a client that is gone before there is one.
await please("refuse");
await becomes("waiting");
client.create(SHORT, { idempotencyKey: `first ${lost.id}` });
client.create(SHORT, { idempotencyKey: `second ${lost.id}` });
said.waiting = client.turns.map(({ state }) => state);
client.close();
await please("accept");
client = connect({ url, WebSocket, storage });
const restored = await client.restore();
await Promise.all(restored.map(({ done }) => done));
said.restored = restored.map(({ key, state }) => [key.split(" ")[0], state]);
said.outbox = (await client.restore()).length;

client.close();
console.log(JSON.stringify(said));
process.exit();
