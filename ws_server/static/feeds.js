// Follows the conversation that is shown, so that what is asked or deleted on another device is seen
// here. Its first response names the feed; the cursor of the last entry is kept, and read on from.

import { applyEntry } from "./conversation.js";

const AGAIN_MS = 200;
const MOST_TRIES = 25;

export class Feeds {
  /** Feeds, by the id of the first response. */
  #followed = new Map();

  /** @param onChange called with a conversation's id when its record was changed or removed here */
  constructor(client, store, onChange) {
    Object.assign(this, { client, store, onChange });
  }

  /** Follow a conversation, and no other: each tree of it, since its first question may have versions. */
  show({ id, turns, feeds = {} }) {
    const roots = turns.filter((turn) => !turn.parent && turn.id).map((turn) => turn.id);
    for (const [root, feed] of this.#followed) {
      if (roots.includes(root)) continue;
      this.#followed.delete(root);
      feed.close();
    }
    for (const root of roots) {
      if (!this.#followed.has(root)) this.#follow(id, root, feeds[root]);
    }
  }

  async #follow(id, root, after = -1) {
    const feed = this.client.follow(root, { after });
    this.#followed.set(root, feed);
    try {
      for await (const entry of feed) {
        if (entry.type === "turnstream:conversation.deleted") await this.#gone(id, root);
        else await this.#take(id, root, entry);
      }
    } catch (error) {
      if (error.code !== "stream_expired" || after < 0) return;
      // Too much has happened since, or the feed began anew: all that is kept of it is read.
      await this.store.change(id, ({ feeds }) => void delete feeds?.[root]);
      if (this.#followed.get(root) === feed) await this.#follow(id, root);
    }
  }

  async #take(id, root, entry) {
    for (let tries = 0; ; tries++) {
      let applied;
      const known = await this.store.change(id, (conversation) => {
        applied = applyEntry(conversation, root, entry, tries === MOST_TRIES);
        return Boolean(applied);
      });
      if (applied) this.onChange(id);
      // It may be what was asked here just now, whose id is not known yet.
      if (!known || applied !== null) return;
      await new Promise((go) => setTimeout(go, AGAIN_MS));
    }
  }

  async #gone(id, root) {
    const { turns } = (await this.store.get(id)) ?? { turns: [] };
    // Another version of the first question is a tree of its own.
    if (!turns.length || turns.some((turn) => !turn.parent && turn.id !== root)) return;
    await this.store.remove(id, []);
    this.onChange(id);
  }
}
