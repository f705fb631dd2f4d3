import { FlashguardSale } from "./sale";

if (!customElements.get("flashguard-sale")) customElements.define("flashguard-sale", FlashguardSale);
