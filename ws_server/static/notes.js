// Says in words where a turn is, and how it ended.

/** Return the state that the page shows of a turn: an answer in progress has begun to be written, or not. */
export function stateOf({ id, state, text }) {
  // Without a connection a turn waits, also one that the server is answering.
  if (state !== "in_progress" && !(state === "waiting" && id)) return state;
  return text ? "writing" : "thinking";
}

/** Why a turn waits, by the code of the refusal or of the connection's end. */
const REASONS = {
  overloaded: "The server is full at the moment",
  rate_limit_exceeded: "You are at your limit at the moment",
  restarting: "The server is restarting",
};

/** Return the line beside an answer. */
export function noteOf({ id, state, text, response, error, queue, refusal }, client) {
  switch (state) {
    case "waiting":
      return waiting(id, client.state === "open", REASONS[(refusal ?? client.error)?.code]);
    case "queued":
      return queue ? "" : "In the queue";
    case "in_progress":
      return text ? "" : "Thinking";
    case "completed":
      return text || response?.output?.length ? "" : "The model had nothing to say.";
    case "incomplete":
      return cut(response?.incomplete_details?.reason);
    case "cancelled":
      return "Stopped";
    case "failed":
      return sentence(error?.message ?? "The server gave no reason.");
    default:
      return "";
  }
}

function waiting(id, connected, reason) {
  if (connected) return `${reason ?? "The server can't take it at the moment"}; it is asked again.`;
  const kept = id
    ? "The answer goes on at the server, and is read when there is a connection."
    : "Kept in this browser, and sent as soon as there is a connection.";
  return reason ? `${reason}. ${kept}` : kept;
}

function cut(reason) {
  if (reason === "max_output_tokens") return "Cut off at the length limit";
  if (reason === "steered") return "Goes on below, with what was added";
  return reason ? `Cut off: ${reason.replaceAll("_", " ")}` : "Cut off";
}

const sentence = (text) => (/[.!?]$/.test(text) ? text : `${text}.`);
