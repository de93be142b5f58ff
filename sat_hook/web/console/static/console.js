// Behaviour that HTML and htmx lack: the theme, dialogs, selecting rows, dropping files.
"use strict";

(() => {
  // Airflow keeps the person's theme under this name; without one the system's counts.
  const theme = () => {
    let name = null;
    try { name = localStorage.getItem("theme"); } catch { /* storage may be forbidden in a frame */ }
    if (name === "light" || name === "dark") document.documentElement.dataset.theme = name;
    else delete document.documentElement.dataset.theme;
  };
  theme();
  addEventListener("storage", theme);

  const closest = (event, selector) =>
    event.target instanceof Element ? event.target.closest(selector) : null;

  document.addEventListener("click", (event) => {
    const opener = closest(event, "[data-dialog]");
    if (opener) {
      event.preventDefault();
      document.getElementById(opener.dataset.dialog)?.showModal();
    }
    if (closest(event, "[data-close]")) closest(event, "dialog")?.close();
    const copier = closest(event, "[data-copy]");
    if (copier) navigator.clipboard?.writeText(copier.dataset.copy);
  });

  // A checkbox with data-all selects every row of its table; data-count shows how many are selected.
  const recount = (form) => {
    const inside = (selector) => [...form.elements].filter((control) => control.matches(selector));
    const boxes = inside("input[data-row]");
    const selected = boxes.filter((box) => box.checked).length;
    for (const place of form.querySelectorAll("[data-count]")) place.textContent = selected;
    for (const control of inside("[data-needs-rows]")) control.disabled = selected === 0;
    const [all] = inside("input[data-all]");
    if (all) {
      all.checked = boxes.length > 0 && selected === boxes.length;
      all.indeterminate = selected > 0 && selected < boxes.length;
    }
  };
  document.addEventListener("change", (event) => {
    const form = event.target.form ?? closest(event, "form");
    if (!form) return;
    if (closest(event, "input[data-all]"))
      for (const box of form.elements) if (box.matches("input[data-row]")) box.checked = event.target.checked;
    if (closest(event, "input[data-all], input[data-row]")) recount(form);
    if (closest(event, "[data-submits]")) form.requestSubmit();
  });

  // A place to drop a file on: the file goes into its input.
  for (const kind of ["dragover", "dragleave", "drop"])
    document.addEventListener(kind, (event) => {
      const place = closest(event, "[data-drop]");
      if (!place) return;
      event.preventDefault();
      place.classList.toggle("over", kind === "dragover");
      const input = place.querySelector("input[type=file]");
      if (kind === "drop" && input && event.dataTransfer?.files.length) {
        input.files = event.dataTransfer.files;
        input.dispatchEvent(new Event("change", { bubbles: true }));
      }
    });

  // A form is sent once, however often its button is pressed.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post" || form.hasAttribute("hx-post")) return;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
    setTimeout(() => delete form.dataset.sent, 5000);
  });
  addEventListener("pageshow", () => {
    for (const form of document.forms) {
      delete form.dataset.sent;
      recount(form);
    }
  });
  document.addEventListener("htmx:load", (event) => {
    if (!(event.target instanceof Element)) return;
    const around = event.target.closest("form");
    for (const form of around ? [around] : event.target.querySelectorAll("form")) recount(form);
  });
})();
