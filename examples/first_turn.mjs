// A first turn with the official SDK: npm install openai ws
import OpenAI from "openai";
import { ResponsesWS } from "openai/resources/responses/ws";

const client = new OpenAI({ baseURL: "http://127.0.0.1:8000/v1", apiKey: "any" });
const socket = new ResponsesWS(client);
socket.send({ type: "response.create", model: "demo", input: "Do you know the Titanic movie?" });
for await (const { type, message, error } of socket) {
  if (type === "error") throw error;
  if (message?.type === "response.output_text.delta") process.stdout.write(message.delta);
  if (/\.(completed|incomplete|failed)$/.test(message?.type)) break;
}
socket.close();
