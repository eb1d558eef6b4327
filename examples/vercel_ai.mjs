// A streamed answer through the Vercel AI SDK: npm install ai @ai-sdk/openai
import { createOpenAI } from "@ai-sdk/openai";
import { streamText } from "ai";

const openai = createOpenAI({ baseURL: "http://127.0.0.1:8000/v1", apiKey: "any" });
const { textStream } = streamText({
  model: openai.responses("demo"), // or openai.chat("demo")
  system: "Be brief.",
  prompt: "Do you know the Titanic movie?",
});
for await (const text of textStream) process.stdout.write(text);
process.stdout.write("\n");
