import type { InputHTMLAttributes, ReactNode, SelectHTMLAttributes } from "react";

/** A labelled input. `hint` says in small type what may be entered. */
export function Field({
  label,
  hint,
  wide,
  className = "",
  ...input
}: { label: ReactNode; hint?: ReactNode; wide?: boolean } & InputHTMLAttributes<HTMLInputElement>) {
  return (
    <label className={`label min-w-0 content-start ${wide ? "col-span-2" : ""} ${className}`}>
      <span>{label}</span>
      <input className="field" {...input} />
      {hint && <small>{hint}</small>}
    </label>
  );
}

/** A labelled choice of one. */
export function Select({
  label,
  options,
  className = "",
  ...select
}: {
  label: ReactNode;
  options: readonly (readonly [string, ReactNode])[];
} & SelectHTMLAttributes<HTMLSelectElement>) {
  return (
    <label className={`label min-w-0 content-start ${className}`}>
      <span>{label}</span>
      <select className="field" {...select}>
        {options.map(([value, text]) => (
          <option key={value} value={value}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}

/** A labelled box to tick. */
export function Check({ label, ...input }: { label: ReactNode } & InputHTMLAttributes<HTMLInputElement>) {
  return (
    <label className="flex min-h-8 items-center gap-2">
      <input type="checkbox" className="size-3.5 shrink-0 accent-[var(--info)]" {...input} />
      <span className="min-w-0">{label}</span>
    </label>
  );
}

/** The fields of a form. Two columns on a phone, four on a desk. */
export const Fields = ({ children }: { children: ReactNode }) => (
  <div className="grid grid-cols-2 items-start gap-3 md:grid-cols-4">{children}</div>
);

/** Return the text of a form's field. */
export const textOf = (fields: FormData, name: string): string => {
  const value = fields.get(name);
  return typeof value === "string" ? value.trim() : "";
};

/** Return the number in a form's field; null: it is empty. */
export const numberOf = (fields: FormData, name: string): number | null => {
  const text = textOf(fields, name);
  return text === "" ? null : Number(text);
};

/** Return the moment in a form's `datetime-local` field, which is in this computer's time; null: it is empty. */
export const momentOf = (fields: FormData, name: string): string | null => {
  const text = textOf(fields, name);
  return text === "" ? null : new Date(text).toISOString();
};

/** Return a moment as a `datetime-local` field shows it. */
export function localOf(iso: string | null): string {
  if (!iso) return "";
  const at = new Date(iso);
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
