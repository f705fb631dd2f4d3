import { areaMessages } from "@/lib/language";
import { en } from "@/messages/simulator/en";

/** The texts of the simulator, in the reader's language. */
export const useTexts = areaMessages(en, { de: () => import("@/messages/simulator/de").then((file) => file.de) });
