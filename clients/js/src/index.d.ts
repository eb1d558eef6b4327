// The public types of turnstream.js. They are written by hand; `tsc` checks that the sources have them.

/** Where the connection is. `waiting`: it was lost, and the next attempt is at `retryAt`. */
export type ConnectionState = "connecting" | "open" | "waiting" | "offline" | "closed";

/**
 * Where a turn is. `waiting`: not sent yet, or to be sent again. `sent`: the server has not answered.
 * The last four are final. `incomplete`: cut at a limit, see `response.incomplete_details`.
 */
export type TurnState =
  | "waiting" | "sent" | "queued" | "in_progress"
  | "completed" | "incomplete" | "cancelled" | "failed";

/** A place in the queue. `eta_seconds` is null while it is unknown. */
export interface QueuePlace {
  position: number;
  size: number;
  eta_seconds: number | null;
  workers: number;
}

/** The body of `response.create`; `docs/wire.md` has all fields. */
export interface CreateParams {
  input: string | readonly object[];
  instructions?: string | null;
  previous_response_id?: string | null;
  conversation?: string | { id: string } | null;
  model?: string | null;
  [field: string]: unknown;
}

/** A response as the server has it; `docs/wire.md` and the types of the OpenAI SDK have all fields. */
export interface ResponseObject {
  id: string;
  status: string;
  output: any[];
  error?: { code: string; message: string } | null;
  incomplete_details?: { reason: string } | null;
  queue?: QueuePlace | null;
  [field: string]: any;
}

/** An event as the server sent it, without the lane's name. */
export interface TurnEvent {
  type: string;
  sequence_number?: number;
  response?: ResponseObject;
  delta?: string;
  queue?: QueuePlace;
  [field: string]: any;
}

/** What went wrong; `code` is stable. */
export class TurnstreamError extends Error {
  constructor(error: { code: string; message: string; param?: string | null; status?: number; retryAfter?: number });
  code: string;
  /** The field that was wrong. */
  param: string | null;
  /** The HTTP status that the error has, or 0. */
  status: number;
  /** Seconds after which a repetition may help, if the server said so. */
  retryAfter: number | undefined;
}

/** Input that was added to a turn while it was answered. */
export interface Steer {
  /** Its idempotency key: under the same one it is the same input, however often it is sent. */
  readonly key: string;
  readonly input: string | readonly object[];
  /**
   * `waiting`: the server has not answered. `accepted`: it is part of the turn's successor, or given
   * back; after calls of tools it waits for their outputs. `failed`: it is not used; `error` says why.
   */
  readonly state: "waiting" | "accepted" | "failed";
  readonly error: TurnstreamError | null;
}

/** One question and its answer, whatever happens to the connection meanwhile. */
export interface Turn {
  /** The idempotency key; empty for a turn that was resumed by its id. */
  readonly key: string;
  readonly lane: string | null;
  /** The response's id, or null before the server has made it. */
  readonly id: string | null;
  readonly state: TurnState;
  /** Whether the state is final. */
  readonly ended: boolean;
  /** The text so far; of a turn that was resumed with `after`, what followed it. */
  readonly text: string;
  /** The number of the last event; -1 before the first. */
  readonly last: number;
  readonly queue: QueuePlace | null;
  /** The response as the latest event showed it. */
  readonly response: ResponseObject | null;
  readonly error: TurnstreamError | null;
  /** Why the server did not take it when it was sent last, while it waits to be sent again. */
  readonly refusal: TurnstreamError | null;
  /** Grows with every change. */
  readonly version: number;
  /**
   * The response once it has ended: completed, incomplete or cancelled. Rejects with a
   * `TurnstreamError` if it failed or was refused; `cancelled` if it was cancelled before it was sent.
   */
  readonly done: Promise<ResponseObject>;
  /**
   * The text in slices, from the beginning, each character once. What came since the last slice is
   * one slice. Throws what `done` rejects with. May be called several times.
   */
  slices(): AsyncIterableIterator<string>;
  /** The events, from the first one on, each once. Throws what `done` rejects with. */
  events(): AsyncIterableIterator<TurnEvent>;
  /** Stop the answer, now or when there is a connection; its text so far is kept. */
  cancel(): void;
  /**
   * Say more while the answer is written, or waits. The turn ends with its next slice as `incomplete`,
   * and its successor goes on with the input. Works offline too: then it is sent with the connection.
   */
  steer(input: string | readonly object[], options?: { idempotencyKey?: string }): Steer;
  /** What was added here, in order. */
  readonly steers: readonly Steer[];
  /** The turn that goes on with what was added, once this one has ended. */
  readonly successor: Turn | null;
  /** Call a function after each change; returns a function that ends this. */
  readonly subscribe: (changed: () => void) => () => void;
}

