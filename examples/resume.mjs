// An answer without a gap after a lost connection: npm install openai ws
//
// The SDK reconnects by itself. Its hook adds to the query of the new connection which response to
// resume and the number of the last event that was read; the server sends the events after that one.
import { randomUUID } from "node:crypto";
import OpenAI from "openai";
import { ResponsesWS } from "openai/resources/responses/ws";

const client = new OpenAI({ baseURL: "http://127.0.0.1:8000/v1", apiKey: "any" });
const question = {
  type: "response.create",
  model: "demo",
  input: "Do you know the Titanic movie?",
  idempotency_key: randomUUID(), // a repeated request with the same key is answered once
};
let responseId, last = -1;

function onReconnecting() {
  if (responseId) return { parameters: { resume_response_id: responseId, starting_after: last } };
  socket.send(question); // lost before the first event, so the id is not known
}

const socket = new ResponsesWS(client, { reconnect: { onReconnecting } });
socket.send(question);
for await (const { type, message, error } of socket) {
  if (type === "close") throw new Error("the server does not come back");
  if (type === "error" && error.error) throw error; // one without is the lost connection itself
  if (!(message?.sequence_number > last)) continue; // an event that was still buffered here is sent again
  last = message.sequence_number;
  if (message.type === "response.created") responseId = message.response.id;
  if (message.type === "response.output_text.delta") process.stdout.write(message.delta);
  if (/\.(completed|incomplete|failed)$/.test(message.type)) break;
}
socket.close();
