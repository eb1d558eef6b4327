// The one error of this package.
//
// Its code is the server's, as docs/wire.md lists them, or one of ours: closed, cancelled, no_connection,
// restarting.

/** What went wrong; `code` is stable. */
export class TurnstreamError extends Error {
  /** @param {{code: string, message: string, param?: string | null, status?: number, retryAfter?: number}} error */
  constructor({ code, message, param = null, status = 0, retryAfter }) {
    super(message);
    this.name = "TurnstreamError";
    this.code = code;
    this.param = param;
    this.status = status;
    this.retryAfter = retryAfter;
  }
}
