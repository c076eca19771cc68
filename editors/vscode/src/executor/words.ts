import { ToolError } from "./protocol";

/** Splits a line into words as a shell does, without anything else that a shell would do. */
export function words(line: string): string[] {
  const found: string[] = [];
  let word: string | undefined;
  let quote = "";
  for (let at = 0; at < line.length; at++) {
    const sign = line.charAt(at);
    if (quote) {
      if (sign === quote) quote = "";
      else word = (word ?? "") + (sign === "\\" && quote === '"' && /["\\]/.test(line.charAt(at + 1)) ? line.charAt(++at) : sign);
    } else if (sign === "'" || sign === '"') {
      quote = sign;
      word ??= "";
    } else if (/\s/.test(sign)) {
      if (word !== undefined) found.push(word);
      word = undefined;
    } else word = (word ?? "") + (sign === "\\" ? line.charAt(++at) : sign);
  }
  if (quote) throw new ToolError("The arguments are not quoted as in a shell: a quote isn't closed.");
  return word === undefined ? found : [...found, word];
}

/** A pattern with `*`, `?`, `[abc]`, and double stars for any folders, as an expression for whole paths. */
export function glob(pattern: string): RegExp {
  let source = "";
  for (let at = 0; at < pattern.length; at++) {
    const sign = pattern.charAt(at);
    if (pattern.startsWith("**/", at)) {
      source += "(?:[^/]+/)*";
      at += 2;
    } else if (pattern.startsWith("**", at)) {
      source += ".*";
      at++;
    } else if (sign === "*") source += "[^/]*";
    else if (sign === "?") source += "[^/]";
    else if (sign === "[") {
      const end = pattern.indexOf("]", at + 2);
      if (end < 0) source += "\\[";
      else {
        source += `[${pattern.slice(at + 1, end).replace(/^!/, "^").replace(/[\\[]/g, "\\$&")}]`;
        at = end;
      }
    } else source += sign.replace(/[.+^${}()|\\\]]/, "\\$&");
  }
  return new RegExp(`^${source}$`);
}
