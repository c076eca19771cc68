/** The executor without an editor, as a program: `node executor.cjs FOLDER STATE`, with server and token in the environment. */
import { FolderExecutor } from "./index";
import { PlainEditor } from "./plain_editor";

const [, , folder = ".", stateFolder = ""] = process.argv;
const token = process.env["QUARTERDECK_EXECUTOR_TOKEN"] ?? "";
delete process.env["QUARTERDECK_EXECUTOR_TOKEN"]; // commands inherit what is left

const executor = new FolderExecutor({
  server: process.env["QUARTERDECK_URL"] ?? "",
  token,
  instance: process.env["QUARTERDECK_INSTANCE"] ?? "",
  name: "plain editor",
  folder,
  stateFolder,
  version: "0",
  editor: new PlainEditor(),
  log: (line) => console.error(line),
});
executor.onState((state, detail) => console.error(`${state} ${detail}`));
executor.start();
for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => void executor.dispose().then(() => process.exit(0)));
