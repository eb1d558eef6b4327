// Talks through the managed session of the official Node SDK and prints, as JSON, what came of it.
// Run with OPENAI_BASE_URL and OPENAI_API_KEY.
import OpenAI from "openai";
import { ResponsesWebSocketSession } from "openai/lib/responses/responses-websocket-session";
import { ResponsesWS } from "openai/resources/responses/ws";

const TITANIC = "Do you know the movie Titanic?";
const DIRECTOR = "Who is the director of the movie?";
const NAMES = ["one", "two", "three", "four", "five"];
// What was said is said again and again: it does not end by itself.
const LONG = {
  model: "demo",
  input: "Write a long story.",
  temperature: 0,
  frequency_penalty: -2,
  max_output_tokens: 200,
};
const LIMITS = { maxLanes: 8, maxBufferedEvents: 8000, maxBufferedBytes: 2 ** 25 };
const client = new OpenAI({ maxRetries: 0 });
const said = {};

const ids = {}, last = {}, texts = {};
const socket = new ResponsesWS(client, { reconnect: { onReconnecting: () => ({}), initialDelay: 100 } });
socket.on("error", () => {}); // each lane throws its own
await new Promise((open) => socket.socket.once("open", open));
const session = new ResponsesWebSocketSession(socket, LIMITS);

// A conversation on each of five lanes, and one on the default lane.
const lanes = [undefined, ...NAMES].map((name) => session.lane(name));
said.conversations = await Promise.all(
  lanes.map(async (lane) => {
    lane.create({ model: "demo", input: TITANIC, temperature: 0 });
    const first = await lane.finalResponse();
    lane.create({ model: "demo", input: DIRECTOR, temperature: 0, previous_response_id: first.id });
    return [first.output_text, (await lane.finalResponse()).output_text];
  }),
);

// A request that is refused, and the lane after it.
lanes[1].create({ model: "nobody's", input: TITANIC });
said.refused = await lanes[1].finalResponse().catch(({ error }) => error.error.code);
lanes[1].create({ model: "demo", input: TITANIC, temperature: 0 });
said.after = (await lanes[1].finalResponse()).output_text;

// A lost connection while all five answer: the session's lanes end, and new ones go on.
async function read(lane, until) {
  for (;;) {
    const event = await lane.receive();
    if (event.type === "error") throw new Error(JSON.stringify(event));
    const name = lane.streamID;
    if (event.sequence_number <= last[name]) continue;
    last[name] = event.sequence_number;
    if (event.type === "response.created") ids[name] = event.response.id;
    if (event.type === "response.output_text.delta") texts[name] = (texts[name] ?? "") + event.delta;
    if (event.type === until) return;
  }
}
async function drained(lane) {
  for (;;) await lane.receive(); // what is left in it, and then its error
}
for (const lane of lanes.slice(1)) lane.create(LONG);
await Promise.all(lanes.slice(1).map((lane) => read(lane, "response.output_text.delta")));
const connected = new Promise((done) => socket.once("reconnected", done));
socket.socket.terminate(); // as when the network is lost
said.lost = await drained(lanes[1]).catch((error) => error.constructor.name);
await connected;
await Promise.all(
  NAMES.map((name) => {
    const lane = session.lane(name);
    const from = { response_id: ids[name], starting_after: last[name], stream_id: name };
    socket.send({ type: "turnstream:response.resume", ...from });
    return read(lane, "response.incomplete");
  }),
);
said.resumed = NAMES.map((name) => texts[name]);
said.whole = await Promise.all(
  NAMES.map(async (name) => (await client.responses.retrieve(ids[name])).output_text),
);
session.close();
socket.close();

console.log(JSON.stringify(said));
