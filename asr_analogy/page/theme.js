// Light, dark, or as the system has it; and everything folded away opens for the printer.
(() => {
  "use strict";
  const button = document.getElementById("theme");
  const names = ["auto", "light", "dark"];
  const kept = () => { try { return localStorage.getItem("asr-analogy-theme"); } catch { return null; } };
  const show = (name) => {
    if (name === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
    button.textContent = `Colours: ${name}`;
    button.dataset.now = name;
  };
  show(names.includes(kept()) ? kept() : "auto");
  button.hidden = false;
  button.addEventListener("click", () => {
    const next = names[(names.indexOf(button.dataset.now) + 1) % names.length];
    try { localStorage.setItem("asr-analogy-theme", next); } catch { /* not kept, still shown */ }
    show(next);
  });
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details.print:not([open])")];
    for (const one of opened) one.open = true;
  });
  addEventListener("afterprint", () => { for (const one of opened) one.open = false; });
})();
