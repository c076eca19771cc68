/** The executor without an editor, as a program: `node executor.cjs FOLDER STATE`, with server and token in the environment. */
import { FolderExecutor, Home } from "./index";
import { PlainEditor } from "./plain_editor";
import type { Times } from "./protocol";

const [, , folder = ".", state = "", instead = ""] = process.argv;
const { QUARTERDECK_URL: server = "", QUARTERDECK_EXECUTOR_TOKEN: token = "", QUARTERDECK_INSTANCE: instance = "", QUARTERDECK_TIMES: times = "{}" } = process.env;
delete process.env["QUARTERDECK_EXECUTOR_TOKEN"]; // commands inherit what is left

async function main(): Promise<void> {
  if (instead) await Home.ask(state);
  const home = await Home.open(state);
  const executor = new FolderExecutor({
    server, token, instance, name: "plain editor", folder, home, version: "0", editor: new PlainEditor(folder, `${state}-buffers`),
    times: JSON.parse(times) as Partial<Times>, log: (line) => console.error(line),
  });
  executor.onState((standing, detail) => console.error(`${standing} ${detail}`));
  executor.start();
  const end = (): void => void executor.dispose().then(() => process.exit(0));
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, end);
  home.onWanted(end);
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : String(error));
  process.exit(1);
});
