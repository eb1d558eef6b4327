// The page's actions: it opens conversations, asks, stops, and keeps what is shown in step with the
// records and the connection. Each part has a file of its own.

import { unlocked } from "./access.js";
import { Answers } from "./answers.js";
import { Composer } from "./composer.js";
import {
  addTurn,
  isOpen,
  requestOf,
  continued,
  ENDED,
  isRunning,
  newConversation,
  newKey,
  path,
  show,
  siblings,
  turnOf,
} from "./conversation.js";
import { deleteOnServer } from "./deletions.js";
import { Feeds } from "./feeds.js";
import { conversationOf, showLink } from "./link.js";
import { Menu } from "./menu.js";
import { Options } from "./options.js";
import { Scroll } from "./scroll.js";
import { Sidebar } from "./sidebar.js";
import { showConnection } from "./status.js";
import { Store } from "./store.js";
import { Transcript } from "./transcript.js";
import { connect } from "./turnstream/shared.js";

const $ = (id) => document.getElementById(id);
const RESPONSE = /^#(resp_[0-9a-f]{32})$/;

/** The conversation that is shown, as its record is; one without a turn is not kept yet. */
let shown = newConversation();

const key = await unlocked();
// A person waits for a server that is full, and may stop that.
const client = connect({ url: new URL(".", location.href).href, key, retries: 10 });
const store = new Store(changed);
const answers = new Answers(client, store, changed);
const feeds = new Feeds(client, store, changed);
const menu = new Menu();
const scroll = new Scroll($("main"), $("turns"));
const options = new Options((chosen) => change((conversation) => void (conversation.options = chosen)));
const transcript = new Transcript($("turns"), answers, { client, again, goOn, edit, step, announce });
const sidebar = new Sidebar({ rename, remove });
const composer = new Composer({ ask: (text) => ask(text, continued(shown)), steer, stop, editLast });

function connected() {
  return client.state === "open";
}

/** Ask, after a turn or, without one, as the first question. */
async function ask(input, after) {
  const request = requestOf(options.chosen, input, after);
  const asked = { key: newKey(), parent: after?.key ?? null, request };
  const add = (conversation) => void addTurn(conversation, asked);
  // Kept before it is sent, so that no failure after this can lose it.
  if (!shown.turns.length || !(await store.change(shown.id, add))) {
    add(shown);
    await store.add(shown);
    history.replaceState(null, "", `#c=${shown.id}`);
  }
  await refresh();
  scroll.toEnd();
}

/** Say more while a turn is answered: its answer ends, and the next one goes on with that. */
async function steer(input) {
  const { key } = running();
  await change((conversation) => {
    (turnOf(conversation, key).steers ??= []).push({ key: newKey(), input });
  });
  scroll.toEnd();
}

/** Ask the same once more, as a sibling. */
async function again(turnKey) {
  const turn = turnOf(shown, turnKey);
  const input = transcript.view(turnKey)?.input;
  if (input === undefined) return;
  await ask(typeof input === "string" ? input : input.map(asInput), turnOf(shown, turn.parent));
  $("question").focus();
}

/** Return an item as a request has it, without what the server added. */
function asInput({ id, status, ...item }) {
  return item;
}

/** Ask for the rest of an answer that was cut. */
async function goOn(turnKey) {
  await ask("Continue.", turnOf(shown, turnKey));
  $("question").focus();
}

async function edit(turnKey, text) {
  await ask(text, turnOf(shown, turnOf(shown, turnKey).parent));
  $("question").focus();
}

function editLast() {
  const last = path(shown).at(-1);
  if (last) transcript.view(last.key)?.edit();
}

async function step(turnKey, by) {
  const turn = turnOf(shown, turnKey);
  const all = siblings(shown, turn);
  const to = all[all.indexOf(turn) + by];
  await change((conversation) => show(conversation, to.key));
  transcript.view(to.key)?.focus();
}

/** Return the turn that is being answered in what is shown. */
const running = () => path(shown).find(({ state }) => !ENDED.has(state));

function stop() {
  const turn = running();
  if (turn) answers.stop(shown, turn);
  composer.stopping(turn?.key);
}

async function rename(id, title) {
  await store.change(id, (conversation) => void (conversation.title = title));
  await changed(id);
}

