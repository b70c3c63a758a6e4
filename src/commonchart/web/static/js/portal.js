// The portal: everything here works without it, but for passkeys and the warning before the session ends.
import { watchIdle } from "./idle.js";
import { leaveNothing, preparePrinting } from "./leaving.js";
import { preparePasskeys } from "./passkey.js";

preparePasskeys();
preparePrinting();
watchIdle();
leaveNothing();
document.querySelector(".err[role=alert]")?.focus();
