// The list of conversations, newest first: found by their titles, renamed, deleted.

import { isRunning } from "./conversation.js";

export class Sidebar {
  #list = document.getElementById("conversations");
  #search = document.getElementById("search");
  #none = document.getElementById("none");
  #conversations = [];
  #current = null;
  /** The id of the one that is renamed; the list waits until that is done. */
  #renaming = null;

  /** @param actions what the page does: rename, remove */
  constructor(actions) {
    this.actions = actions;
    this.#search.oninput = () => this.#show();
  }

  /** @param conversations newest first */
  show(conversations, current) {
    this.#conversations = conversations;
    this.#current = current;
    this.#show();
  }

  #show() {
    if (this.#renaming) return;
    const wanted = this.#search.value.trim().toLocaleLowerCase();
    const found = this.#conversations.filter(({ title }) => title.toLocaleLowerCase().includes(wanted));
    const focused = document.activeElement?.closest?.("#conversations [data-id]")?.dataset.id;
    this.#list.replaceChildren(...found.map((conversation) => this.#item(conversation)));
    this.#none.hidden = !wanted || found.length > 0;
    if (focused) this.#list.querySelector(`[data-id="${focused}"] a`)?.focus();
  }

  #item(conversation) {
    const { id, title } = conversation;
    const item = document.createElement("li");
    item.dataset.id = id;
    const link = document.createElement("a");
    Object.assign(link, { href: `#c=${id}`, textContent: title || "Untitled", dir: "auto", title });
    if (id === this.#current) link.setAttribute("aria-current", "page");
    if (isRunning(conversation)) {
      item.dataset.running = "";
      link.append(
        Object.assign(document.createElement("span"), {
          className: "heard",
          textContent: ", being answered",
        }),
      );
    }
    const tools = document.createElement("span");
    const rename = button("✎", `Rename “${title}”`, () => this.#rename(item, conversation));
    const remove = button("✕", `Delete “${title}”`, () => this.actions.remove(conversation));
    tools.append(rename, remove);
    item.append(link, tools);
    return item;
  }

  #rename(item, { id, title }) {
    const field = document.createElement("input");
    Object.assign(field, { value: title, dir: "auto", maxLength: 200 });
    field.setAttribute("aria-label", "New title");
    this.#renaming = id;
    const end = (kept) => {
      if (!this.#renaming) return;
      this.#renaming = null;
      const named = field.value.trim();
      if (kept && named && named !== title) this.actions.rename(id, named);
      this.#show();
      this.#list.querySelector(`[data-id="${id}"] a`)?.focus();
    };
    field.onkeydown = (event) => {
      if (event.key !== "Enter" && event.key !== "Escape") return;
      event.stopPropagation();
      end(event.key === "Enter" && !event.isComposing);
    };
    field.onblur = () => end(true);
    item.replaceChildren(field);
    field.select();
  }
}

function button(text, label, onclick) {
  const made = Object.assign(document.createElement("button"), {
    type: "button",
    textContent: text,
    title: label,
    onclick,
  });
  made.setAttribute("aria-label", label);
  return made;
}
