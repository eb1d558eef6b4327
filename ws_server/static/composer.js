// The field in which people write, with a draft for each conversation that outlives a reload.

const $ = (id) => document.getElementById(id);
const draftOf = (id) => `turnstream-draft:${id}`;
const FRESH = "new";

export class Composer {
  #field = $("question");
  #conversation = null;
  #name = FRESH;
  #running = null;
  #stopping = null;

  /** @param actions what the page does: ask, stop, editLast */
  constructor(actions) {
    this.actions = actions;
    $("composer").onsubmit = (event) => {
      event.preventDefault();
      this.#send();
    };
    this.#field.oninput = () => {
      this.problem("");
      this.#refresh();
    };
    this.#field.onkeydown = (event) => {
      if (event.key === "ArrowUp" && !this.#field.value) {
        event.preventDefault();
        actions.editLast();
      }
      // During IME composition, Enter confirms a word and must not send the message.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#send();
    };
    $("stop").onclick = () => actions.stop();
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.#running && !document.querySelector("dialog[open]")) actions.stop();
    });
  }

  /** @param running the turn that is being answered, if one is */
  show(conversation, running) {
    if (conversation !== this.#conversation) {
      this.#conversation = conversation;
      this.#name = running || location.hash ? conversation : FRESH;
      this.#field.value = sessionStorage.getItem(draftOf(this.#name)) ?? "";
    }
    this.#running = running;
    this.#refresh();
  }

  /** A stop was asked for; the button is not offered again for this turn. */
  stopping(key) {
    this.#stopping = key;
    this.#refresh();
  }

  problem(words) {
    $("problem").textContent = words;
    $("problem").hidden = !words;
  }

  #send() {
    const text = this.#field.value.trim();
    if (!text || this.#running) return;
    this.#field.value = "";
    this.#refresh();
    this.actions.ask(text).catch((error) => {
      this.#field.value ||= text;
      this.problem(`It could not be kept in this browser: ${error.message}`);
      this.#refresh();
    });
  }

  #refresh() {
    const text = this.#field.value;
    if (text) sessionStorage.setItem(draftOf(this.#name), text);
    else sessionStorage.removeItem(draftOf(this.#name));
    $("send").hidden = Boolean(this.#running);
    $("send").disabled = !text.trim();
    $("stop").hidden = !this.#running;
    $("stop").disabled = Boolean(this.#running) && this.#running.key === this.#stopping;
    this.#field.style.height = "auto";
    this.#field.style.height = `${this.#field.scrollHeight}px`;
  }
}