/** Something that happened in a conversation; docs/wire.md has the types. */
export interface FeedEntry {
  type: string;
  sequence_number: number;
  /** Of this very entry: another one that got its number, where the server lost this one, has another. */
  cursor?: string;
  /** The conversation, or the first response of a tree. */
  conversation: string;
  /** Of `…response.created`, `….ended` and `….deleted`: `client.resume` reads it, whether it runs or not. */
  response_id?: string;
  previous_response_id?: string | null;
  /** Of `…response.ended`. */
  status?: string;
  /** Of `…item.created` and `….deleted`. */
  item_id?: string;
}

/**
 * What happens in a conversation, by whichever device: its entries, each once, for one reader. It ends
 * when the conversation is deleted or it is closed, and throws a `TurnstreamError` if it can't be followed:
 * `stream_expired` where entries before the next are not kept any more.
 */
export interface Feed extends AsyncIterable<FeedEntry> {
  /** The conversation's id, or that of a response, as it was given. */
  readonly id: string;
  /** The cursor of the last entry that has arrived; `follow` with `after` goes on from there. */
  readonly cursor: number | string;
  readonly ended: boolean;
  readonly error: TurnstreamError | null;
  /** Follow it no more. */
  close(): void;
}

/** Where the outbox is kept: texts by name. Any of the functions may return a promise. */
export interface Storage {
  all(): Iterable<[string, string]> | Promise<Iterable<[string, string]>>;
  set(name: string, text: string): void | Promise<void>;
  delete(name: string): void | Promise<void>;
}

/** Options of `connect`. */
export interface ConnectOptions {
  /** The service, as `https://chat.example.org` or with `/v1`. */
  url: string;
  /** A key that does not change. */
  key?: string | null;
  /**
   * Returns the key or token, before each connection. After a refusal it is called with the error,
   * and may ask a person; it is waited for. Null then closes the client; what throws is called again.
   */
  token?: (refused: TurnstreamError | null) => string | null | Promise<string | null>;
  /** Where turns are kept until they have ended. The default is memory. */
  storage?: Storage;
  /** A WebSocket class, where there is no global one: that of the package `ws` in Node 20. */
  WebSocket?: new (url: string, protocols: string[]) => any;
  /** How often a turn that the server can't take now (overloaded, a limit) is sent again; 2 by default. */
  retries?: number;
}

/** Options of `connect` of `turnstream/shared`. */
export interface SharedOptions extends ConnectOptions {
  /**
   * Tabs with the same name share one socket. With `key` the default is the key itself. With `token` a
   * tab shares only if this is given: name the person, since all tabs act with one tab's token.
   */
  share?: string | false;
}

/** One connection, or one shared by tabs, with its turns. */
export interface Client {
  readonly state: ConnectionState;
  /** Why the state is `closed` or `waiting`, if that is known: `restarting`, `overloaded`, `no_connection` … */
  readonly error: TurnstreamError | null;
  /** When the next attempt is, as `Date.now()` has it, in the state `waiting`. */
  readonly retryAt: number | null;
  /** The turns that have not ended, oldest first. */
  readonly turns: readonly Turn[];
  /**
   * Ask. The turn is put into the outbox first, and sent when there is a connection; never twice.
   *
   * Turns of one lane run one after the other; without a lane it runs at once.
   */
  create(params: CreateParams, options?: { lane?: string; idempotencyKey?: string }): Turn;
  /**
   * Read a response from the event after a number, by default from its beginning, to its end.
   *
   * `text` is what those events before had. It is needed where the server's log may have expired: then
   * only the whole text is left, and what goes beyond `text` is the slice.
   */
  resume(responseId: string, options?: { after?: number; text?: string; lane?: string }): Turn;
  /**
   * Follow a conversation (`conv_…`), or the tree of turns that any response (`resp_…`) is in, from the entry
   * after that with a cursor, or number, by default from the first that is kept.
   */
  follow(conversation: string, options?: { after?: number | string }): Feed;
  /** Go on with the turns of the outbox that this client does not have: call it after a reload. */
  restore(): Promise<Turn[]>;
  /** Request `path`, as `responses/ID` or `models`, below `/v1` over HTTP and return its JSON. */
  http(path: string, options?: { method?: string; json?: unknown }): Promise<any>;
  /** Say that the network or the app may be back: the connection is checked now. Browsers need no call. */
  wake(): void;
  /** Close for good. Turns that have not ended fail here with `closed`; the server goes on with them. */
  close(): void;
  /** Call a function after each change of the connection; returns a function that ends this. */
  readonly subscribe: (changed: () => void) => () => void;
}

/** Open a connection, and keep it open until `close`. */
export function connect(options: ConnectOptions): Client;

/** Keep the outbox in memory. */
export function memoryStorage(): Storage;

/** Keep the outbox in `localStorage` or `sessionStorage`, under names that begin with `prefix`. */
export function webStorage(area: globalThis.Storage, prefix?: string): Storage;

/** Keep the outbox in a database of IndexedDB. */
export function indexedDBStorage(name?: string): Storage;
