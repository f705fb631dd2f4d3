/** A static export, which the API or any CDN serves. Written by hand: generated defaults break the export. */
const config = {
  output: "export",
  trailingSlash: true,
  skipTrailingSlashRedirect: true,
  compress: false,
  images: { unoptimized: true },
  agentRules: false,
  generateBuildId: () => "flashguard",
};

export default config;
