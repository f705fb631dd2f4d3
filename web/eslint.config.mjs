import next from "eslint-config-next/core-web-vitals";
import typescript from "eslint-config-next/typescript";

const config = [
  ...next,
  ...typescript,
  { rules: { "max-len": ["error", { code: 120 }] } },
  { ignores: [".next/**", "out/**", "lib/api/schema.d.ts", "next-env.d.ts"] },
];

export default config;
