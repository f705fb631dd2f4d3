import { countdown, moneyIn } from "@/lib/amounts";
import type { Payment, Reservation, Sale } from "@/lib/api/client";
import { basketOf, EMPTY, linesOf, shortageOf, totalsOf, withQuantity, type Basket, type Line } from "@/lib/basket";
import { buyerOf } from "@/lib/buyer";
import type { Connection } from "@/lib/event-stream";
import { intentDone, intentKey } from "@/lib/intent";
import { canPay, costOf, isHeld, isMoving, isPaidAlready, standingOf, type Back, type Standing } from "@/lib/payment";
import { remember, remembered, rememberedId } from "@/lib/remember";
import { EMBED_MESSAGES, type EmbedMessages } from "@/messages/embed";
import { Service, type Reply } from "./service";
import { STYLES } from "./styles";
import { button, element, ItemList, say } from "./view";

/** Where the script came from: the service, or a CDN with its pages. */
const SCRIPT = document.currentScript instanceof HTMLScriptElement ? document.currentScript.src : "";
/** The query parameter with which the buyer comes back from the provider's page. */
const RETURNED = "flashguard-payment";
const TICK_MS = 1_000;
/** Buttons stay disabled for this long, so that the second click of a double click presses no other one. */
const QUIET_MS = 700;
const SOON_MS = 700;
const SOON_POLLS = 120;
const LATER_MS = 5_000;

type Action = "buy" | "pay" | "confirm" | "extend" | "release" | "again";

/** `<flashguard-sale sale="…">`: a sale in a shop's own page, from its live stock to the order. */
export class FlashguardSale extends HTMLElement {
  static readonly observedAttributes = ["sale", "api", "token", "pages", "lang"];

  private readonly list = new ItemList((sku, quantity) => this.choose(sku, quantity));
  private readonly heading = element("h2", { part: "title" });
  private readonly state = element("p", { part: "state", class: "soft" });
  private readonly total = element("p", { part: "total" });
  private readonly time = element("p", { part: "countdown" });
  private readonly message = element("p", { part: "message", role: "status" });
  private readonly room = element("a", { part: "link" });
  private readonly details = element("a", { part: "link" });
  private readonly section = element("section");
  private readonly buttons: Record<Action, HTMLButtonElement> = {
    buy: button("main buy", () => void this.buy()),
    pay: button("main pay", () => void this.settle()),
    confirm: button("main confirm", () => void this.settle()),
    extend: button("extend", () => void this.end("extend")),
    release: button("release", () => void this.end("release")),
    again: button("again", () => this.restart()),
  };

