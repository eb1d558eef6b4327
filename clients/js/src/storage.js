// Where a browser can keep the outbox: a map from names to texts.
//
// A turn's entry is written before it is sent and deleted when it has ended.

/** @typedef {import("./index.d.ts").Storage} Storage */

/**
 * Keep the outbox in `localStorage` or `sessionStorage`, under names that begin with `prefix`.
 *
 * @param {globalThis.Storage} area
 * @returns {Storage}
 */
export function webStorage(area, prefix = "turnstream:") {
  return {
    all: () =>
      Object.keys(area)
        .filter((name) => name.startsWith(prefix))
        .map((name) => [name.slice(prefix.length), area.getItem(name) ?? ""]),
    set: (name, text) => area.setItem(prefix + name, text),
    delete: (name) => area.removeItem(prefix + name),
  };
}

/** Keep the outbox in a database of IndexedDB. @returns {Storage} */
export function indexedDBStorage(name = "turnstream") {
  /** @type {Promise<IDBDatabase> | undefined} */
  let opened;
  const open = () =>
    (opened ??= new Promise((resolve, reject) => {
      const request = indexedDB.open(name, 1);
      request.onupgradeneeded = () => request.result.createObjectStore("outbox");
      request.onsuccess = () => {
        // A browser may close it at any time, as when the site's data is cleared.
        request.result.onclose = () => (opened = undefined);
        resolve(request.result);
      };
      request.onerror = () => reject(request.error);
    }));
  /**
   * @template T
   * @param {IDBTransactionMode} mode
   * @param {(store: IDBObjectStore) => T} act
   * @returns {Promise<T>}
   */
  const transaction = async (mode, act) => {
    const done = (await open()).transaction("outbox", mode);
    const result = act(done.objectStore("outbox"));
    return new Promise((resolve, reject) => {
      done.oncomplete = () => resolve(result);
      done.onabort = () => reject(done.error);
    });
  };
  return {
    async all() {
      const read = await transaction("readonly", (store) => [store.getAllKeys(), store.getAll()]);
      const [names, texts] = read.map((request) => /** @type {string[]} */ (request.result));
      return names.map((name, i) => [name, texts[i]]);
    },
    set: (key, text) => transaction("readwrite", (store) => void store.put(text, key)),
    delete: (key) => transaction("readwrite", (store) => void store.delete(key)),
  };
}
