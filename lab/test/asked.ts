/** Whether a test of the lab that runs on Debian 13 hosts is asked for here. */

/** Why not, as the beginning of the test's name; "" when it is. */
export const whyNotOnDebian13: string =
  process.env.BERTH_LAB_CI !== undefined
    ? "SKIP: CI has no time for it: "
    : (process.env.BERTH_LAB_KINDS?.split(",") ?? ["debian-13"]).includes("debian-13")
      ? ""
      : "SKIP: debian-13 is not in BERTH_LAB_KINDS: ";