  private service: Service | null = null;
  private sale_: Sale | null = null;
  private connection: Connection | "missing" | "forbidden" = "connecting";
  private basket: Basket = EMPTY;
  private held: Reservation | null = null;
  private payments: Payment[] = [];
  private providers: string[] | null = null;
  private back: Back | null = null;
  private busy = false;
  private notice = "";
  private token_ = "";
  private polls = 0;
  private stop: (() => void) | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private locale = "en";
  private texts: EmbedMessages = EMBED_MESSAGES.en;

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLES);
    root.adoptedStyleSheets = [sheet];
    const actions = element("div", { class: "actions" }, ...Object.values(this.buttons), this.room, this.details);
    this.section.append(this.heading, this.state, this.list.root, this.total, this.time, this.message, actions);
    root.append(this.section);
  }

  /** The buyer's token, which the shop's server issued. Set here, it stands nowhere in the page. */
  get token(): string {
    return this.token_ || (this.getAttribute("token") ?? "");
  }
  set token(token: string) {
    this.token_ = token;
    if (this.stop) this.start();
  }
  /** The hold or the order, as last read. */
  get reservation(): Reservation | null {
    return this.held;
  }

  connectedCallback(): void {
    this.back = returned();
    this.start();
  }
  disconnectedCallback(): void {
    this.close();
  }
  attributeChangedCallback(_: string, was: string | null, is: string | null): void {
    if (this.stop && was !== is) this.start();
  }

  private close(): void {
    this.stop?.();
    this.stop = null;
    clearTimeout(this.timer);
  }

  private start(): void {
    this.close();
    this.speak();
    const id = this.getAttribute("sale") ?? "";
    const api = (this.getAttribute("api") ?? (SCRIPT && new URL(SCRIPT).origin)).replace(/\/+$/, "");
    const service = (this.service = new Service(api, id, () => this.token));
    if (this.sale_?.id !== id) {
      this.sale_ = this.held = null;
      this.payments = [];
      this.basket = rememberedBasket(id);
    }
    const follow = service.follow(
      (sale) => {
        if (!this.sale_ && !this.basket.size && sale.items.length === 1)
          this.basket = basketOf([{ sku: sale.items[0]!.sku, quantity: 1 }]);
        this.sale_ = sale;
        this.render();
      },
      (connection) => {
        this.connection = connection;
        this.render();
      },
    );
    const ticks = setInterval(() => this.tick(), TICK_MS);
    const look = () => void (!document.hidden && this.refresh());
    document.addEventListener("visibilitychange", look);
    this.stop = () => {
      follow();
      clearInterval(ticks);
      document.removeEventListener("visibilitychange", look);
    };
    this.polls = 0;
    void this.refresh();
    this.render();
  }

  /** Speak the language of the page around the element, or the browser's. */
  private speak(): void {
    const page = this.closest("[lang]")?.getAttribute("lang");
    const wanted = page ? [page] : navigator.languages;
    const known = wanted.find((name) => name.slice(0, 2).toLowerCase() in EMBED_MESSAGES) ?? "en";
    this.texts = EMBED_MESSAGES[known.slice(0, 2).toLowerCase() as keyof typeof EMBED_MESSAGES];
    this.locale = known;
  }

  private get saleId(): string {
    return this.service?.sale ?? "";
  }
  private get holdName(): string {
    return `hold:${this.saleId}`;
  }
  private get standing(): Standing {
    return this.held ? standingOf(this.held, this.payments, this.back, Date.now()) : "none";
  }

  private choose(sku: string, quantity: number): void {
    this.basket = withQuantity(this.basket, sku, quantity);
    if (this.sale_) remember(`basket:${this.saleId}`, JSON.stringify(linesOf(this.sale_, this.basket)));
    this.notice = "";
    this.render();
  }

  private tick(): void {
    if (this.held?.status !== "held" || document.hidden) return;
    if (isHeld(this.held, Date.now())) this.render();
    else void this.refresh();
  }

  /** Read the hold and its payments again; go on while they are about to change. */
  private async refresh(): Promise<void> {
    clearTimeout(this.timer);
    const { service } = this;
    const id = this.held?.id ?? remembered(this.holdName);
    if (!service || !id || document.hidden) return;
    const paid = await service.payments(id); // first: a reservation that is read later is as new as its payment
    const read = await service.reservation(id);
    if (service !== this.service || !this.stop) return;
    if (paid.data) this.payments = paid.data.data;
    if (read.data) await this.adopt(read.data);
    else if (read.status === 404) this.restart();
    const moving = read.data ? isMoving(this.standing, this.payments) : read.status !== 404;
    if (moving)
      this.timer = setTimeout(
        () => void this.refresh(),
        (read.data && this.polls++ < SOON_POLLS ? SOON_MS : LATER_MS) * (1 + Math.random()),
      );
    this.render();
  }

  /** Show a reservation, and tell the page of a status that it was not told of. */
  private async adopt(held: Reservation): Promise<void> {
    this.held = held;
    remember(this.holdName, held.id);
    const told = `${held.id} ${held.status}`;
    if (remembered(`told:${this.saleId}`) !== told) {
      remember(`told:${this.saleId}`, told);
      this.tell(held.status === "confirmed" ? "ordered" : held.status, { reservation: held });
    }
    if (held.status !== "held" || this.providers || !this.service) return;
    const names = await this.service.call<{ data: { name: string }[] }>("GET", "/v1/payment-providers");
    this.providers = names.data?.data.map(({ name }) => name) ?? null;
  }

  /** Dispatch an event; return whether the page leaves the rest to us. */
  private tell(name: string, detail: object, cancelable = false): boolean {
    return this.dispatchEvent(
      new CustomEvent(`flashguard:${name}`, { detail, bubbles: true, composed: true, cancelable }),
    );
  }

  /** Run one action of the buyer at a time. */
  private async act(action: () => Promise<void>): Promise<void> {
    if (this.busy) return;
    const focused = this.shadowRoot?.activeElement instanceof HTMLButtonElement;
    this.busy = true;
    this.notice = "";
    this.render();
    await action();
    this.render();
    await new Promise((over) => setTimeout(over, QUIET_MS));
    this.busy = false;
    this.render();
    if (focused && !this.shadowRoot?.activeElement)
      this.shadowRoot?.querySelector<HTMLElement>(".actions > :not([hidden], :disabled)")?.focus();
  }

  private readonly onBusy = () => {
    this.notice = this.texts.busy;
    this.render();
  };

  private refused({ problem, status }: Reply<unknown>): void {
    this.notice =
      status === 401 || status === 403
        ? this.texts.needsToken
        : problem?.code === "sold-out"
          ? this.texts.faster
          : (problem?.detail ?? this.texts.stillBusy);
    this.tell("refused", { problem: problem ?? null });
  }

  private buy(): Promise<void> {
    return this.act(async () => {
      const { service, sale_: sale } = this;
      if (!service || !sale) return;
      const customer = buyerOf(this.token)?.customer ?? rememberedId("customer");
      const body = { customer, items: linesOf(sale, this.basket) };
      const key = intentKey(`buy:${this.saleId}`, body, localStorage);
      const path = `/v1/sales/${encodeURIComponent(this.saleId)}/reservations`;
      const reply = await service.insist<Reservation>(path, { body, key, onBusy: this.onBusy });
      this.notice = "";
      this.back = null;
      this.payments = [];
      if (reply.data) await this.adopt(reply.data);
      else this.refused(reply);
    });
  }

  /** Pay for the hold, or confirm it where nothing is to be paid, unless the page takes it from here. */
  private settle(): Promise<void> {
    return this.act(async () => {
      const { held, service, sale_: sale } = this;
      if (!held || !service || !sale) return;
      if (!this.tell("checkout", { reservation: held, sale }, true)) return;
      const provider = this.getAttribute("provider") ?? this.providers?.[0];
      if (costOf(sale, held) === "free" || !provider) return this.send(held, "confirm");
      const begun = await service.insist<Payment>(`/v1/reservations/${encodeURIComponent(held.id)}/payment`, {
        body: {
          provider,
          success_url: this.address("success-url", "done"),
          cancel_url: this.address("cancel-url", "left"),
        },
        onBusy: this.onBusy,
        isFinal: isPaidAlready,
      });
      this.notice = "";
      this.back = null;
      const url = begun.data?.url;
      if (url && /^https?:/.test(url)) window.location.assign(url);
      else if (begun.data || (begun.problem && isPaidAlready(begun.problem))) await this.refresh();
      else this.refused(begun);
    });
  }

  /** Return where the provider sends the buyer: as the shop says, else back to this page. */
  private address(attribute: string, back: Back): string {
    const own = new URL(this.getAttribute(attribute) ?? window.location.href, window.location.href);
    if (!this.hasAttribute(attribute)) {
      own.searchParams.set(RETURNED, back);
      own.hash = "";
    }
    return own.href;
  }

  private end(by: "extend" | "release"): Promise<void> {
    return this.act(async () => {
      if (this.held) await this.send(this.held, by);
    });
  }

  private async send(held: Reservation, verb: "confirm" | "extend" | "release"): Promise<void> {
    const path = `/v1/reservations/${encodeURIComponent(held.id)}/${verb}`;
    const reply = await this.service!.insist<Reservation>(path, { onBusy: this.onBusy });
    this.notice = "";
    if (reply.data) {
      await this.adopt(reply.data);
      if (verb === "extend") this.tell("extended", { reservation: reply.data });
    } else {
      this.refused(reply);
      await this.refresh();
    }
  }

  private restart(): void {
    if (this.busy) return;
    intentDone(`buy:${this.saleId}`, localStorage);
    remember(this.holdName, null);
    remember(`told:${this.saleId}`, null);
    this.held = this.back = null;
    this.payments = [];
    this.polls = 0;
    this.notice = "";
    this.render();
  }

  private pages(path: string, id: string): string {
    const base = this.getAttribute("pages") ?? (SCRIPT ? new URL("..", SCRIPT).href : this.service?.api) ?? "";
    const token = this.token && `#token=${encodeURIComponent(this.token)}`;
    return `${base.replace(/\/+$/, "")}/${path}/?id=${encodeURIComponent(id)}${token}`;
  }

  private render(): void {
    const { sale_: sale, held, texts: t, buttons, busy, standing } = this;
    const now = Date.now();
    const live = this.connection === "live";
    const waits = sale?.waiting_room && !sale.waiting_room.open_to_all && !held;
    const alive = held !== null && isHeld(held, now);
    const cost = sale && held ? costOf(sale, held) : "one";
    const pays = cost !== "free" && (this.providers?.length ?? 0) > 0;
    const known = cost === "free" || this.providers !== null;
    const choosing = sale?.status !== "closed" && !held && !waits;

    this.section.lang = this.locale.slice(0, 2);
    this.section.setAttribute("aria-busy", String(busy));
    say(this.heading, sale?.name ?? "");
    say(this.state, sale ? this.saleState(sale, live) : "");
    const own = held && (alive || held.status === "confirmed") ? basketOf(held.items) : EMPTY;
    if (sale) this.list.show(sale, { basket: this.basket, own, choosing, live, t, locale: this.locale });
    const lines = held ? basketOf(held.items) : this.basket;
    const totals = sale ? totalsOf(sale, lines, held?.items) : [];
    const amounts = totals.map(([currency, minor]) => moneyIn(this.locale, minor, currency));
    say(this.total, amounts.length && !waits ? `${t.total}: ${amounts.join(" + ")}` : "");
    say(this.time, alive ? t.held(countdown(Date.parse(held.expires_at ?? "") - now)) : "");
    say(this.message, this.notice || this.sentence(alive, pays && cost === "several", waits === true));

    const show = (action: Action, shown: boolean, disabled = false) => {
      buttons[action].hidden = !shown;
      buttons[action].disabled = busy || disabled;
      if (buttons[action].textContent !== t[action]) buttons[action].textContent = t[action];
    };
    const short = sale ? shortageOf(sale, this.basket) !== null : true;
    const open = sale?.status === "open";
    show("buy", sale !== null && choosing, !live || !open || this.basket.size === 0 || short);
    const payable = alive && canPay(held, standing, now);
    show("pay", payable && pays && cost === "one");
    show("confirm", payable && !pays, !known);
    show("extend", payable);
    show("release", payable);
    show("again", held !== null && !alive && !isMoving(standing, this.payments));
    const soldOut = sale?.items.some((item) => item.on_sale && item.available <= 0);
    const lists = open && !held && !waits && sale.waiting_list !== null && soldOut;
    const queue = waits || lists ? this.pages("sale", this.saleId) : null;
    this.link(this.room, waits ? t.waitingRoom : t.waitingList, queue);
    const told = held && (held.status === "confirmed" || this.payments.length > 0);
    this.link(this.details, t.details, told ? this.pages("order", held.id) : null);
  }

  private link(link: HTMLAnchorElement, text: string, address: string | null): void {
    say(link, address ? text : "");
    if (address && link.href !== address) link.href = address;
  }

  private saleState(sale: Sale, live: boolean): string {
    const t = this.texts;
    if (!live && this.connection !== "connecting" && this.connection !== "paused") return t.stale;
    const opens = sale.status === "draft" || sale.status === "scheduled" ? sale.starts_at : null;
    if (!opens) return t.statuses[sale.status];
    const style = { dateStyle: "medium", timeStyle: "short" } as const;
    return t.opensAt(new Intl.DateTimeFormat(this.locale, style).format(new Date(opens)));
  }

  /** Return what became of the hold and its payment, or why there is nothing to see. */
  private sentence(alive: boolean, several: boolean, waits: boolean): string {
    const { held, texts: t, standing } = this;
    if (!this.sale_)
      return this.connection === "missing"
        ? t.missing
        : this.connection === "forbidden"
          ? t.needsToken
          : this.connection === "lost"
            ? t.away
            : t.loading;
    if (waits) return t.roomText;
    if (!held) return "";
    if (standing !== "none" && held.status !== "cancelled") return t.standings[standing];
    if (held.status === "held") return alive ? (several ? t.severalCurrencies : "") : t.expired;
    return held.status === "confirmed" ? t.yours : t[held.status];
  }
}

/** Return how the buyer came back from the provider's page, and take that out of the page's address. */
function returned(): Back | null {
  const here = new URL(window.location.href);
  const back = here.searchParams.get(RETURNED);
  if (back !== "done" && back !== "left") return null;
  here.searchParams.delete(RETURNED);
  window.history.replaceState(window.history.state, "", here);
  return back;
}

function rememberedBasket(sale: string): Basket {
  try {
    const kept: unknown = JSON.parse(remembered(`basket:${sale}`) ?? "[]");
    return basketOf((kept as Line[]).filter(({ sku, quantity }) => typeof sku === "string" && quantity > 0));
  } catch {
    return EMPTY;
  }
}

declare global {
  interface HTMLElementTagNameMap {
    "flashguard-sale": FlashguardSale;
  }
}
