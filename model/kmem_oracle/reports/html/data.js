"use strict";
// The data of the page: JSON, plain or deflated, in an element that holds nothing else.

async function loadData() {
  const holder = document.getElementById("data");
  const text = holder.textContent;
  if (holder.dataset.kind === "plain") return JSON.parse(text);
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}
