// The report stands in a frame without scripts; it is made as tall as it is, so that only the page scrolls.
const fitted = new WeakSet();
const fit = (frame) => {
  const inside = frame.contentDocument;
  if (inside?.documentElement) frame.style.height = `${inside.documentElement.scrollHeight + 4}px`;
};
const watch = (frame) => {
  if (fitted.has(frame)) return;
  fitted.add(frame);
  const whenLoaded = () => {
    fit(frame);
    const body = frame.contentDocument?.body;
    if (body) new ResizeObserver(() => fit(frame)).observe(body);
  };
  frame.addEventListener("load", whenLoaded);
  if (frame.contentDocument?.readyState === "complete") whenLoaded();
};
new MutationObserver(() => document.querySelectorAll("iframe.report").forEach(watch)).observe(document, {
  childList: true,
  subtree: true,
});

// On a narrow screen not every tab is seen: the one that is open is.
const shown = new WeakSet();
const show = (tab) => {
  if (shown.has(tab)) return;
  shown.add(tab);
  tab.scrollIntoView({ inline: "center", block: "nearest" });
};
new MutationObserver(() => document.querySelectorAll(".tabs a[aria-current]").forEach(show)).observe(document, {
  childList: true,
  subtree: true,
});

// A file goes to the studio as it is read from disk; what comes back is the address of its run.
const send = (file, box) => {
  const told = box.querySelector("[data-told]");
  const request = new XMLHttpRequest();
  const address = box.querySelector("input[data-upload]").dataset.upload;
  request.open("PUT", `${address}?name=${encodeURIComponent(file.name)}`);
  request.upload.onprogress = (event) => {
    if (event.lengthComputable) told.textContent = `${file.name}: ${Math.round((100 * event.loaded) / event.total)} %`;
  };
  request.onerror = () => (told.textContent = "It did not arrive: it may be larger than the studio takes (--max-upload).");
  request.onload = () => {
    let said = {};
    try {
      said = JSON.parse(request.responseText);
    } catch {
      if (request.status === 413) said = { message: "The file is larger than the studio takes: see --max-upload." };
    }
    if (said.address) location.assign(said.address);
    else told.textContent = `${said.message ?? "It was refused."} ${said.hint ?? ""}`;
  };
  told.textContent = `${file.name}: 0 %`;
  request.send(file);
};
document.addEventListener("change", (event) => {
  const input = event.target.closest?.("input[data-upload]");
  if (input?.files.length) send(input.files[0], input.closest(".drop"));
});
document.addEventListener("dragover", (event) => {
  if (event.target.closest?.(".drop")) event.preventDefault();
});
document.addEventListener("drop", (event) => {
  const box = event.target.closest?.(".drop");
  if (!box) return;
  event.preventDefault();
  if (event.dataTransfer.files.length) send(event.dataTransfer.files[0], box);
});
