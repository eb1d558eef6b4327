// The types of `turnstream/shared`.

import type { Client, SharedOptions } from "./index.js";

/**
 * Open a connection that tabs share: one socket for all of an origin's tabs that ask for the same
 * service as the same person. Where there is no SharedWorker it is a connection of this tab alone.
 */
export function connect(options: SharedOptions): Client;
