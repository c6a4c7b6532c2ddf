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
