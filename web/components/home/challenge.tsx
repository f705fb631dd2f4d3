import { Pill, type Tone } from "../ui";

type Step = { who: string; does: string; stock: string; tone?: "bad" | "warn" | "good" };
type Example = { title: string; verdict: string; tone: Tone; column: string; steps: Step[]; conclusion: string };

const EXAMPLES: Example[] = [
  {
    title: "The race",
    verdict: "oversold",
    tone: "bad",
    column: "stock",
    conclusion: "Both were told “it is yours”. Reading and writing were two steps, and somebody came between.",
    steps: [
      { who: "Ann", does: "reads the stock", stock: "1" },
      { who: "Bob", does: "reads the stock", stock: "1" },
      { who: "Ann", does: "one is left: takes it", stock: "0" },
      { who: "Bob", does: "one was left: takes it", stock: "−1", tone: "bad" },
    ],
  },
  {
    title: "The row lock",
    verdict: "correct, and stuck",
    tone: "warn",
    column: "waiting",
    conclusion:
      "Nobody gets a unit that is not there. But every buyer waits with a connection in hand, sold out or not.",
    steps: [
      { who: "Ann", does: "locks the row, takes the unit, commits", stock: "0" },
      { who: "Bob", does: "waits for Ann’s commit", stock: "1" },
      { who: "98 more", does: "wait for Bob’s; the pool is exhausted", stock: "99", tone: "warn" },
      { who: "9,900", does: "get no connection: time-outs for all", stock: "all", tone: "warn" },
    ],
  },
  {
    title: "FlashGuard",
    verdict: "exact, and fast",
    tone: "good",
    column: "stock",
    conclusion: "No buyer queues for a row. A sold-out crowd never touches the database.",
    steps: [
      { who: "All", does: "clicks that come together are one batch", stock: "1" },
      { who: "Script", does: "Ann held, everybody else sold-out", stock: "0" },
      { who: "Journal", does: "one entry, in the same step", stock: "0" },
      { who: "Ledger", does: "one transaction, then “confirmed”", stock: "0", tone: "good" },
    ],
  },
];

const TEXT = { bad: "text-bad font-semibold", warn: "text-warn font-semibold", good: "text-good font-semibold" };

/** Three ways to sell the last unit: a race, a row lock, and FlashGuard. */
export function Challenge() {
  return (
    <div className="grid grid-cols-[minmax(0,1fr)] gap-3 lg:grid-cols-3">
      {EXAMPLES.map(({ title, verdict, tone, column, steps, conclusion }) => (
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
