// Follows a payment that is under way. The page works without it: loading it again does the same.
"use strict";

const poll = document.body.dataset.poll;

async function look(wait, status) {
  await new Promise((resolve) => setTimeout(resolve, wait));
  try {
    const response = await fetch(poll, { headers: { Accept: "application/json" } });
    const now = (await response.json()).data?.session?.status;
    if (response.ok && now !== status) return location.reload();
  } catch {
    // Away for a moment; the next look tells.
  }
  return look(Math.min(wait * 1.5, 15000), status);
}

if (poll) look(700, document.body.dataset.status);

// One click pays once on the server as well; this only says that it was heard.
for (const form of document.forms) {
  form.addEventListener("submit", () => {
    setTimeout(() => {
      for (const button of form.querySelectorAll("button")) button.disabled = true;
      form.setAttribute("aria-busy", "true");
    });
  });
}

addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
