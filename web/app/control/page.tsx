import { Suspense } from "react";
import { Control } from "@/components/control/control";

export const metadata = { title: "Control room · FlashGuard" };
export default function Page() {
  return (
    <Suspense>
      <Control />
    </Suspense>
  );
}
