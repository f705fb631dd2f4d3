export type Call = { method?: string; path: string; body?: unknown; admin?: boolean };

const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;

/** Return an API call as a curl command. The key stays a shell variable: a copied line must not hold a secret. */
export function curlOf(origin: string, { method = "GET", path, body, admin }: Call): string {
  const parts = [method === "GET" ? "curl" : `curl -X ${method}`, quoted(origin + path)];
  if (admin) parts.push(`-H "Authorization: Bearer $FLASHGUARD_ADMIN_KEY"`);
  if (body !== undefined) parts.push("-H 'Content-Type: application/json'", `-d ${quoted(JSON.stringify(body))}`);
  return parts.join(" ");
}
