// Buttons that copy a text. Without HTTPS a browser has no clipboard; then the text is selected in a
// field of its own and copied as a person would.

/** Return a button that copies what a function returns at that time. */
export function copyButton(label, text) {
  const button = document.createElement("button");
  Object.assign(button, { type: "button", className: "copy", textContent: "Copy" });
  button.setAttribute("aria-label", label);
  button.onclick = async () => {
    button.textContent = (await copy(text())) ? "Copied" : "Not copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  };
  return button;
}

/** Copy a text; return whether it was. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copySelected(text);
  }
}

function copySelected(text) {
  const field = document.createElement("textarea");
  Object.assign(field, { value: text, className: "heard" });
  document.body.append(field);
  field.select();
  // Deprecated, and the only way there is on a page without HTTPS.
  const copied = document.execCommand("copy");
  field.remove();
  return copied;
}
