// @ts-check
// What pages gain by script: everything works without, by links and forms.
import "./times.js";
import "./forms.js";
import "./live-part.js";
import "./job-log.js";
import "./code-editor.js";
import "./live-list.js";
import "./session-log.js";
import "./chat.js";
import "./child-session.js";
import "./lines.js";
import "./keys.js";
import "./project-menu.js";
import { begin } from "./source.js";

begin();
