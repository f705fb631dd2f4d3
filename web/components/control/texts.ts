import { areaMessages } from "@/lib/language";
import { en } from "@/messages/control/en";

/** The texts of the control room, in the reader's language. */
export const useTexts = areaMessages(en, { de: () => import("@/messages/control/de").then((file) => file.de) });
