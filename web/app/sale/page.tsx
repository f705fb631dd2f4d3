import { Suspense } from "react";
import { Storefront } from "@/components/storefront/storefront";

export const metadata = { title: "Storefront · FlashGuard" };
export default function Page() {
  return (
    <Suspense>
      <Storefront />
    </Suspense>
  );
}
