// Has a long answer for each of its arguments, lets a test break something in the middle, and prints, as
// JSON, the text that was read and the one that is stored. The first argument is the service's URL.
import { createInterface } from "node:readline";
import { connect } from "turnstream";
import WebSocket from "ws";

const LONG = { input: "Write a long story.", temperature: 0, frequency_penalty: -2, max_output_tokens: 600 };
const [url, ...faults] = process.argv.slice(2);
const client = connect({ url, WebSocket });
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const said = {};

for (const fault of faults) {
  const turn = client.create(LONG);
  const slices = turn.slices();
  let text = (await slices.next()).value;
  console.log(fault);
  await lines.next();
  for await (const slice of slices) text += slice;
  said[fault] = [text, (await client.http(`responses/${turn.id}`)).output[0].content[0].text];
}
client.close();
console.log(JSON.stringify(said));
process.exit();
