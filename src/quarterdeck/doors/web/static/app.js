// @ts-check
// What pages gain by script: everything works without, by links and forms.
import "./times.js";
import "./forms.js";
import "./live-list.js";
import "./live-part.js";
import "./session-log.js";
import "./keys.js";
