// What `import … from "turnstream"` has. Its types are in index.d.ts.

export { connect } from "./client.js";
export { TurnstreamError } from "./error.js";
export { memoryStorage } from "./outbox.js";
export { indexedDBStorage, webStorage } from "./storage.js";
