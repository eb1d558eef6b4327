// The list of conversations on a narrow screen: over the page, and closed otherwise.

const $ = (id) => document.getElementById(id);

export class Menu {
  constructor() {
    $("menu").onclick = () => this.#open(document.body.dataset.menu !== "open");
    $("side").addEventListener("keydown", (event) => {
      if (event.key === "Escape" && document.body.dataset.menu) {
        event.stopPropagation();
        this.close();
        $("menu").focus();
      }
    });
    $("room").addEventListener("click", (event) => {
      if (document.body.dataset.menu && !event.target.closest("#menu")) this.close();
    });
  }

  close() {
    this.#open(false);
  }

  #open(open) {
    if (open) document.body.dataset.menu = "open";
    else delete document.body.dataset.menu;
    $("menu").setAttribute("aria-expanded", String(open));
    if (open) $("new").focus();
  }
}
