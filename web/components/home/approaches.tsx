import { Pill, type Tone } from "../ui";

type Step = { who: string; does: string; stock: string; tone?: "bad" | "warn" | "good" };
type Approach = { title: string; verdict: string; tone: Tone; column: string; steps: Step[]; conclusion: string };

const APPROACHES: Approach[] = [
  {
    title: "The race",
    verdict: "oversold",
    tone: "bad",
    column: "stock",
    conclusion: "Both buyers get the one unit. Reading and writing are two steps, and another buyer comes in between.",
    steps: [
      { who: "Ann", does: "reads the stock", stock: "1" },
      { who: "Bob", does: "reads the stock", stock: "1" },
      { who: "Ann", does: "sees 1 left, buys it", stock: "0" },
      { who: "Bob", does: "saw 1 left, buys it too", stock: "−1", tone: "bad" },
    ],
  },
  {
    title: "The row lock",
    verdict: "correct, but stuck",
    tone: "warn",
    column: "waiting",
    conclusion: "No unit is sold twice. But each buyer occupies a database connection while waiting, sold out or not.",
    steps: [
      { who: "Ann", does: "locks the row, buys the unit, commits", stock: "0" },
      { who: "Bob", does: "waits for Ann’s commit", stock: "1" },
      { who: "98 more", does: "wait for Bob’s commit; the pool is exhausted", stock: "99", tone: "warn" },
      { who: "9,900", does: "get no connection: all requests time out", stock: "all", tone: "warn" },
    ],
  },
  {
    title: "FlashGuard",
    verdict: "exact, and fast",
    tone: "good",
    column: "stock",
    conclusion: "No buyer queues for a row. Sold-out requests never reach the database.",
    steps: [
      { who: "All", does: "simultaneous requests form one batch", stock: "1" },
      { who: "Script", does: "Ann: held; all others: sold-out", stock: "0" },
      { who: "Journal", does: "one entry, in the same step", stock: "0" },
      { who: "Ledger", does: "one transaction, then “confirmed”", stock: "0", tone: "good" },
    ],
  },
];

const TEXT = { bad: "text-bad font-semibold", warn: "text-warn font-semibold", good: "text-good font-semibold" };

/** Three ways to sell the last unit: a race, a row lock, and FlashGuard. */
export function Approaches() {
  return (
    <div className="grid grid-cols-[minmax(0,1fr)] gap-3 lg:grid-cols-3">
      {APPROACHES.map(({ title, verdict, tone, column, steps, conclusion }) => (
        <section key={title} className="panel flex flex-col gap-3">
          <div className="flex items-center justify-between gap-2">
            <h2>{title}</h2>
            <Pill tone={tone}>{verdict}</Pill>
          </div>
          <table className="w-full text-[13px]">
            <thead>
              <tr className="text-left text-xs text-soft">
                <th className="w-16 pb-1 font-medium">who</th>
                <th className="pb-1 font-medium">does</th>
                <th className="pb-1 text-right font-medium">{column}</th>
              </tr>
            </thead>
            <tbody>
              {steps.map((step) => (
                <tr key={step.who + step.does} className="border-t border-line align-top">
                  <td className="py-1.5 pr-2 font-medium">{step.who}</td>
                  <td className="py-1.5 pr-2">{step.does}</td>
                  <td className={`py-1.5 text-right font-mono ${step.tone ? TEXT[step.tone] : ""}`}>{step.stock}</td>
                </tr>
              ))}
            </tbody>
          </table>
          <p className="mt-auto text-soft">{conclusion}</p>
        </section>
      ))}
    </div>
  );
}
