// The field in which people write, with a draft for each conversation that outlives a reload.

const $ = (id) => document.getElementById(id);

export class Composer {
  #field = $("question");
  #conversation = null;
  #running = null;
  #stopping = null;

  /** @param actions what the page does: ask, steer, stop, editLast */
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
      // What was typed while the page loaded stays.
      const typed = this.#conversation ? "" : this.#field.value;
      this.#conversation = conversation;
      this.#field.value = typed || (sessionStorage.getItem(this.#draft) ?? "");
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

  /** Put back what was added to a turn and is not used. */
  giveBack(inputs) {
    this.#field.value = [this.#field.value, ...inputs].filter(Boolean).join("\n\n");
    this.#refresh();
  }

  get #draft() {
    return `turnstream-draft:${location.hash ? this.#conversation : "new"}`;
  }

  #send() {
    const text = this.#field.value.trim();
    if (!text || !this.#conversation) return;
    this.#field.value = "";
    this.#refresh();
    const said = this.#running ? this.actions.steer(text) : this.actions.ask(text);
    said.catch((error) => {
      this.#field.value ||= text;
      this.problem(`It could not be kept in this browser: ${error.message}`);
      this.#refresh();
    });
  }

  #refresh() {
    if (!this.#conversation) return;
    const text = this.#field.value;
    if (text) sessionStorage.setItem(this.#draft, text);
    else sessionStorage.removeItem(this.#draft);
    $("send").hidden = Boolean(this.#running) && !text.trim();
    $("send").textContent = this.#running ? "Steer" : "Send";
    $("send").disabled = !text.trim();
    this.#field.placeholder = this.#running ? "Say more" : "Ask something";
    $("stop").hidden = !this.#running;
    $("stop").disabled = Boolean(this.#running) && this.#running.key === this.#stopping;
    this.#field.style.height = "auto";
    this.#field.style.height = `${this.#field.scrollHeight}px`;
  }
}
