// Bundles the extension: what runs in the editor, what runs in its view, and the executor as a program of its own.
import { existsSync, mkdirSync } from "node:fs";
import { build } from "esbuild";

const production = process.argv.includes("--production");
const common = { bundle: true, minify: production, sourcemap: !production, logLevel: "warning" };
const node = { ...common, platform: "node", target: "node20", format: "cjs", external: ["vscode"] };
const bundles = [
  { ...node, entryPoints: ["src/extension.ts"], outfile: "dist/extension.cjs" },
  { ...node, entryPoints: ["src/executor/main.ts"], outfile: "dist/executor.cjs" },
  { ...common, platform: "browser", target: "es2023", format: "iife", entryPoints: ["src/view/main.ts"], outfile: "dist/view.js" },
];

mkdirSync("../../build", { recursive: true }); // where the package goes
await Promise.all(bundles.filter(({ entryPoints: [source] }) => existsSync(source)).map((bundle) => build(bundle)));
