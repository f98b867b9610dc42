// A field for the answer of an exercise: what `cait_helpers.teaching.check` says to a number.
function checked_answer({ answer, unit, low, high, slips, tolerance }, given) {
  const ratio = given / answer;
  if (Math.abs(ratio - 1) <= tolerance) return `Right: ${Number(answer.toPrecision(3))} ${unit}`.trimEnd() + ".";
  for (const [factor, hint] of slips) {
    if (Math.abs(ratio / factor - 1) <= tolerance) return `Not yet. ${hint}`;
  }
  return ratio < 1 ? `Not yet, too small. ${low}` : `Not yet, too large. ${high}`;
}

for (const box of document.querySelectorAll(".answer")) {
  const exercise = JSON.parse(box.dataset.exercise), field = box.querySelector("input");
  field.disabled = false;
  field.addEventListener("change", () => {
    box.querySelector("output").value = Number.isFinite(field.valueAsNumber) ? checked_answer(exercise, field.valueAsNumber) : "";
  });
}
