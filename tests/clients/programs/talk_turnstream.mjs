// Talks through turnstream.js and prints, as JSON, what came of it. Its argument is the service's URL.
import { connect } from "turnstream";
import WebSocket from "ws";

const TITANIC = { input: "Do you know the movie Titanic?", temperature: 0 };
// What was said is said again and again: it does not end by itself.
const LONG = { input: "Write a long story.", temperature: 0, frequency_penalty: -2, max_output_tokens: 1500 };
const client = connect({ url: process.argv[2], WebSocket });
const said = {};

async function joined(turn) {
  let text = "";
  for await (const slice of turn.slices()) text += slice;
  return text;
}

const turn = client.create(TITANIC);
said.chat = await joined(turn);
said.again = await joined(turn);
said.events = [];
for await (const event of turn.events()) said.events.push(event.sequence_number);
const { id } = await turn.done;
said.stored = (await client.http(`responses/${id}`)).output[0].content[0].text;
const next = client.create({ input: "Who is the director of the movie?", temperature: 0, previous_response_id: id });
await next.done;
said.continue = next.text;

// By its id, whole and from the middle, also from after its end.
const other = connect({ url: `${process.argv[2]}/v1/`, WebSocket });
said.resumed = await joined(other.resume(id));
let text = "";
let after = -1;
for await (const event of turn.events()) {
  text += event.delta ?? "";
  after = event.sequence_number;
  if (event.delta) break;
}
said.begun = text;
said.rest = await joined(other.resume(id, { after, text }));
said.nothing = await joined(other.resume(id, { after: turn.last, text: turn.text }));
said.unknown = await other.resume("resp_" + "0".repeat(32)).done.catch(({ code }) => code);

// Stopped by the client that asked, by another, and before it was sent.
const stopped = client.create(LONG);
await stopped.slices().next();
stopped.cancel();
const first = await stopped.done;
const shown = client.create(LONG);
await shown.slices().next();
other.resume(shown.id).cancel();
await shown.done;
const never = client.create(LONG);
never.cancel();
said.cancelled = [first.status, shown.state, await never.done.catch(({ code }) => code)];
said.kept = [stopped.text, first.output[0].content[0].text];

// Refused, of a lane one after the other, and more at once than a socket runs.
said.refused = await client.create({ input: "" }).done.catch(({ code, param }) => [code, param]);
const large = [9, 17].map((megabytes) => client.create({ input: "a".repeat(megabytes * 2 ** 20) }));
said.large = await Promise.all(large.map(({ done }) => done.catch(({ code, status }) => [code, status])));
const lane = [1, 2, 3].map(() => client.create({ ...TITANIC, max_output_tokens: 3 }, { lane: "one" }));
said.order = [];
for (const [i, turn] of lane.entries()) {
  turn.done.then(() => said.order.push([i, lane.slice(i + 1).every(({ last }) => last === -1)]));
}
const many = Array.from({ length: 20 }, () => client.create({ ...TITANIC, max_output_tokens: 3 }));
await Promise.all([...lane, ...many].map(({ done }) => done));
said.many = new Set(many.map(({ id }) => id)).size;

// A key makes one turn.
const twice = [client, other].map((each) => each.create(TITANIC, { idempotencyKey: `key-${id}` }));
const [one, two] = await Promise.all(twice.map(({ done }) => done));
said.twice = one.id === two.id && twice[1].text === said.chat;

said.left = client.turns.length;
const closing = client.create(LONG);
client.close();
other.close();
said.closed = [await closing.done.catch(({ code }) => code), client.state];
console.log(JSON.stringify(said));
