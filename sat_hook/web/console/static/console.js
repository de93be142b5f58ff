// Behaviour that HTML and htmx lack: the theme, dialogs, selecting rows, dropping and pasting, keeping the focus.
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

  // The button beside a field for a day opens the browser's calendar; what is chosen there is written into the field.
  const offerCalendars = () => {
    for (const button of document.querySelectorAll("[data-pick]")) button.hidden = false;
  };
  document.addEventListener("click", (event) => {
    const button = closest(event, "[data-pick]");
    if (!button) return;
    const field = button.parentElement.querySelector("input");
    const calendar = document.createElement("input");
    Object.assign(calendar, { type: button.dataset.pick, tabIndex: -1, ariaHidden: "true", className: "calendar" });
    calendar.value = field.value.replace(" ", "T");
    calendar.addEventListener("input", () => {
      field.value = calendar.value.replace("T", " ");
      field.dispatchEvent(new Event("change", { bubbles: true }));
    });
    calendar.addEventListener("blur", () => calendar.remove());
    button.after(calendar);
    calendar.focus();
    try { calendar.showPicker(); } catch { field.focus(); }
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
  // With the keyboard a list changes at each arrow key: it is then sent by its form's button.
  let isByKeyboard = false;
  addEventListener("keydown", () => (isByKeyboard = true), true);
  addEventListener("pointerdown", () => (isByKeyboard = false), true);

  document.addEventListener("change", (event) => {
    const form = event.target.form ?? closest(event, "form");
    if (!form) return;
    if (closest(event, "input[data-all]"))
      for (const box of form.elements) if (box.matches("input[data-row]")) box.checked = event.target.checked;
    if (closest(event, "input[data-all], input[data-row]")) recount(form);
    if (closest(event, "[data-submits]") && !isByKeyboard) form.requestSubmit();
  });

  // A file that is dropped anywhere on the page goes into its input. Without this, a browser opens the file instead.
  for (const kind of ["dragover", "dragleave", "drop"])
    document.addEventListener(kind, (event) => {
      const place = document.querySelector("[data-drop]");
      if (!place || !event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      place.classList.toggle("over", kind === "dragover");
      const input = place.querySelector("input[type=file]");
      if (kind !== "drop" || !event.dataTransfer.files.length) return;
      input.files = event.dataTransfer.files;
      input.dispatchEvent(new Event("change", { bubbles: true }));
      input.form.querySelector("button")?.focus();
    });

  // A file's name is beside its button.
  document.addEventListener("change", (event) => {
    const place = closest(event, "input[type=file]")?.parentElement.querySelector("[data-file-name]");
    if (place && event.target.files.length) place.textContent = event.target.files[0].name;
  });

  // Cells that are pasted beside a field go into the field for them.
  document.addEventListener("paste", (event) => {
    const place = document.querySelector("[data-paste]");
    const text = event.clipboardData?.getData("text/plain");
    if (!place || !text || closest(event, "input, textarea")) return;
    event.preventDefault();
    place.value = text;
    place.focus();
  });

  // A form is sent once, however often its button is pressed.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post" || form.hasAttribute("hx-post")) return;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
    setTimeout(() => delete form.dataset.sent, 5000);
  });
  document.addEventListener("htmx:afterSettle", offerCalendars);
  addEventListener("pageshow", () => {
    offerCalendars();
    // On a phone the navigation is one line: the entry of this page is in sight.
    const entry = document.querySelector(".top nav [aria-current]");
    const line = entry?.closest("nav");
    line?.scrollTo(entry.offsetLeft - line.offsetLeft - (line.clientWidth - entry.offsetWidth) / 2, 0);
    for (const form of document.forms) {
      delete form.dataset.sent;
      recount(form);
    }
  });
  // A dialog gives the focus back to its opener, also when that was renewed meanwhile.
  document.addEventListener("close", (event) => {
    if (document.activeElement === document.body && event.target.id)
      document.querySelector(`[data-dialog="${CSS.escape(event.target.id)}"]`)?.focus();
  }, true);

  // What is renewed keeps the focus, and its details stay open or closed as the person left them.
  const nameOf = (element) =>
    element.id ||
    ["href", "name", "aria-label", "value"].map((name) => element.getAttribute(name) ?? "").join(" ") +
      element.textContent.trim();
  const summaryOf = (details) => nameOf(details.querySelector("summary"));
  let focused = null;
  const opened = new Map();
  document.addEventListener("htmx:beforeSwap", () => {
    const active = document.activeElement;
    focused = active && active !== document.body ? nameOf(active) : null;
    opened.clear();
    for (const details of document.querySelectorAll("details")) opened.set(summaryOf(details), details.open);
  });
  document.addEventListener("htmx:afterSettle", () => {
    for (const details of document.querySelectorAll("details"))
      details.open = opened.get(summaryOf(details)) ?? details.open;
    if (focused === null || document.activeElement !== document.body) return;
    const controls = [...document.querySelectorAll("a[href], button, input, select, textarea, summary")];
    controls.find((control) => !control.disabled && nameOf(control) === focused)?.focus({ preventScroll: true });
    // Where the control is gone, Tab goes on from the content and not from the top of the page.
    if (document.activeElement === document.body) document.getElementById("main")?.focus({ preventScroll: true });
    focused = null;
  });

  document.addEventListener("htmx:load", (event) => {
    if (!(event.target instanceof Element)) return;
    const around = event.target.closest("form");
    for (const form of around ? [around] : event.target.querySelectorAll("form")) recount(form);
  });
})();
