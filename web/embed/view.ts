import type { Item, Sale } from "@/lib/api/client";
import { boundOf, EMPTY, isLeft, type Basket } from "@/lib/basket";
import { moneyIn } from "@/lib/amounts";
import { visible } from "@/lib/visible";
import type { EmbedMessages } from "@/messages/embed";

type Attributes = Record<string, string>;

/** Return a new element. It is built without markup, so that a page's policy need not trust any. */
export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

export function button(part: string, press: () => void): HTMLButtonElement {
  const made = element("button", { type: "button", part: `button ${part}`, class: part });
  made.addEventListener("click", (event) => event.detail < 2 && press()); // the second click of a double click
  return made;
}

/** Set a text only when it changes: screen readers announce each change. */
export function say(node: HTMLElement, text: string): void {
  if (node.textContent !== text) node.textContent = text;
  node.hidden = text === "";
}

/** What the rows show beside the sale. */
export type Shown = {
  /** What the buyer chose, and what is held for the buyer or bought. */
  basket: Basket;
  own: Basket;
  choosing: boolean;
  live: boolean;
  t: EmbedMessages;
  locale: string;
};

/** The rows of a sale's items, built once for each list of items, and then only changed. */
export class ItemList {
  readonly root = element("ul", { part: "items" });
  private rows = new Map<string, Row>();
  private built = "";

  constructor(private readonly choose: (sku: string, quantity: number) => void) {}

  show(sale: Sale, shown: Shown): void {
    const built = JSON.stringify([sale.items.map(({ sku, name }) => [sku, name]), shown.locale]);
    if (built !== this.built) {
      this.built = built;
      this.rows = new Map(sale.items.map((item) => [item.sku, new Row(item, this.choose, shown.t)]));
      this.root.replaceChildren(...[...this.rows.values()].map((row) => row.root));
    }
    for (const item of sale.items) this.rows.get(item.sku)?.show(sale, item, shown);
  }
}

class Row {
  readonly root: HTMLLIElement;
  private readonly held = element("span");
  private readonly price = element("span", { part: "price" });
  private readonly left = element("p", { part: "stock" });
  private readonly stepper: HTMLElement;
  private readonly less: HTMLButtonElement;
  private readonly more: HTMLButtonElement;
  private readonly input: HTMLInputElement;

  constructor(item: Item, choose: (sku: string, quantity: number) => void, t: EmbedMessages) {
    const name = visible(item.name);
    const step = (by: number, label: string, text: string) => {
      const made = element("button", { type: "button", part: "step", "aria-label": label }, text);
      made.addEventListener("click", () => choose(item.sku, Math.max(0, Number(this.input.value) + by)));
      return made;
    };
    this.less = step(-1, t.oneLess(name), "−");
    this.more = step(1, t.oneMore(name), "+");
    this.input = element("input", {
      type: "number",
      inputmode: "numeric",
      min: "0",
      part: "quantity",
      "aria-label": t.quantityOf(name),
    });
    this.input.addEventListener("change", () => {
      const wanted = Math.trunc(Number(this.input.value));
      choose(item.sku, Number.isFinite(wanted) ? Math.max(0, Math.min(1_000_000, wanted)) : 0);
    });
    this.stepper = element("div", { class: "stepper", role: "group", "aria-label": t.quantityOf(name) });
    this.stepper.append(this.less, this.input, this.more);
    const title = element(
      "div",
      { class: "between" },
      element("span", { part: "name" }, this.held, " ", element("bdi", {}, name)),
    );
    title.append(this.price);
    this.root = element("li", { part: "item" }, title);
    this.root.append(element("div", { class: "between" }, this.left, this.stepper));
  }

  show(sale: Sale, item: Item, { basket, own, choosing, live, t, locale }: Shown): void {
    const quantity = basket.get(item.sku) ?? 0;
    const { most } = boundOf(sale, item, basket, EMPTY);
    const number = new Intl.NumberFormat(locale);
    const held = own.get(item.sku) ?? 0;
    say(this.held, held ? `${number.format(held)} ×` : "");
    say(this.price, moneyIn(locale, item.price_minor, item.currency));
    say(
      this.left,
      !item.on_sale ? t.notOnSale : item.available > 0 ? t.left(number.format(item.available)) : t.soldOut,
    );
    this.left.classList.toggle("stale", !live);
    this.stepper.hidden = !choosing || !(isLeft(item) || quantity > 0);
    this.less.disabled = quantity === 0;
    this.more.disabled = quantity >= most;
    this.input.max = String(Math.max(most, quantity));
    if (this.input.value !== String(quantity)) this.input.value = String(quantity);
  }
}
