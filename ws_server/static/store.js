// Keeps what this browser knows of its conversations: their titles, and the ids of their turns. The
// texts are the server's. Tabs change records in transactions, and tell each other which one changed.

/**
 * @typedef {object} Turn
 * @property {string} key the idempotency key of its request; what the page calls the turn
 * @property {string | null} parent the key of the turn before it
 * @property {string | null} id of its response, once the server has made it
 * @property {object | null} request what was asked, until there is an id
 * @property {string} state as turnstream.js has it
 * @property {string} [problem] why the server refused it, in words
 * @property {{key: string, input: string}[]} [steers] what was added to it, until that is part of a turn
 * @property {object[]} [asked] items of a turn that goes on with what was added, as far as they are known here
 *
 * @typedef {object} Conversation
 * @property {string} id
 * @property {string} title
 * @property {number} updated milliseconds since 1970
 * @property {Turn[]} turns in the order in which they were asked
 * @property {string | null} leaf the key of the last turn that is shown
 * @property {string[]} [unsent] what was added to a turn and is not used, until a tab has it in its field
 * @property {Record<string, string>} [feeds] the cursor of the last entry of each tree's feed, by its first response
 * @property {{model?: string, instructions?: string, temperature?: number}} options
 */

const NAME = "turnstream-conversations";

export class Store {
  /** The database once it is open; a browser may close it at any time, as when the site's data is cleared. */
  #database = null;
  #tabs = new BroadcastChannel(NAME);

  /** @param onChange called with the id of a conversation that another tab has changed or removed */
  constructor(onChange) {
    this.#tabs.onmessage = ({ data }) => onChange(data);
  }

  /** Return all conversations, newest first. */
  async all() {
    const found = await this.#run("readonly", ({ conversations }) => conversations.getAll());
    return found.sort((one, other) => other.updated - one.updated);
  }

  get(id) {
    return this.#run("readonly", ({ conversations }) => conversations.get(id));
  }

  /** Write a new conversation. */
  async add(conversation) {
    await this.#run("readwrite", ({ conversations }) => conversations.put(conversation));
    this.#tabs.postMessage(conversation.id);
  }

  /**
   * Change a conversation as it is now and return it; nothing if it was removed meanwhile.
   * @param change may return false: there is nothing to write
   */
  async change(id, change) {
    let found, written;
    await this.#run("readwrite", ({ conversations }) => {
      const got = conversations.get(id);
      got.onsuccess = () => {
        found = got.result;
        written = found && change(found) !== false;
        if (written) conversations.put(found);
      };
      return got;
    });
    if (written) this.#tabs.postMessage(id);
    return found;
  }

  /** Remove a conversation; the server's copies of its responses are to be deleted. */
  async remove(id, responses) {
    await this.#run("readwrite", ({ conversations, deletions }) => {
      for (const each of responses) deletions.put(each, each);
      return conversations.delete(id);
    });
    this.#tabs.postMessage(id);
  }

  /** Return the ids of responses that the server is still to delete. */
  deletions() {
    return this.#run("readonly", ({ deletions }) => deletions.getAllKeys());
  }

  /** Note that the server is to delete a response, or, with `done`, that it has. */
  deletion(id, { done = false } = {}) {
    return this.#run("readwrite", ({ deletions }) => (done ? deletions.delete(id) : deletions.put(id, id)));
  }

  async #run(mode, action) {
    this.#database ??= opened(() => (this.#database = null));
    const transaction = (await this.#database).transaction(["conversations", "deletions"], mode);
    const request = action({
      conversations: transaction.objectStore("conversations"),
      deletions: transaction.objectStore("deletions"),
    });
    return new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => reject(transaction.error);
    });
  }
}

function opened(onClose) {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("conversations", { keyPath: "id" });
      request.result.createObjectStore("deletions");
    };
    request.onsuccess = () => {
      request.result.onclose = onClose;
      resolve(request.result);
    };
    request.onerror = () => reject(request.error);
  });
}
