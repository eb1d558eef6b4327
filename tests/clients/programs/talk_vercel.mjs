// Talks through the Vercel AI SDK and prints, as JSON, what came of it.
// Run with OPENAI_BASE_URL, OPENAI_API_KEY and `chat` or `responses`.
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, streamText } from "ai";

const TITANIC = "Do you know the movie Titanic?";
const DIRECTOR = "Who is the director of the movie?";
const openai = createOpenAI({ baseURL: process.env.OPENAI_BASE_URL });
const model = process.argv[2] === "chat" ? openai.chat("demo") : openai.responses("demo");
const said = {};

const whole = await generateText({ model, prompt: TITANIC, temperature: 0, maxRetries: 0 });
said.chat = whole.text;
said.tokens = whole.usage.outputTokens;
said.finish = whole.finishReason;

const streamed = streamText({ model, prompt: TITANIC, temperature: 0, maxRetries: 0 });
const pieces = [];
for await (const piece of streamed.textStream) pieces.push(piece);
said.stream = pieces.join("");
said.pieces = pieces.length;

const { messages } = await streamed.response;
const conversation = [{ role: "user", content: TITANIC }, ...messages, { role: "user", content: DIRECTOR }];
// By responses it names what was said by its id and sends it no more, unless told that nothing is stored.
const going = { model, system: "Be brief.", messages: conversation, temperature: 0 };
said.continue = (await generateText(going)).text;
const unstored = { openai: { store: false } };
said.continue_unstored = (await generateText({ ...going, providerOptions: unstored })).text;
if (process.argv[2] === "responses") {
  const previousResponseId = whole.providerMetadata.openai.responseId;
  const providerOptions = { openai: { previousResponseId } };
  const asked = { model, prompt: DIRECTOR, temperature: 0, providerOptions };
  said.continue_by_id = (await generateText(asked)).text;
}

const leaving = new AbortController();
const story = { prompt: "Write a long story.", temperature: 0, maxOutputTokens: 1500 };
const stopped = streamText({
  model, ...story, abortSignal: leaving.signal, onAbort() { said.stopped = true; },
});
said.stop = "";
for await (const piece of stopped.textStream) {
  said.stop += piece;
  leaving.abort();
}
said.after = (await generateText({ model, prompt: "Hello", temperature: 0 })).text;

console.log(JSON.stringify(said));
