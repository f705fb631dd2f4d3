"use client";

import type { SectionProps } from "../frame";
import { ApiKeys } from "./api-keys";
import { BuyerTokens } from "./buyer-tokens";
import { SigningKeys } from "./signing-keys";

/** The keys of the API, the keys that sign tokens, and the end of a single token. */
export function Keys({ admin, own, may }: SectionProps) {
  return (
    <>
      {may("manage-keys") && <ApiKeys admin={admin} own={own} />}
      {may("manage-keys") && <SigningKeys admin={admin} />}
      {may("mint-tokens") && <BuyerTokens admin={admin} />}
    </>
  );
}
