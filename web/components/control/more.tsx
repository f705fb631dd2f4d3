"use client";

import { useState, type ReactNode } from "react";

/** A part of a form or page that is folded away at first. `lazily`: what it holds is drawn once it is unfolded. */
export function More({
  title,
  lazily,
  className = "rounded-md border border-line",
  children,
}: {
  title: ReactNode;
  lazily?: boolean;
  className?: string;
  children: ReactNode;
}) {
  const [opened, setOpened] = useState(!lazily);
  return (
    <details className={className} onToggle={(event) => setOpened(opened || event.currentTarget.open)}>
      <summary className="cursor-pointer px-3 py-2 font-medium">{title}</summary>
      <div className="grid grid-cols-[minmax(0,1fr)] gap-4 border-t border-line p-3">{opened && children}</div>
    </details>
  );
}
