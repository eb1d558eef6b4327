// Lets the person choose a model, where several are served.

/** Show models in a `select` unless there is only one, and keep the choice while it is served. */
export function showModels(select, models) {
  const chosen = select.value;
  select.replaceChildren(...models.map((name) => new Option(name, name)));
  if (models.includes(chosen)) select.value = chosen;
  select.hidden = models.length < 2;
}
