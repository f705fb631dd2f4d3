"use client";

import { KeyRound } from "lucide-react";
import { Copy } from "../curl";
import { useTexts } from "./texts";

/** A secret that FlashGuard shows once. It stays until the reader says that it is stored, and is kept nowhere. */
export function Secret({ label, secret, done }: { label: string; secret: string; done: () => void }) {
  const t = useTexts().secret;
  return (
    <div role="group" aria-label={label} className="mt-3 grid gap-2 rounded-md border border-current p-3 text-warn">
      <p className="flex items-center gap-2 font-medium">
        <KeyRound size={14} aria-hidden />
        {label}: {t.once}
      </p>
      <div className="flex flex-wrap items-center gap-2 text-ink">
        <code className="min-w-0 flex-1 basis-60 rounded-md bg-raised p-2 break-all">{secret}</code>
        <Copy text={secret} />
        <button type="button" className="btn btn-small" onClick={done}>
          {t.stored}
        </button>
      </div>
    </div>
  );
}