async function remove({ id, title }) {
  $("sure-text").textContent = `“${title}” and its answers are deleted here and on the server.`;
  $("sure").returnValue = "";
  $("sure").showModal();
  await new Promise((closed) => ($("sure").onclose = closed));
  if ($("sure").returnValue !== "delete") return;
  const { turns } = await store.get(id);
  await store.remove(
    id,
    turns.flatMap((turn) => turn.id ?? []),
  );
  for (const turn of turns) if (!ENDED.has(turn.state)) answers.stop({ id }, turn);
  await changed(id);
  await deleteOnServer(client, store);
  $("question").focus();
}

/** Change the record of the conversation that is shown, if it is kept, and show it. */
async function change(apply) {
  if (shown.turns.length) await store.change(shown.id, apply);
  else apply(shown);
  await refresh();
}

/** A record has changed, here or in another tab. */
async function changed(id) {
  if (id === shown.id && shown.turns.length && !(await store.get(id))) location.hash = "";
  await refresh();
}

/** Show everything as the records are now. */
async function refresh() {
  const all = await store.all();
  const current = all.find(({ id }) => id === shown.id);
  if (current) shown = current;
  // Whichever is shown: what was kept in this browser is sent, and what goes on is followed.
  for (const conversation of all.filter(isRunning)) {
    for (const turn of conversation.turns) {
      // Without a connection it is tried at the next one.
      if (isOpen(turn)) answers.answer(conversation, turn).catch(() => {});
    }
  }
  feeds.show(shown);
  sidebar.show(all, shown.id);
  transcript.show(shown);
  options.show(shown.options);
  composer.show(shown.id, running());
  if (shown.unsent && !document.hidden) await takeBack();
  $("title").textContent = shown.title;
  $("title").hidden = !shown.title;
  document.title = shown.title
    ? `${shown.title} – ${document.body.dataset.title}`
    : document.body.dataset.title;
  $("welcome").hidden = shown.turns.length > 0;
  $("link-button").hidden = !path(shown).some(({ id }) => id);
}

/** Put into the field what was added to a turn and is not used; one tab does. */
async function takeBack() {
  let unsent = [];
  await store.change(shown.id, (conversation) => {
    ({ unsent = [] } = conversation);
    return delete conversation.unsent;
  });
  composer.giveBack(unsent);
}

/** Open what the address names: a conversation of this browser, or one by a response's id. */
async function open() {
  menu.close();
  const code = RESPONSE.exec(location.hash)?.[1];
  if (code) await openLink(code);
  else {
    const { model } = shown.options;
    shown = (await store.get(location.hash.replace("#c=", ""))) ?? newConversation({ model });
  }
  transcript.clear();
  await refresh();
  scroll.toEnd();
}

async function openLink(code) {
  const known = (await store.all()).find(({ turns }) => turns.some(({ id }) => id === code));
  try {
    shown = known ?? (await conversationOf(client, code));
    if (!known) await store.add(shown);
    history.replaceState(null, "", `#c=${shown.id}`);
  } catch (error) {
    composer.problem(`The conversation can't be opened: ${error.message}`);
  }
}

function announce(text) {
  // In a frame of its own: a long answer takes as long to be laid out again as the frame that ends it.
  setTimeout(() => ($("announcement").textContent = text), 50);
}

let wasConnected = false;

function connection() {
  showConnection(client);
  transcript.refresh(connected());
  if (client.state === "closed" && client.error?.status === 401) location.reload();
  if (connected() && !wasConnected) {
    // Read again at the next connection if they fail.
    client.http("models").then(
      ({ data }) => {
        options.models(data.map(({ id }) => id));
        options.show(shown.options);
      },
      () => {},
    );
    deleteOnServer(client, store).catch(console.error);
    refresh();
  }
  wasConnected = connected();
}

addEventListener("hashchange", open);
document.addEventListener("visibilitychange", refresh);
$("new").onclick = () => {
  if (location.hash) location.hash = "";
  menu.close();
  $("question").focus();
};
$("link-button").onclick = () => showLink(path(shown).findLast(({ id }) => id).id);
for (const button of $("examples").querySelectorAll("button"))
  button.onclick = () => ask(button.textContent, null);
await open().catch((error) => composer.problem(`This browser keeps no conversations: ${error.message}`));
client.subscribe(connection);
connection();
$("question").focus();
