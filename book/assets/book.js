// All script that is the book's own. Each .explorer holds one picture for every combination of its sliders, the last slider running
// fastest. Without this script the sliders stay disabled and the first picture stands.
for (const explorer of document.querySelectorAll(".explorer:not([data-scene])")) {
  const frames = [...explorer.querySelectorAll("img")];
  const says = explorer.querySelector(".explorer-says");
  const sliders = [...explorer.querySelectorAll("input")].map((input) => ({
    input,
    texts: JSON.parse(input.dataset.texts),
    output: input.closest(".explorer-control").querySelector("output"),
  }));

  const show = () => {
    let chosen = 0;
    for (const { input, texts, output } of sliders) {
      const text = texts[input.valueAsNumber];
      chosen = chosen * texts.length + input.valueAsNumber;
      input.setAttribute("aria-valuetext", text);
      output.value = text;
    }
    frames.forEach((frame, index) => { frame.hidden = index !== chosen; });
    says.textContent = frames[chosen].alt;
  };

  for (const { input } of sliders) {
    input.disabled = false;
    input.addEventListener("input", show);
  }
  show(); // a reload may have kept the sliders where they were
}

// On paper nothing unfolds.
addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("details")) folded.open = true;
});

// A page that is read from a disk may not fetch others for the extracts below a search result.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
