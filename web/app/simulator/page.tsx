import { Suspense } from "react";
import { Simulator } from "@/components/simulator/simulator";

export const metadata = { title: "Simulator · FlashGuard" };
export default function Page() {
  return (
    <Suspense>
      <Simulator />
    </Suspense>
  );
}
