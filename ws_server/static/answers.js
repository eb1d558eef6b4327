// Finds what a turn asked and what was answered. Turns that have not ended are followed by
// turnstream.js, in whichever conversation they are; of others the server has the texts.

import { addSuccessor, addTurn, ENDED, joinTwin, requestOf, turnOf } from "./conversation.js";

/**
 * An answer, one that goes on or one that has ended; a `Turn` of turnstream.js is one.
 *
 * @typedef {{id: string | null, state: string, text: string, ended: boolean, response: object | null,
 *   error: {message: string} | null, subscribe?: Function}} Answer
 */

export class Answers {
  /** Turns of turnstream.js that have not ended, by key. */
  #live = new Map();
  /** Promises of what has ended, and of what was asked, by key. */
  #ended = new Map();
  #questions = new Map();

  /** @param onChange called with a conversation's id when one of its records was changed here */
  constructor(client, store, onChange) {
    Object.assign(this, { client, store, onChange });
  }

  /** Return what a turn asked: a text, or items. */
  question({ key, id, request }) {
    return once(this.#questions, key, async () => {
      if (request) return request.input;
      const { data } = await this.client.http(`responses/${id}/input_items?order=asc&limit=100`);
      return data;
    });
  }

  /** Return a turn's answer. */
  async answer(conversation, turn) {
    const { key, id, state, problem, steers } = turn;
    if (this.#live.has(key)) return this.follow(conversation, turn);
    // What the server refused, it does not have.
    if (!id && ENDED.has(state))
      return { id, state, text: "", ended: true, response: null, error: { message: problem } };
    const ended = id && !steers && (await once(this.#ended, key, () => this.#get(turn)));
    if (!ended) return this.follow(conversation, turn);
    // It ended while no tab followed it.
    if (!ENDED.has(state)) await this.#write(conversation.id, key, ended);
    return ended;
  }

  /** Follow a turn to its end: send it, under its key, or resume it; and send what was added to it. */
  follow(conversation, { key, id, request, steers = [] }) {
    let turn = this.#live.get(key);
    if (!turn) {
      turn = id ? this.client.resume(id) : this.client.create(request, { idempotencyKey: key });
      this.#watch(conversation.id, key, turn);
    }
    for (const steer of steers) {
      if (!turn.steers.some((sent) => sent.key === steer.key))
        turn.steer(steer.input, { idempotencyKey: steer.key });
    }
    return turn;
  }

  #watch(conversationId, key, turn) {
    this.#live.set(key, turn);
    let written = "";
    const write = () => {
      // The record changes when the response gets its id, when something added is taken, and at the end.
      const steers = turn.steers.map(({ state }) => state);
      const now = [turn.id, turn.ended, ...steers].join();
      if (now === written) return;
      written = now;
      if (turn.ended && !steers.includes("waiting")) {
        this.#live.delete(key);
        if (turn.response) this.#ended.set(key, Promise.resolve(answerOf(turn.response, turn)));
      }
      this.#write(conversationId, key, turn).catch(console.error);
    };
    turn.subscribe(write);
    if (turn.ended) write();
  }

  /** Stop a turn, in the queue or in the middle of its answer. */
  stop(conversation, turn) {
    this.follow(conversation, turn).cancel();
  }

  async #get({ id, state }) {
    try {
      const response = await this.client.http(`responses/${id}`);
      return ENDED.has(response.status) ? answerOf(response) : undefined;
    } catch (error) {
      if (error.status !== 404 || ENDED.has(state)) throw error;
      // Nothing will ever end it.
      const lost = { message: "The server does not have this turn any more." };
      return { id, state: "failed", text: "", ended: true, response: null, error: lost };
    }
  }

  async #write(conversationId, key, answer) {
    const { id, ended, state, error, steers = [], successor } = answer;
    const next = answer.response?.steering?.response_id;
    let known = false;
    await this.store.change(conversationId, (conversation) => {
      const turn = turnOf(conversation, key);
      known = conversation.turns.some((each) => each.key === key || (id && each.id === id));
      if (!turn || (turn.id === id && ENDED.has(turn.state) && !turn.steers)) return false;
      turn.id = id;
      turn.state = ended ? state : "in_progress";
      if (id) {
        turn.request = null;
        joinTwin(conversation, turn);
      }
      if (ended) delete turn.asked;
      if (error) turn.problem = error.message;
      if (next) addSuccessor(conversation, turn, next);
      settle(conversation, turn, ended ? steers : steers.filter(({ state }) => state === "failed"), next);
    });
    // Deleted in the meantime, here or in another tab: then the server's copies go too.
    if (!known) for (const each of [id, next]) if (each) await this.store.deletion(each);
    // It may have been followed already, by what the feed told.
    const live = this.#live.has(`of-${next}`);
    if (known && successor && !successor.ended && !live) this.#watch(conversationId, `of-${next}`, successor);
    this.onChange(conversationId);
  }
}

/**
 * Take from a turn's record what was added to it and is used, or never will be. What came after the
 * turn's end is asked next: of the turn that goes on from it, or as a question.
 */
function settle(conversation, turn, settled, next) {
  const successor = conversation.turns.find(({ id }) => next && id === next);
  const left = turn.steers?.filter(({ key, input }) => {
    const steer = settled.find((each) => each.key === key && each.state !== "waiting");
    if (!steer?.error) return !steer;
    if (steer.error.code !== "response_already_completed") (conversation.unsent ??= []).push(input);
    else if (successor) (successor.steers ??= []).push({ key, input });
    else addTurn(conversation, { key, parent: turn.key, request: requestOf(conversation.options, input, turn) });
    return false;
  });
  if (left?.length) turn.steers = left;
  else delete turn.steers;
}

/** Return a promise that all callers share; one that fails, or finds nothing, is made anew. */
function once(promises, key, find) {
  let promise = promises.get(key);
  if (!promise) {
    promise = find();
    promises.set(key, promise);
    promise.then(
      (found) => found ?? promises.delete(key),
      () => promises.delete(key),
    );
  }
  return promise;
}

/** Return the answer that a response has, once it has ended. */
function answerOf(
  response,
  { text = textOf(response), error = response.error, state = response.status } = {},
) {
  return { id: response.id, state, text, ended: true, response, error };
}

function textOf({ output }) {
  const parts = output.filter(({ type }) => type === "message").flatMap(({ content }) => content);
  return parts.map((part) => part.text ?? part.refusal ?? "").join("");
}
