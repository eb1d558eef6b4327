// Connects the page's elements to the connection: one conversation, one running turn at a time.
//
// Answers arrive on the socket in the order of their requests, so an event belongs to the oldest
// answer that has not ended.

import { Answer, ends, refuses } from "./answer.js";
import { Connection, Refusal, backOff } from "./connection.js";
import { showModels } from "./models.js";
import { Transcript } from "./transcript.js";

const $ = (id) => document.getElementById(id);
const question = $("question");
const transcript = new Transcript($("turns"));
const connection = new Connection({ onState, onEvent, askKey });

let state = "connecting";
/** Answers that have not ended on this socket, oldest first. */
let owed = [];
/** The running answer of this conversation, and the response that the next turn continues. */
let running = null;
let previous = null;

function ask(text) {
  const show = transcript.add(text);
  const answer = new Answer((changed) => {
    show(changed);
    if (changed.ended && running === changed) end(changed, text);
  });
  answer.create = {
    type: "response.create",
    input: text,
    // Nothing for the server's default, which may have changed since the list was read.
    model: $("model").hidden ? undefined : $("model").value,
    truncation: "auto",
    previous_response_id: previous,
    // A request repeated under the same key is the same turn, not a second one.
    idempotency_key: Array.from(crypto.getRandomValues(new Uint32Array(4)), String).join("-"),
  };
  running = answer;
  owed.push(answer);
  connection.send(answer.create);
  question.value = "";
  refresh();
  show(answer);
}

function end(answer, text) {
  running = null;
  if (answer.state !== "failed") previous = answer.id;
  else if (!answer.text && !question.value) question.value = text;
  $("announcement").textContent = `${answer.text} ${answer.note}`.trim();
  refresh();
}

function stop(answer) {
  answer.stopping = true;
  if (answer.id) connection.send({ type: "response.cancel", response_id: answer.id });
  refresh();
}

function startOver() {
  if (running) stop(running);
  running = previous = null;
  transcript.clear();
  refresh();
  question.focus();
}

function onEvent(event) {
  const answer = owed[0] ?? running;
  if (!answer || isCancelRefusal(event, answer)) return;
  if (!answer.take(event)) resume(answer);
  if (event.type === "response.created" && answer.stopping) stop(answer);
  if (ends(event)) owed.shift();
}

// A cancel that arrives after the end is ignored; any other refusal of a cancel is shown.
function isCancelRefusal(event, answer) {
  if (!refuses(event)) return false;
  if (/^response_not_/.test(event.error.code)) return true;
  if (!answer.id) return false;
  answer.stopping = false;
  answer.remark(`Not stopped: ${event.error.message}`);
  refresh();
  return true;
}

function onState(now, problem) {
  const lost = state === "connected" && now !== "connected";
  state = now;
  $("problem").textContent = problem;
  $("problem").hidden = !problem;
  if (lost) {
    for (const answer of owed) if (answer.id) resume(answer);
    owed = owed.filter((answer) => !answer.id);
  }
  if (now === "connected") {
    // Their requests may or may not have arrived; the idempotency key makes sending them again safe.
    for (const answer of owed) connection.send(answer.create);
    if (running?.stopping) stop(running);
    // Read again on the next connection if it fails.
    connection.models().then((models) => showModels($("model"), models), () => {});
  }
  refresh();
}

/** Read the rest of an answer from the server's log, and retry until it has ended. */
async function resume(answer) {
  if (answer.resuming || answer.ended) return;
  answer.resuming = true;
  for (let failures = 0; !answer.ended && answer === running; failures++) {
    try {
      for await (const event of connection.replay(answer.id, answer.last)) {
        if (!answer.take(event) || answer !== running) break;
      }
    } catch (problem) {
      if (problem instanceof Refusal) answer.fail(problem.message);
    }
    if (!answer.ended) await new Promise((go) => setTimeout(go, backOff(failures)));
  }
}

function askKey(reason) {
  $("locked-reason").textContent = reason;
  $("key").value = "";
  $("locked").showModal();
  return new Promise((resolve) => {
    $("locked").onclose = () => ($("key").value ? resolve($("key").value) : $("locked").showModal());
  });
}

function refresh() {
  const chip = $("connection");
  chip.dataset.state = state;
  chip.textContent = state === "locked" ? "key needed" : state;
  $("welcome").hidden = $("turns").hasChildNodes();
  $("new").hidden = !$("turns").hasChildNodes();
  $("send").hidden = Boolean(running);
  $("send").disabled = state !== "connected" || !question.value.trim();
  $("stop").hidden = !running;
  $("stop").disabled = Boolean(running?.stopping);
  question.style.height = "auto";
  question.style.height = `${question.scrollHeight}px`;
}

$("composer").onsubmit = (event) => {
  event.preventDefault();
  const text = question.value.trim();
  if (text && !running && state === "connected") ask(text);
};
question.oninput = refresh;
question.onkeydown = (event) => {
  // During IME composition, Enter confirms a word and must not send the message.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $("composer").requestSubmit();
};
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && running && !running.stopping) stop(running);
});
$("stop").onclick = () => running && stop(running);
$("new").onclick = startOver;

refresh();
connection.run();
