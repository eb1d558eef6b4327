// Asks for structured answers and calls of tools with the official Node SDK and the Vercel AI SDK, and prints
// them.
// Run with OPENAI_BASE_URL and OPENAI_API_KEY.
import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { createOpenAI } from "@ai-sdk/openai";
import { generateObject, generateText, stepCountIs, streamObject, streamText, tool } from "ai";
import { z } from "zod";

const Film = z.object({
  title: z.string().max(12),
  year: z.number().int().min(1900).max(2100),
  seen: z.boolean(),
  mood: z.enum(["happy", "sad"]).nullable(),
});
const model = "demo";
const input = "Describe a film.";
const messages = [{ role: "user", content: input }];
const client = new OpenAI({ maxRetries: 0 });
const said = {};

const response = await client.responses.parse({
  model, input, text: { format: zodTextFormat(Film, "film") },
});
said.response = response.output_parsed;
const stream = client.responses.stream({
  model, input, text: { format: zodTextFormat(Film, "film") },
});
said.stream = (await stream.finalResponse()).output_parsed;
const completion = await client.chat.completions.parse({
  model, messages, response_format: zodResponseFormat(Film, "film"),
});
said.completion = completion.choices[0].message.parsed;
const chunks = client.chat.completions.stream({
  model, messages, response_format: zodResponseFormat(Film, "film"),
});
said.chunks = (await chunks.finalChatCompletion()).choices[0].message.parsed;

const provider = createOpenAI({ baseURL: process.env.OPENAI_BASE_URL });
said.vercel = (await generateObject({ model: provider(model), schema: Film, prompt: input })).object;
said.vercel_chat = (
  await generateObject({ model: provider.chat(model), schema: Film, prompt: input })
).object;
const partial = streamObject({ model: provider(model), schema: Film, prompt: input });
for await (said.vercel_stream of partial.partialObjectStream);
for (const value of Object.values(said)) Film.parse(value);

// The first step must call, the second is left to the model.
const loop = {
  prompt: "What is the weather?",
  tools: {
    get_weather: tool({
      description: "Tell the weather.",
      inputSchema: z.object({ city: z.enum(["Paris", "Rome"]) }),
      execute: async ({ city }) => `sunny in ${city}`,
    }),
  },
  stopWhen: stepCountIs(2),
  prepareStep: ({ stepNumber }) => ({ toolChoice: stepNumber ? "none" : "required" }),
};
for (const [name, kind] of [["responses", provider(model)], ["chat", provider.chat(model)]]) {
  const { steps } = await generateText({ model: kind, ...loop });
  said[`${name} tools`] = steps.map((step) => step.finishReason);
  const streamed = streamText({ model: kind, ...loop });
  await streamed.consumeStream();
  const [first, last] = await streamed.steps;
  said[`${name} outputs`] = first.toolResults.map((each) => each.output);
  said[`${name} words`] = last.text;
}
console.log(JSON.stringify(said));
