// Talks through the official Node SDK and prints, as JSON, what came of it.
// Run with OPENAI_BASE_URL and OPENAI_API_KEY.
import OpenAI from "openai";
import { ResponsesWS } from "openai/resources/responses/ws";

const TITANIC = "Do you know the movie Titanic?";
const DIRECTOR = "Who is the director of the movie?";
// What was said is said again and again: it does not end by itself.
const LONG = {
  model: "demo",
  input: "Write a long story.",
  temperature: 0,
  frequency_penalty: -2,
  max_output_tokens: 1500,
};
const END = /^response\.(completed|incomplete|failed)$/;
const client = new OpenAI({ maxRetries: 0 });
const said = {};

// Over HTTP: whole, streamed, gone on from, left in the middle and read again from there.
const first = await client.responses.create({ model: "demo", input: TITANIC, temperature: 0 });
said.chat = first.output_text;
const stream = client.responses.stream({ model: "demo", input: TITANIC, temperature: 0 });
said.stream = "";
stream.on("response.output_text.delta", ({ delta }) => (said.stream += delta));
said.stream_final = (await stream.finalResponse()).output_text;
said.continue = (
  await client.responses.create({
    model: "demo", input: DIRECTOR, temperature: 0, previous_response_id: first.id,
  })
).output_text;

let left, at;
said.resumed = "";
const leaving = await client.responses.create({ ...LONG, max_output_tokens: 80, stream: true });
for await (const event of leaving) {
  left ??= event.response?.id;
  at = event.sequence_number;
  if (event.type === "response.output_text.delta") {
    said.resumed += event.delta;
    break; // closes the connection
  }
}
const again = await client.responses.retrieve(left, { stream: true, starting_after: at });
for await (const event of again) {
  if (event.type === "response.output_text.delta") said.resumed += event.delta;
}
said.resumed_whole = (await client.responses.retrieve(left)).output_text;

const running = await client.responses.create({ ...LONG, background: true });
said.background = running.status;
said.cancelled = (await client.responses.cancel(running.id)).status;

// Chat completions.
const messages = [{ role: "user", content: TITANIC }];
const asked = { model: "demo", messages, temperature: 0 };
said.completion = (await client.chat.completions.create(asked)).choices[0].message.content;
said.chunks = "";
const chunks = client.chat.completions.stream({ ...asked, stream_options: { include_usage: true } });
chunks.on("content", (delta) => (said.chunks += delta));
said.chunks_final = await chunks.finalContent();
said.chunks_tokens = (await chunks.totalUsage()).completion_tokens;
const several = await client.chat.completions.create({ ...asked, n: 2, user: "ann" });
said.choices = several.choices.map((choice) => [choice.index, choice.message.content]);
said.returned = (await client.responses.retrieve(several.id.replace("chatcmpl-", "resp_"))).user;
const refused = await client.responses.create({ model: "demo", input: TITANIC, max_tokens: 4 }).catch((error) => error);
said.refused = [refused.status, refused.param];

// A conversation that the server keeps, and raw prompts.
const { id: conversation } = await client.conversations.create({ metadata: { topic: "films" } });
for (const input of [TITANIC, DIRECTOR]) {
  const turn = { model: "demo", input, conversation, temperature: 0 };
  said.kept = (await client.responses.create(turn)).output_text;
}
said.kept_items = [];
for await (const item of client.conversations.items.list(conversation, { order: "asc", limit: 3 })) {
  said.kept_items.push(item.content[0].text);
}
said.kept_deleted = (await client.conversations.delete(conversation)).deleted;
const raw = { model: "demo", prompt: "Once upon a time", temperature: 0 };
said.raw = (await client.completions.create(raw)).choices[0].text;
said.raw_pieces = "";
for await (const piece of await client.completions.create({ ...raw, stream: true })) {
  said.raw_pieces += piece.choices[0].text;
}

// On a socket: go on, stop, and two lanes at once.
const socket = new ResponsesWS(client);
async function turn(fields, onDelta = () => {}) {
  let text = "";
  socket.send({ type: "response.create", model: "demo", ...fields });
  for await (const { type, message, error } of socket) {
    if (type === "error") throw error;
    if (type !== "message") continue;
    if (message.type === "response.output_text.delta") onDelta((text += message.delta));
    if (END.test(message.type)) return { text, response: message.response };
  }
}
const started = await turn({ input: TITANIC, temperature: 0 });
said.socket = started.text;
const next = { input: DIRECTOR, temperature: 0, previous_response_id: started.response.id };
said.socket_continue = (await turn(next)).text;
let cancelled = false;
const stopped = await turn(LONG, () => {
  if (!cancelled) socket.send({ type: "response.cancel" });
  cancelled = true;
});
said.stop = stopped.text;
said.stop_status = stopped.response.status;
said.stop_kept = stopped.response.output_text ?? stopped.response.output[0].content[0].text;
said.after = (await turn({ input: "Hello", temperature: 0 })).text;
socket.close();

console.log(JSON.stringify(said));
