/** Elements made by hand: what others wrote is only ever text. */

type Child = Node | string | null | undefined | false;
type Listeners = { [K in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[K]) => void };

/** An element; attributes that are `false` or undefined are left out. */
export function h<K extends keyof HTMLElementTagNameMap>(
  name: K,
  attributes: Record<string, string | boolean | undefined> = {},
  children: Child[] = [],
  on: Listeners = {},
): HTMLElementTagNameMap[K] {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(key, "");
    else if (typeof value === "string") element.setAttribute(key, value);
  }
  for (const child of children) if (child !== null && child !== undefined && child !== false) element.append(child);
  for (const [event, listener] of Object.entries(on)) element.addEventListener(event, listener as EventListener);
  return element;
}

export function button(words: string, press: () => void, look = ""): HTMLButtonElement {
  return h("button", { type: "button", class: look || undefined }, [words], { click: press });
}

/** Puts other children in, and leaves focus and caret where they were if something with the same id is there still. */
export function replace(element: HTMLElement, ...children: Child[]): void {
  const before = element.contains(document.activeElement) ? document.activeElement : null;
  const caret = typed(before) ? [before.selectionStart, before.selectionEnd] as const : undefined;
  element.replaceChildren(...children.filter((one): one is Node | string => Boolean(one)));
  const after = before?.id ? document.getElementById(before.id) : null;
  after?.focus();
  if (caret && typed(after)) after.setSelectionRange(...caret);
}

function typed(element: Element | null): element is HTMLTextAreaElement | HTMLInputElement {
  return element instanceof HTMLTextAreaElement || (element instanceof HTMLInputElement && /^(text|search)$/.test(element.type));
}

const UNITS: [number, string][] = [
  [86_400, "day"],
  [3_600, "hour"],
  [60, "minute"],
];

/** How long ago: `3 hours ago`. */
export function ago(iso: string): string {
  const seconds = Math.max(0, (Date.now() - Date.parse(iso)) / 1000);
  for (const [size, name] of UNITS) {
    const many = Math.floor(seconds / size);
    if (many >= 1) return `${many} ${name}${many > 1 ? "s" : ""} ago`;
  }
  return "just now";
}
