// Writes the API reference (/docs): out/docs.html and the files of Swagger UI, in the version that package.json pins.
import { copyFileSync, mkdirSync } from "node:fs";

const FROM = "node_modules/swagger-ui-dist";
mkdirSync("out/docs", { recursive: true });
for (const name of ["swagger-ui.css", "swagger-ui-bundle.js", "swagger-ui-bundle.js.LICENSE.txt", "LICENSE", "NOTICE"])
  copyFileSync(`${FROM}/${name}`, `out/docs/${name}`);
for (const name of ["reference.css", "reference.js"]) copyFileSync(`reference/${name}`, `out/docs/${name}`);
copyFileSync("reference/docs.html", "out/docs.html");
