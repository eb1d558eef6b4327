// A conversation is a tree: an answer that is asked for again, and a question that is edited, are
// siblings of the first. What is shown is one path of it. Nothing here touches the page or the server.

const TITLE_CHARACTERS = 80;

/** Return a new conversation, without a turn. */
export function newConversation(options = {}) {
  return {
    id: crypto.randomUUID?.() ?? newKey(),
    title: "",
    updated: Date.now(),
    turns: [],
    leaf: null,
    options,
  };
}

/** Return a key that nobody else has; also on a page without HTTPS. */
export function newKey() {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) =>
    part.toString(16).padStart(8, "0"),
  ).join("");
}

export const turnOf = ({ turns }, key) => turns.find((turn) => turn.key === key);

/** Return the turns that are shown, first to last. */
export function path(conversation) {
  const turns = [];
  for (let turn = turnOf(conversation, conversation.leaf); turn; turn = turnOf(conversation, turn.parent))
    turns.unshift(turn);
  return turns;
}

/** Return a turn and those that were asked in its place. */
export const siblings = ({ turns }, { parent }) => turns.filter((turn) => turn.parent === parent);

/** Show a turn, and what was asked after it last. */
export function show(conversation, key) {
  conversation.leaf = key;
  for (;;) {
    const children = conversation.turns.filter(({ parent }) => parent === conversation.leaf);
    if (!children.length) return;
    conversation.leaf = children.at(-1).key;
  }
}

/** Add a turn after `parent` and show it; return it. */
export function addTurn(conversation, { key, parent, request }) {
  const turn = { key, parent, id: null, request, state: "waiting" };
  conversation.turns.push(turn);
  conversation.leaf = key;
  conversation.updated = Date.now();
  conversation.title ||= titleOf(request.input);
  return turn;
}

/** Return what is asked after a turn, or as the first question, with the options of the conversation. */
export const requestOf = (options, input, after) => ({
  ...options,
  input,
  truncation: "auto",
  previous_response_id: after?.id ?? undefined,
});

/** Return the turn that the next question continues: the last one shown, or what a failed one continued. */
export function continued(conversation) {
  let turn = turnOf(conversation, conversation.leaf);
  while (turn && (turn.state === "failed" || !turn.id)) turn = turnOf(conversation, turn.parent);
  return turn ?? null;
}

/** Return a title for a first question. */
export function titleOf(text) {
  const line = text.trim().replace(/\s+/g, " ");
  return line.length > TITLE_CHARACTERS ? `${line.slice(0, TITLE_CHARACTERS - 1)}…` : line;
}

/**
 * Take an entry of the feed of a tree; return whether it is new, or null if that can't be said yet: a turn
 * that was asked here may be the one.
 */
export function applyEntry(conversation, root, { type, sequence_number: number, cursor, ...entry }, last) {
  const { turns, leaf, feeds = {} } = conversation;
  if (number <= parseInt(feeds[root])) return false;
  const { response_id: id, previous_response_id: previous } = entry;
  const parent = previous && turns.find((turn) => turn.id === previous)?.key;
  if (type.endsWith("response.created") && parent && !turns.some((turn) => turn.id === id)) {
    const asked = (turn) => !turn.id && turn.parent === parent && !ENDED.has(turn.state);
    if (turns.some(asked) && !last) return null;
    const key = `of-${id}`;
    turns.push({ key, parent, id, request: null, state: "in_progress" });
    if (leaf === parent) conversation.leaf = key;
    conversation.updated = Date.now();
  }
  conversation.feeds = { ...feeds, [root]: cursor ?? number };
  return true;
}

/** Join what the feed told of a turn with its own record, once that has the same id. */
export function joinTwin(conversation, { key, id }) {
  const twin = conversation.turns.find((turn) => turn.id === id && turn.key !== key);
  if (!twin) return;
  conversation.turns = conversation.turns.filter((turn) => turn !== twin);
  for (const turn of conversation.turns) if (turn.parent === twin.key) turn.parent = key;
  if (conversation.leaf === twin.key) conversation.leaf = key;
}

/** Return whether there is still something to send or to read of a turn. */
export const isOpen = ({ state, steers }) => !ENDED.has(state) || Boolean(steers);

/** Add the turn that goes on from another with what was added to it, unless it is there. */
export function addSuccessor(conversation, { key, steers }, id) {
  if (conversation.turns.some((turn) => turn.id === id)) return;
  const asked = steers?.map(({ input }) => ({ role: "user", content: input }));
  conversation.turns.push({ key: `of-${id}`, parent: key, id, request: null, state: "in_progress", asked });
  if (conversation.leaf === key) conversation.leaf = `of-${id}`;
}

export const ENDED = new Set(["completed", "incomplete", "cancelled", "failed"]);

/** Return whether a turn of the conversation is still to be answered. */
export const isRunning = ({ turns }) => turns.some(isOpen);
