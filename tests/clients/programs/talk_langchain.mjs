// Talks through LangChain.js by all three protocols and prints, as JSON, what came of it.
// Run with OPENAI_BASE_URL and OPENAI_API_KEY.
import { AIMessage, HumanMessage, SystemMessage, ToolMessage } from "@langchain/core/messages";
import { ChatOpenAI, OpenAI } from "@langchain/openai";

const TITANIC = "Do you know the movie Titanic?";
const DIRECTOR = "Who is the director of the movie?";
const LONG = "many words ".repeat(3000);
const fields = { model: "demo", temperature: 0, maxRetries: 0 };
const chat = new ChatOpenAI(fields);
const said = {};

for (const [name, model] of [["chat", chat], ["responses", new ChatOpenAI({ ...fields, useResponsesApi: true })]]) {
  const whole = await model.invoke(TITANIC);
  const pieces = [];
  for await (const piece of await model.stream(TITANIC)) pieces.push(piece.text);
  const history = [new HumanMessage(TITANIC), whole, new HumanMessage(DIRECTOR)];
  const overflow = await model.stream(LONG).then(
    async (stream) => { for await (const _ of stream); return "a stream"; },
  ).catch((error) => [error.status, error.code, error.param]);
  const elsewhere = [
    new SystemMessage("Be brief."),
    new AIMessage("Hi, how can I help?"),
    new HumanMessage("What is the capital of France?"),
    new AIMessage({ content: "", tool_calls: [{ id: "c1", name: "capital", args: {} }] }),
    new ToolMessage({ tool_call_id: "c1", content: "Paris" }),
  ];
  said[name] = {
    chat: whole.text,
    tokens: whole.usage_metadata.output_tokens,
    stream: pieces.join(""),
    continue: (await model.invoke(history)).text,
    elsewhere: (await model.invoke(elsewhere)).text,
    overflow,
  };
}

const several = new ChatOpenAI({ ...fields, n: 2, logprobs: true, topLogprobs: 2 });
const { generations } = await several.generate([[new HumanMessage(TITANIC)]]);
said.several = generations[0].map(({ text }) => text);
const { logprobs } = (await several.invoke(TITANIC)).response_metadata;
said.logprobs = logprobs.content.map(({ token }) => token).join("");
const raw = new OpenAI({ ...fields, maxTokens: 10 });
said.raw = await raw.invoke("Once upon a time");
said.raw_stream = "";
for await (const piece of await raw.stream("Once upon a time")) said.raw_stream += piece;

console.log(JSON.stringify(said));
