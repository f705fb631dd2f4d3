import next from "eslint-config-next/core-web-vitals";
import typescript from "eslint-config-next/typescript";

export default [
  ...next,
  ...typescript,
  { ignores: [".next/**", "out/**", "lib/api/schema.d.ts", "next-env.d.ts"] },
];
