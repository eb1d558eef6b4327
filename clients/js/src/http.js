// Addresses of the service, its errors, and requests over HTTP.
//
// A browser does not tell why a WebSocket was refused, so the reason is asked for over HTTP.

import { TurnstreamError } from "./error.js";

const TIMEOUT_MS = 10_000;

/** @typedef {(refused: TurnstreamError | null) => Promise<string | null>} Token */

/** Return the base of all paths, without a slash at its end, whether `url` ends in `/v1` or not. */
export function baseOf(/** @type {string} */ url) {
  const base = url.replace(/[?#].*$/, "").replace(/\/+$/, "");
  return base.endsWith("/v1") ? base : `${base}/v1`;
}

/** Return one function that gives the key, from a fixed one or the caller's function. @returns {Token} */
export function tokenOf(/** @type {import("./index.d.ts").ConnectOptions} */ { key, token }) {
  /** @type {Promise<string | null> | null} */
  let asking = null;
  return async (refused) => {
    if (!token) return refused ? null : (key ?? null);
    if (!refused) return token(null);
    // The socket and several requests may be refused at once: a person is asked once.
    asking ??= Promise.resolve(token(refused)).finally(() => (asking = null));
    return asking;
  };
}

/**
 * Request a path below `/v1` and return its JSON, null if it has none.
 *
 * @param {string} base
 * @param {string | null} token
 * @param {string} path
 * @param {{method?: string, json?: unknown}} [options]
 * @returns {Promise<any>}
 * @throws {TurnstreamError} the server refused it, or could not be reached (`no_connection`)
 */
export async function request(base, token, path, { method, json } = {}) {
  /** @type {Record<string, string>} */
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  if (json !== undefined) headers["content-type"] = "application/json";
  const body = json === undefined ? undefined : JSON.stringify(json);
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), TIMEOUT_MS);
  try {
    const answer = await fetch(`${base}/${path.replace(/^\/+/, "")}`, {
      method: method ?? (body === undefined ? "GET" : "POST"),
      headers, body, cache: "no-store", signal: abort.signal,
    });
    const text = await answer.text();
    if (answer.ok) return text ? JSON.parse(text) : null;
    throw errorOf(answer.status, parsed(text)?.error, answer.headers.get("retry-after"));
  } catch (error) {
    if (error instanceof TurnstreamError) throw error;
    throw new TurnstreamError({ code: "no_connection", message: `The server can't be reached: ${error}` });
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Return the error of an answer or of an event.
 *
 * @param {number} status
 * @param {{code?: string | null, message?: string, param?: string | null} | undefined | null} error
 * @param {string | null | undefined} retryAfter
 */
export function errorOf(status, error, retryAfter) {
  const seconds = Number.parseFloat(retryAfter ?? "");
  return new TurnstreamError({
    code: error?.code ?? "server_error",
    message: error?.message ?? `The server answered with status ${status}.`,
    param: error?.param,
    status,
    retryAfter: Number.isFinite(seconds) ? seconds : undefined,
  });
}

/** @returns {any} */
function parsed(/** @type {string} */ text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
