// What is known of turns that have not ended, kept where the caller says.
//
// An entry has the whole request until the server has made the response, then only its id; and input
// that was added to it, with its key, until the server has taken that. A storage
// that fails must not keep anybody from asking, so its errors are only told to the console.

/** @typedef {{params?: Record<string, unknown>, id?: string, lane: string | null, at: number,
 *   steers?: [string, string | readonly object[]][]}} Entry */

export class Outbox {
  #storage;
  /** Writes run one after the other: a deletion must not overtake what it deletes. */
  #writes = Promise.resolve();

  constructor(/** @type {import("./index.d.ts").Storage} */ storage) {
    this.#storage = storage;
  }

  set(/** @type {string} */ key, /** @type {Entry} */ entry) {
    return this.#write(() => this.#storage.set(key, JSON.stringify(entry)));
  }

  delete(/** @type {string} */ key) {
    return this.#write(() => this.#storage.delete(key));
  }

  /** Return the entries with their keys, oldest first. @returns {Promise<[string, Entry][]>} */
  async all() {
    await this.#writes;
    const texts = [...(await this.#storage.all())];
    /** @type {[string, Entry][]} */
    const entries = texts.map(([key, text]) => [key, JSON.parse(text)]);
    return entries.sort(([, a], [, b]) => a.at - b.at);
  }

  #write(/** @type {() => unknown} */ act) {
    this.#writes = this.#writes.then(async () => void (await act())).catch((error) => {
      console.warn("turnstream: the outbox could not be written:", error);
    });
    return this.#writes;
  }
}

/** Keep the outbox in memory. @returns {import("./index.d.ts").Storage} */
export function memoryStorage() {
  /** @type {Map<string, string>} */
  const texts = new Map();
  return {
    all: () => [...texts],
    set: (name, text) => void texts.set(name, text),
    delete: (name) => void texts.delete(name),
  };
}
