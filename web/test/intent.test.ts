import { beforeEach, expect, test, vi } from "vitest";
import { isOutdated } from "@/components/control/audit-table";
import { api, type Audit, type Sale } from "@/lib/api/client";
import { intentDone, intentKey } from "@/lib/intent";
import { adminKey, setAdminKey } from "@/lib/key-store";
import { keyProblem, signIn } from "@/lib/sign-in";
import { visible } from "@/lib/visible";

beforeEach(() => {
  sessionStorage.clear();
  localStorage.clear();
  vi.restoreAllMocks();
});

test("an intent keeps its key until its content changes or it is done", () => {
  const first = intentKey("restock", { delta: 5 });
  expect(intentKey("restock", { delta: 5 })).toBe(first);
  expect(intentKey("pause", { delta: 5 })).not.toBe(first);
  expect(intentKey("restock", { delta: 6 })).not.toBe(first);
  const again = intentKey("restock", { delta: 5 });
  expect(again).not.toBe(first);
  intentDone("restock");
  expect(intentKey("restock", { delta: 5 })).not.toBe(again);
});
test("unreadable storage is ignored: the intent gets a new key", () => {
  for (const junk of ["", "{", "7", "null", "[]"]) {
    sessionStorage.setItem("flashguard:intent:x", junk);
    expect(intentKey("x", 1)).toMatch(/^[0-9a-f]{32}$/);
  }
});
test("each character of a text from outside is visible", () => {
  expect(visible("Tee [limited] <b> 佐々木 עברית 👩‍👩‍👧")).toBe("Tee [limited] <b> 佐々木 עברית 👩‍👩‍👧");
  expect(visible("a\u202eb\nc\u0000d\u200be\ufeff")).toBe("a⟨U+202E⟩b⟨U+000A⟩c⟨U+0000⟩d⟨U+200B⟩e⟨U+FEFF⟩");
});
test("a key that no header can carry is rejected before it is sent", async () => {
  expect(keyProblem("fg_admin_a-b_c")).toBe("");
  for (const [key, says] of [
    ["fg_live_…", "“…”"],
    ["fg live", "space"],
    ["", "Enter a key"],
    ["fg_ключ", "“к”"],
  ] as const)
    expect(keyProblem(key)).toContain(says);
  const get = vi.spyOn(api, "GET");
  expect(await signIn("fg_live_…")).toContain("copy the whole key");
  expect(get).not.toHaveBeenCalled();
});
test("a key is kept only if the service accepts it", async () => {
  for (const [answer, says] of [
    [{ response: { status: 401 } }, "does not know"],
    [{ response: { status: 200 }, data: { key: "key_1", rights: ["sell"] } }, "scope"],
    [{ response: { status: 200 }, data: { key: null, rights: ["sell"] } }, "buyer’s token"],
    [{ response: { status: 503 }, error: { detail: "Away." } }, "Away."],
  ] as const) {
    vi.spyOn(api, "GET").mockResolvedValue(answer as never);
    expect(await signIn("fg_admin_x", "manage-sales")).toContain(says);
    expect(adminKey()).toBe("");
  }
  vi.spyOn(api, "GET").mockRejectedValue(new TypeError("offline"));
  expect(await signIn("fg_admin_x")).toContain("could not be checked");
  vi.spyOn(api, "GET").mockResolvedValue({
    data: { key: "key_1", rights: ["sell"] },
    response: { status: 200 },
  } as never);
  expect(await signIn("fg_admin_x")).toBe("");
  expect(adminKey()).toBe("fg_admin_x");
  setAdminKey("");
});
test("an audit is outdated if units have moved, but not because the ledger lagged behind memory", () => {
  const row = { sku: "a", stock: 9, held: 1, sold: 2, memory_stock: null, memory_held: null, memory_sold: null };
  const audit = (more: object) => ({ items: [{ ...row, ...more }] }) as unknown as Audit;
  const sale = (more: object) => ({ items: [{ sku: "a", stock: 9, held: 1, sold: 2, ...more }] }) as unknown as Sale;
  expect(isOutdated(audit({}), sale({}))).toBe(false);
  expect(isOutdated(audit({}), sale({ stock: 12 }))).toBe(true);
  expect(isOutdated(audit({ held: 0, sold: 3, memory_stock: 9, memory_held: 1, memory_sold: 2 }), sale({}))).toBe(
    false,
  );
});
