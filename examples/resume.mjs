// An answer without a gap though the connection is cut: npm install openai ws
//
// The SDK connects again by itself and lets us add to the new connection's query: which response we
// were reading and the last event that we have. What comes after that event is sent again.
import { randomUUID } from "node:crypto";
import OpenAI from "openai";
import { ResponsesWS } from "openai/resources/responses/ws";

const client = new OpenAI({ baseURL: "http://127.0.0.1:8000/v1", apiKey: "any" });
const question = {
  type: "response.create",
  model: "demo",
  input: "Do you know the Titanic movie?",
  idempotency_key: randomUUID(), // however often it is asked under one key, it is answered once
};
let responseId, last = -1;

function onReconnecting() {
  if (responseId) return { parameters: { resume_response_id: responseId, starting_after: last } };
  socket.send(question); // cut before the first event: nobody told us the id
}

const socket = new ResponsesWS(client, { reconnect: { onReconnecting } });
socket.send(question);
for await (const { type, message, error } of socket) {
  if (type === "close") throw new Error("the server stays away");
  if (type === "error" && error.error) throw error; // one without is the cut itself
  if (!(message?.sequence_number > last)) continue; // told twice, as it still waited here
  last = message.sequence_number;
  if (message.type === "response.created") responseId = message.response.id;
  if (message.type === "response.output_text.delta") process.stdout.write(message.delta);
  if (/\.(completed|incomplete|failed)$/.test(message.type)) break;
}
socket.close();
