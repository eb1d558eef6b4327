// What a person can choose for a conversation: the model, the system text, the temperature. Nothing is
// sent of what was not chosen: the server's own default holds.

const $ = (id) => document.getElementById(id);

export class Options {
  #panel = $("options");
  #button = $("options-button");

  /** @param onChange called with what was chosen */
  constructor(onChange) {
    this.onChange = onChange;
    this.#button.onclick = () => this.#open(this.#panel.hidden);
    this.#panel.onkeydown = (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      this.#open(false);
      this.#button.focus();
    };
    for (const id of ["system", "model"]) $(id).onchange = () => this.#changed();
    $("temperature").oninput = () => this.#temperature($("temperature").value);
    $("temperature").onchange = () => this.#changed();
    $("temperature-default").onclick = () => {
      this.#temperature(null);
      this.#changed();
    };
  }

  /** Offer the models that are served, the default one first. */
  models(names) {
    const picker = $("model");
    const chosen = picker.value;
    picker.replaceChildren(...names.map((name) => new Option(name)));
    if (names.includes(chosen)) picker.value = chosen;
    picker.hidden = names.length < 2;
  }

  show({ model, instructions = "", temperature = null }) {
    const picker = $("model");
    picker.value = model ?? picker.options[0]?.value ?? "";
    if (picker.selectedIndex < 0) picker.selectedIndex = 0;
    // What is being changed is not changed back.
    if (document.activeElement !== $("system")) $("system").value = instructions;
    if (document.activeElement !== $("temperature")) this.#temperature(temperature);
    this.#button.dataset.set = String(Boolean(instructions) || temperature !== null);
  }

  /** Return what was chosen, as a request has it. */
  get chosen() {
    const chosen = {};
    // Nothing for the server's default, which may have changed since the list was read.
    if ($("model").selectedIndex > 0) chosen.model = $("model").value;
    if ($("system").value.trim()) chosen.instructions = $("system").value.trim();
    if ($("temperature").dataset.set) chosen.temperature = Number($("temperature").value);
    return chosen;
  }

  #changed() {
    this.onChange(this.chosen);
    this.show(this.chosen);
  }

  #temperature(value) {
    $("temperature").dataset.set = value === null ? "" : "set";
    $("temperature").value = value ?? 1;
    $("temperature-shown").value = value ?? "default";
  }

  #open(open) {
    this.#panel.hidden = !open;
    this.#button.setAttribute("aria-expanded", String(open));
    if (open) $("system").focus();
  }
}
