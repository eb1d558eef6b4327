// Shows questions and answers. The page changes at most once per animation frame, however fast
// events arrive.

export class Transcript {
  #list;

  constructor(list) {
    this.#list = list;
  }

  /** Add a question and an empty answer; return a function that shows the answer's state. */
  add(question) {
    const turn = element("article", "turn");
    const text = document.createTextNode("");
    const answer = element("div", "answer");
    const note = element("p", "note");
    answer.append(text);
    turn.append(element("p", "question", question), answer, note);
    this.#list.append(turn);
    toEnd();

    let shown = 0;
    let frame = 0;
    return (state) => {
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        const follow = atEnd();
        text.appendData(state.text.slice(shown));
        shown = state.text.length;
        note.textContent = state.note;
        turn.dataset.state = state.state;
        turn.ariaBusy = String(!state.ended);
        if (state.id) turn.dataset.response = state.id;
        if (follow) toEnd();
      });
    };
  }

  clear() {
    this.#list.replaceChildren();
  }
}

function element(tag, className, text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

// The page scrolls along only while the reader is at its end.
const atEnd = () => innerHeight + scrollY > document.documentElement.scrollHeight - 60;
const toEnd = () => scrollTo(0, document.documentElement.scrollHeight);
