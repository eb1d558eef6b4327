// Says in words where a turn is, and how it ended.

/** Return the state that the page shows of a turn: an answer in progress has begun to be written, or not. */
export function stateOf({ id, state, text }) {
  // Without a connection a turn waits, also one that the server is answering.
  if (state !== "in_progress" && !(state === "waiting" && id)) return state;
  return text ? "writing" : "thinking";
}

/** Return the line beside an answer. */
export function noteOf({ id, state, text, response, error, queue }, connected) {
  switch (state) {
    case "waiting":
      if (id) return "The server goes on with this answer; it is read when there is a connection.";
      if (!connected) return "Kept in this browser; it is sent as soon as there is a connection.";
      return "The server can't take it at the moment; it is asked again.";
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

function cut(reason) {
  if (reason === "max_output_tokens") return "Cut off at the length limit";
  return reason ? `Cut off: ${reason.replaceAll("_", " ")}` : "Cut off";
}

const sentence = (text) => (/[.!?]$/.test(text) ? text : `${text}.`);
