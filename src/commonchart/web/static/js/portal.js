// The portal: everything here works without it, but for passkeys and the warning before the session ends.
import { watchIdle } from "./idle.js";
import { leaveNothing } from "./leaving.js";
import { preparePasskeys } from "./passkey.js";
import { offerCopy, tellStrength } from "./strength.js";

preparePasskeys();
tellStrength();
offerCopy();
watchIdle();
leaveNothing();
document.querySelector(".err[role=alert]")?.focus();
