// Opens a conversation of another device: its code is the id of the last response, and each response
// names the one before it.

import { ENDED, titleOf } from "./conversation.js";
import { copy } from "./copy.js";

const $ = (id) => document.getElementById(id);

/** Return the conversation that ends with a response, as the server has it. */
export async function conversationOf(client, code) {
  const turns = [];
  for (let id = code; id;) {
    const { status, previous_response_id: previous } = await client.http(`responses/${id}`);
    const parent = previous && `of-${previous}`;
    turns.unshift({
      key: `of-${id}`,
      parent,
      id,
      request: null,
      state: ENDED.has(status) ? status : "in_progress",
    });
    id = previous;
  }
  const { data } = await client.http(`responses/${turns[0].id}/input_items?order=asc&limit=20`);
  const first =
    data
      .find(({ role }) => role === "user")
      ?.content.map(({ text }) => text ?? "")
      .join("") ?? "";
  // The same on every device, so that a link that is opened twice is one conversation.
  const id = code.replace("resp_", "");
  return {
    id,
    title: titleOf(first) || "Untitled",
    updated: Date.now(),
    turns,
    leaf: turns.at(-1).key,
    options: {},
  };
}

/** Show the link of a conversation that ends with a response. */
export function showLink(id) {
  const url = new URL(location.href);
  url.hash = id;
  $("link-text").value = url.href;
  $("link-copy").textContent = "Copy the link";
  $("link-copy").onclick = async () => {
    $("link-copy").textContent = (await copy(url.href)) ? "Copied" : "Not copied";
  };
  $("link").showModal();
  $("link-text").select();
}
